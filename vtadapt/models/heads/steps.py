"""A head that doubles the resolution in steps, with a convolution over neighbours after each."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.heads.base import TaskHeads, small


class Doubling(nn.Module):
    """1x1 to fewer channels, bilinear to twice the size, and ReLU(y + 3x3 y)."""

    def __init__(self, width: int, out: int) -> None:
        """Create for ``width`` -> ``out`` channels."""
        super().__init__()
        self.narrow = nn.Conv2d(width, out, 1)
        self.smooth = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, out, 2h, 2w)."""
        y = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(y + self.smooth(y))


class StepHeads(TaskHeads):
    """log2(scale) steps of :class:`Doubling` per task, each of half the channels, then a 1x1 convolution."""

    def __init__(self, width: int, channels: Mapping[str, int], scale: int) -> None:
        """Create a head per task; arguments as :class:`TaskHeads`."""
        widths = [max(8, width >> step) for step in range(max(1, round(math.log2(scale))) + 1)]
        super().__init__(
            {
                name: nn.Sequential(
                    *(Doubling(a, b) for a, b in zip(widths, widths[1:], strict=False)),
                    small(nn.Conv2d(widths[-1], n, 1)),
                )
                for name, n in channels.items()
            }
        )

    def draw(self, head: nn.Module, x: Tensor, detail: Tensor | None) -> Tensor:  # noqa: ARG002 - looks at x alone
        """(B, width, h, w) -> logits (B, channels, scale h, scale w)."""
        return head(x)
