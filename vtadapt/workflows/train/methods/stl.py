"""Single-task networks side by side: no gradient of one reaches another, not even through the clipping."""

from __future__ import annotations

from typing import Any, cast

from torch.nn.utils import clip_grad_norm_

from vtadapt.models.peers.stl import SingleTask
from vtadapt.workflows.train.methods.base import Objective


class Stl(Objective):
    """The plain loss; gradients are clipped network by network, so that each is trained as if it were alone.

    One thing is shared [ours]: of all evaluations the one with the best mean over tasks is kept, as for every method.
    """

    def clip(self, model: Any, optimiser: Any) -> None:
        """Clip each task's gradients by their own norm."""
        # Fabric takes the scale of half precision out of the gradients here; the bound itself is out of reach.
        self.fabric.clip_gradients(model, optimiser, max_norm=1e30, error_if_nonfinite=False)
        networks = cast(SingleTask, self.model)
        for task in networks.tasks:
            encoder = cast(Any, networks.encoder_of(task))
            own = [*encoder.parameters(), *networks.branches[task].parameters()]
            self.need_finite_norm(clip_grad_norm_(own, self.settings.clip_norm))
