"""A head that looks at the image: a shallow stem at full resolution says where things end, the tokens what they are."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.heads.base import TaskHeads, resized, small

STEM = 16  # channels at full resolution, where each costs as much as sixteen at a quarter of it


class StemHead(nn.Module):
    """One task: logits at the tokens, resized, plus what tokens and image make together at each pixel.

    logits = up(V x) + W ReLU(up(P x) + D detail), all of them 1x1 convolutions, up bilinear [ours].
    """

    def __init__(self, width: int, channels: int) -> None:
        """Create for ``channels`` outputs."""
        super().__init__()
        self.values = small(nn.Conv2d(width, channels, 1))
        self.project = nn.Conv2d(width, STEM, 1)
        self.detail = nn.Conv2d(STEM, STEM, 1, bias=False)
        self.correct = small(nn.Conv2d(STEM, channels, 1, bias=False))

    def forward(self, x: Tensor, detail: Tensor) -> Tensor:
        """(B, width, h, w), (B, STEM, H, W) -> (B, channels, H, W)."""
        size = (detail.shape[-2], detail.shape[-1])
        both = F.relu(resized(self.project(x), size) + self.detail(detail))
        return resized(self.values(x), size) + self.correct(both)


class StemHeads(TaskHeads):
    """A stem of two 3x3 convolutions on the image that all tasks share, and a :class:`StemHead` per task."""

    looks_at_image = True

    def __init__(self, width: int, channels: Mapping[str, int], scale: int) -> None:
        """Create stem and heads; arguments as :class:`TaskHeads`."""
        del scale  # all is drawn at the size of the image
        super().__init__({name: StemHead(width, n) for name, n in channels.items()})
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, padding=1), nn.ReLU(), nn.Conv2d(STEM, STEM, 3, padding=1), nn.ReLU()
        )

    def detail(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, STEM, H, W)."""
        return self.stem(image)

    def draw(self, head: nn.Module, x: Tensor, detail: Tensor | None) -> Tensor:
        """(B, width, h, w) and the stem's features -> logits (B, channels, H, W)."""
        return head(x, detail)
