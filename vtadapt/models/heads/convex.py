"""Convex upsampling (RAFT, Teed and Deng, ECCV 2020): each pixel is a weighted mean of the 3x3 tokens around it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.heads.base import TaskHeads, small

FLOOR = 0.02  # weight that a token has at the start where bilinear interpolation gives it none: softmax has no zero


class ConvexHead(nn.Module):
    """One task's logits at the tokens, and for every pixel the weights of the nine around it.

    The weights are a softmax, predicted from the features [paper]; they start near those of bilinear interpolation,
    and tokens beyond the border repeat it [ours].
    """

    def __init__(self, width: int, channels: int, scale: int) -> None:
        """Create for ``channels`` outputs, ``scale`` x ``scale`` pixels a token."""
        super().__init__()
        self.scale = scale
        self.values = small(nn.Conv2d(width, channels, 1))
        self.weights = nn.Conv2d(width, 9 * scale * scale, 1)
        nn.init.zeros_(self.weights.weight)
        assert self.weights.bias is not None
        self.weights.bias.data.copy_(bilinear_weights(scale).log().flatten())

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, channels, scale h, scale w)."""
        b, _, h, w = x.shape
        weights = self.weights(x).view(b, 9, -1, h * w).softmax(1)  # (B, 9, s s, h w)
        around = F.unfold(F.pad(self.values(x), (1, 1, 1, 1), mode="replicate"), 3).view(b, -1, 9, h * w)
        mixed = torch.einsum("bckn,bkpn->bcpn", around, weights)  # (B, channels, s s, h w)
        return F.pixel_shuffle(mixed.reshape(b, -1, h, w), self.scale)


class ConvexHeads(TaskHeads):
    """A :class:`ConvexHead` per task."""

    def __init__(self, width: int, channels: Mapping[str, int], scale: int) -> None:
        """Create a head per task; arguments as :class:`TaskHeads`."""
        super().__init__({name: ConvexHead(width, n, scale) for name, n in channels.items()})

    def draw(self, head: nn.Module, x: Tensor, detail: Tensor | None) -> Tensor:  # noqa: ARG002 - looks at x alone
        """(B, width, h, w) -> logits (B, channels, scale h, scale w)."""
        return head(x)


def bilinear_weights(scale: int) -> Tensor:
    """(9, scale scale): what bilinear interpolation gives each of 3x3 tokens at each pixel, none below the floor."""
    offset = (torch.arange(scale) + 0.5) / scale - 0.5  # of a pixel from its token's centre, in tokens
    line = torch.stack([-offset, 1 - offset.abs(), offset]).clamp(min=FLOOR)  # (3, scale)
    line = line / line.sum(0)
    return (line[:, None, :, None] * line[None, :, None, :]).reshape(9, scale * scale)
