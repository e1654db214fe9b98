"""A linear probe: one linear head per task on frozen backbone features, the floor that adapters must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.models.backbone import SwinBackbone
from vtadapt.models.decoder import TaskHeads
from vtadapt.models.multitask import Group, MultitaskModel, NoConfig


class LinearProbe(MultitaskModel):
    """All stages' frozen features, brought to H/4 and normalised, then one 1x1 convolution per task."""

    backbone: SwinBackbone

    def __init__(self, backbone: SwinBackbone, channels: Mapping[str, int], config: NoConfig | None = None) -> None:
        """Create the heads; the backbone is frozen whole. Arguments and errors as :class:`MultitaskModel`."""
        super().__init__(backbone.requires_grad_(False), channels, config or NoConfig())
        self.heads = TaskHeads(sum(backbone.channels), channels)
        self.train()

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`MultitaskModel.components`."""
        return [
            ("backbone", "frozen", Group(list(self.backbone.parameters()), False)),
            ("heads", "one linear layer per task", Group(list(self.heads.parameters()), True)),
        ]

    def train(self, mode: bool = True) -> LinearProbe:
        """Switch modes; the backbone always stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1 -> task name -> logits (B, channels, H, W), for all tasks or those named."""
        names = self.names(tasks)
        levels = [F.layer_norm(x, x.shape[-1:]).permute(0, 3, 1, 2) for x in self.backbone.features(image)]
        finest = levels[0].shape[-2:]
        pixels = torch.cat([F.interpolate(x, size=finest, mode="bilinear", align_corners=False) for x in levels], dim=1)
        features = pixels[:, None].expand(-1, len(names), -1, -1, -1)
        return self.heads(features, names, self.padded(image), (int(image.shape[-2]), int(image.shape[-1])))
