"""A network that takes pictures at one size and works at another, whole or in tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.tasks import Task
from vtadapt.workflows.sizing.size import Plan, Sizing, resize
from vtadapt.workflows.sizing.tiled import blended, whole


class SizedNetwork(nn.Module):
    """A network with a working size of its own; its logits have the size of the pictures it is given.

    Attributes:
        plans: what was done with pictures of each size (height, width) so far.
    """

    def __init__(
        self,
        model: nn.Module,
        tasks: Mapping[str, Task],
        sizing: Sizing,
        trained: tuple[int, int],
        units: Sequence[int],
    ) -> None:
        """Wrap ``model``.

        Args:
            model: image -> dict of logits.
            tasks: of its logits.
            sizing: the working size, and in which tiles.
            trained: (height, width) of the run's training crops.
            units: of the network, see :func:`vtadapt.workflows.sizing.size.units_of`.
        """
        super().__init__()
        self.model, self.tasks = model, dict(tasks)
        self.sizing, self.trained, self.units = sizing, trained, units
        self.plans: dict[tuple[int, int], Plan] = {}

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1 -> task name -> logits (B, channels, H, W); those of tiles lie on the CPU.

        Raises:
            UsageError: tiles that are too small for the network.
        """
        own = image.shape[-2], image.shape[-1]
        plan = self.plans.setdefault(own, self.sizing.plan(own, self.trained, self.units))
        resized = resize(image, plan.size)
        if plan.grid is None:
            logits = dict(self.model(resized, tasks))
        else:
            logits = whole(blended(lambda tiles: self.model(tiles, tasks), resized, self.tasks, plan.grid))
        if plan.size == own:
            return logits
        return {
            name: F.interpolate(value, size=own, mode="bilinear", align_corners=False) for name, value in logits.items()
        }
