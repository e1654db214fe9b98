"""A linear probe: one linear head per task on frozen backbone features, the floor that adapters must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.adapted import Group
from vtadapt.models.backbone import SwinBackbone
from vtadapt.models.decoder import TaskHeads


class LinearProbe(nn.Module):
    """All stages' frozen features, brought to H/4 and normalised, then one 1x1 convolution per task."""

    def __init__(self, backbone: SwinBackbone, channels: Mapping[str, int]) -> None:
        """Create the heads; the backbone is frozen whole.

        Raises:
            ConfigError: no task.
        """
        super().__init__()
        if not channels:
            raise ConfigError("no task given; wanted at least one")
        self.tasks = tuple(channels)
        self.backbone = backbone.requires_grad_(False)
        self.heads = TaskHeads(sum(backbone.channels), channels)
        self.train()

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`vtadapt.models.adapted.AdaptedModel.components`."""
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
        names = self.tasks if tasks is None else tuple(tasks)
        levels = [F.layer_norm(x, x.shape[-1:]).permute(0, 3, 1, 2) for x in self.backbone.features(image)]
        finest = levels[0].shape[-2:]
        pixels = torch.cat([F.interpolate(x, size=finest, mode="bilinear", align_corners=False) for x in levels], dim=1)
        stride, (h, w) = self.backbone.stride, image.shape[-2:]
        features = pixels[:, None].expand(-1, len(names), -1, -1, -1)
        return self.heads(features, names, (h + -h % stride, w + -w % stride), (h, w))
