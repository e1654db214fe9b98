"""The simple feature pyramid that makes levels of a plain transformer's one map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Finer(nn.Module):
    """LayerNorm, then each token becomes s x s of fewer channels: a transposed convolution of kernel and stride s."""

    def __init__(self, dim: int, out: int, scale: int) -> None:
        """Create the norm and the linear layer C -> s s out."""
        super().__init__()
        self.scale = scale
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(dim, scale * scale * out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, s h, s w, out)."""
        (b, h, w, _), s = x.shape, self.scale
        y = self.linear(self.norm(x)).view(b, h, w, s, s, -1).permute(0, 1, 3, 2, 4, 5)
        return y.reshape(b, s * h, s * w, -1)


class SimplePyramid(nn.Module):
    """Levels at a quarter, half, one and two strides of the map, as ViTDet has them (Li et al., ECCV 2022).

    The finer two are learned; the map itself is the third, its maximum over 2 x 2 the fourth. Ours: one linear layer in
    place of two transposed convolutions, and the levels are of different blocks.
    """

    def __init__(self, dim: int) -> None:
        """Create for maps of ``dim`` channels."""
        super().__init__()
        self.channels = (max(8, dim // 4), max(8, dim // 2), dim, dim)
        self.finest = Finer(dim, self.channels[0], 4)
        self.fine = Finer(dim, self.channels[1], 2)

    def coarse(self, x: Tensor) -> Tensor:
        """(..., h, w, C) -> (..., ceil(h / 2), ceil(w / 2), C), the maximum of 2 x 2."""
        x = even(x)
        return x.unflatten(-3, (-1, 2)).unflatten(-2, (-1, 2)).amax((-4, -2))


def even(x: Tensor) -> Tensor:
    """Repeat the last row and column of (..., h, w, C) where their number is odd."""
    h, w = x.shape[-3:-1]
    x = torch.cat([x, x[..., -1:, :, :]], dim=-3) if h % 2 else x
    return torch.cat([x, x[..., -1:, :]], dim=-2) if w % 2 else x
