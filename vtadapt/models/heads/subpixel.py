"""The sub-pixel head: each token predicts its own pixels, without asking its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from vtadapt.models.heads.base import TaskHeads, pointwise


class SubpixelHeads(TaskHeads):
    """One 1x1 convolution per task, brought to the image's resolution.

    With ``scale`` s each token predicts its own s x s pixels (sub-pixel convolution, Shi et al. 2016; all s x s start
    equal, ICNR), so that detail finer than a token can be drawn; with scale 1 the logits are resized bilinearly.
    """

    def __init__(self, width: int, channels: Mapping[str, int], scale: int = 1) -> None:
        """Create a head per task; arguments as :class:`TaskHeads`."""
        heads = {name: nn.Conv2d(width, n * scale * scale, 1) for name, n in channels.items()}
        for head in heads.values():
            first = torch.empty(head.out_channels // scale**2, *head.weight.shape[1:])
            nn.init.trunc_normal_(first, std=0.02)
            head.weight.data.copy_(first.repeat_interleave(scale**2, dim=0))
            if head.bias is not None:
                nn.init.zeros_(head.bias)
        super().__init__(heads)
        self.scale = scale

    def draw(self, head: nn.Module, x: Tensor, detail: Tensor | None) -> Tensor:  # noqa: ARG002 - looks at x alone
        """(B, width, h, w) -> logits (B, channels, scale h, scale w)."""
        s, (height, width) = self.scale, x.shape[-2:]
        channels = cast(nn.Conv2d, head).out_channels // s**2
        own = pointwise(cast(nn.Conv2d, head), x).view(-1, height, width, channels, s, s)
        # Each token's s x s pixels go beside those of its neighbours, as torch.pixel_shuffle lays them.
        return own.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, height * s, width * s).contiguous()
