"""The sub-pixel head with overlap: each token predicts twice its pixels a side, and neighbours are blended."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.heads.base import TaskHeads


class OverlapHead(nn.Module):
    """One task's transposed convolution: kernel 2 s, stride s, each weight times the tent of bilinear interpolation.

    A pixel is the mean of what up to four tokens predict for it, weighted as bilinear interpolation weighs the tokens
    [ours]. All pixels start with the same weights, so that a fresh head is bilinear interpolation, as ICNR makes a
    fresh sub-pixel head repeat its tokens. Tokens beyond the border repeat it.
    """

    window: Tensor

    def __init__(self, width: int, channels: int, scale: int) -> None:
        """Create for ``channels`` outputs, ``scale`` x ``scale`` pixels a token."""
        super().__init__()
        self.scale = scale
        size = 2 * scale - scale % 2  # an odd token has a pixel in its middle
        first = torch.empty(width, channels, 1, 1)
        nn.init.trunc_normal_(first, std=0.02)
        self.weight = nn.Parameter(first.repeat(1, 1, size, size))
        self.bias = nn.Parameter(torch.zeros(channels))
        tent = 1 - (torch.arange(size) - (size - 1) / 2).abs() / scale
        self.register_buffer("window", tent[:, None] * tent, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, channels, scale h, scale w)."""
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        outside = self.scale + self.scale // 2
        return F.conv_transpose2d(x, self.weight * self.window, self.bias, self.scale, outside)


class OverlapHeads(TaskHeads):
    """An :class:`OverlapHead` per task."""

    def __init__(self, width: int, channels: Mapping[str, int], scale: int) -> None:
        """Create a head per task; arguments as :class:`TaskHeads`."""
        super().__init__({name: OverlapHead(width, n, scale) for name, n in channels.items()})

    def draw(self, head: nn.Module, x: Tensor, detail: Tensor | None) -> Tensor:  # noqa: ARG002 - looks at x alone
        """(B, width, h, w) -> logits (B, channels, scale h, scale w)."""
        return head(x)
