"""A linear probe: one linear head per task on frozen backbone features, the floor that adapters must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.backbones.base import Encoded, size_of
from vtadapt.models.frozen.base import FrozenModel
from vtadapt.models.heads.subpixel import SubpixelHeads
from vtadapt.models.multitask import Group, NoConfig


class LinearProbe(FrozenModel):
    """What the frozen encoder computes, brought to its finest level and normalised, then one 1x1 convolution per task.

    That level is H/4, or one position per patch of a plain transformer.
    """

    trains_pyramid = False

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: NoConfig | None = None) -> None:
        """Create the heads; the backbone is frozen whole. Arguments and errors as :class:`MultitaskModel`."""
        super().__init__(backbone, channels, config or NoConfig())
        self.heads = SubpixelHeads(sum(self.encoder.plain_channels), channels)
        self.train()

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`MultitaskModel.components`."""
        return [
            *self.frozen_components(),
            ("heads", "one linear layer per task", Group(list(self.heads.parameters()), True)),
        ]

    def own_modules(self, task: str) -> dict[str, nn.Module]:
        """Its head."""
        return {"head": self.heads.heads[task]}

    def forward(self, image: Tensor | Encoded, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1 -> task name -> logits (B, channels, H, W), for all tasks or those named."""
        names = self.names(tasks)
        levels = [F.layer_norm(x, (int(x.shape[-1]),)).permute(0, 3, 1, 2) for x in self.plain(image)]
        finest = levels[0].shape[-2:]
        pixels = torch.cat([F.interpolate(x, size=finest, mode="bilinear", align_corners=False) for x in levels], dim=1)
        features = pixels[:, None].expand(-1, len(names), -1, -1, -1)
        return self.heads(features, names, self.encoder.seen(image), size_of(image))
