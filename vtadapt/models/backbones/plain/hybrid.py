"""A hybrid transformer in plain PyTorch: the inverted residuals of an EfficientNet-Lite, then the stages of a Swin.

Levels at strides 4 and 8, and the way to stride 16, are convolutions; attention begins at stride 16, where it is cheap
and where the adapters are. Convolutions have no batch norm: its statistics and scale are folded into their weights, as
all who run a network do. No library is imported, see :mod:`vtadapt.models.backbones.plain.swin`.

Sources: EfficientNet (Tan and Le, ICML 2019, arXiv 1905.11946) in its Lite form (ReLU6, no squeeze and excitation);
hybrids of convolutions and attention as in ViT (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.backbones.plain.swin import Stage

STEM = 32  # channels after the first convolution
Part = tuple[int, int, int, int, int]
"""(blocks, kernel, stride of the first, expansion, channels), as tables of EfficientNet have it."""


class SameConv(nn.Conv2d):
    """A convolution with bias whose output has the size of its input over the stride, rounded up.

    TensorFlow's "SAME": of an odd number of rows to pad, the one more is at the bottom; likewise columns at the right.
    """

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        """Create."""
        super().__init__(inside, outside, kernel, stride, groups=groups)
        self.side, self.step = kernel, stride

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        down, right = (max((-(-n // self.step) - 1) * self.step + self.side - n, 0) for n in input.shape[-2:])
        if down == right and down % 2 == 0:
            return F.conv2d(input, self.weight, self.bias, self.step, down // 2, 1, self.groups)
        padding = (right // 2, right - right // 2, down // 2, down - down // 2)
        return super().forward(F.pad(input, padding))


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, pointwise projection; added to what entered where sizes allow."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        """Create; an ``expansion`` of 1 has no first convolution."""
        super().__init__()
        wide = inside * expansion
        self.expand: nn.Module | None = SameConv(inside, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, outside, 1)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


def inverted_residuals(inside: int, parts: Sequence[Part]) -> nn.Sequential:
    """The blocks of ``parts``, one after another, for ``inside`` channels."""
    blocks: list[nn.Module] = []
    for count, kernel, stride, expansion, outside in parts:
        for i in range(count):
            blocks.append(InvertedResidual(inside, outside, kernel, stride if i == 0 else 1, expansion))
            inside = outside
    return nn.Sequential(*blocks)


class Convolutions(nn.Module):
    """(B, H, W, C) -> (B, h, w, out): inverted residuals, and a linear layer and a norm where tokens begin."""

    def __init__(self, inside: int, parts: Sequence[Part], tokens: int | None = None) -> None:
        """Create for ``inside`` channels; ``tokens``: channels of the stage of transformer blocks that follows."""
        super().__init__()
        self.convolutions = inverted_residuals(inside, parts)
        self.embed: nn.Module = nn.Identity()
        if tokens:
            self.embed = nn.Sequential(nn.Linear(parts[-1][-1], tokens), nn.LayerNorm(tokens))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; channels last all the way, so that nothing is copied between tokens and maps."""
        return self.embed(self.convolutions(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous())


class Stem(nn.Module):
    """(B, 3, H, W) -> (B, H/4, W/4, C): the first convolution and the inverted residuals up to stride 4."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Create."""
        super().__init__()
        self.first = SameConv(3, STEM, 3, 2)
        self.rest = Convolutions(STEM, parts)

    def forward(self, x: Tensor) -> Tensor:
        """Embed; H and W are multiples of 4."""
        return self.rest(F.relu6(self.first(x)).permute(0, 2, 3, 1))


class ConvStage(nn.Module):
    """A stage without transformer blocks."""

    def __init__(self, downsample: nn.Module) -> None:
        """Create; ``downsample`` is all that it does."""
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential()


class PlainHybrid(nn.Module):
    """The modules of a hybrid, which :class:`vtadapt.models.backbones.families.swin.SwinBackbone` runs; no classifier.

    Attributes:
        feature_info: of every stage {"num_chs", "reduction"}: its channels, and pixels per token and side.
    """

    def __init__(
        self,
        *,
        img_size: int,
        convolutions: Sequence[Sequence[Sequence[int]]],
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: int,
    ) -> None:
        """Create; weights wait for a state dict, or for :func:`vtadapt.models.backbones.plain.swin.initialise`.

        Args:
            img_size: side in pixels of the images whose maps bound the windows; others may be of any size.
            convolutions: three lists of parts, see :data:`Part`: up to stride 4, to 8 and to 16.
            embed_dim: channels C of the stage at stride 16; the one at stride 32 has 2 C.
            depths: transformer blocks of these two stages.
            num_heads: attention heads of these two stages.
            window_size: side of the windows in tokens.
        """
        super().__init__()
        parts = [[_part(part) for part in stage] for stage in convolutions]
        fine, middle = (stage[-1][-1] for stage in parts[:2])
        window, side = (window_size, window_size), img_size // 16
        self.patch_embed = Stem(parts[0])
        stages: list[nn.Module] = [ConvStage(nn.Identity()), ConvStage(Convolutions(fine, parts[1]))]
        deep = Stage(embed_dim, embed_dim, depths[0], num_heads[0], window, (side, side))
        deep.downsample = Convolutions(middle, parts[2], embed_dim)
        stages.append(deep)
        last = (side // 2, side // 2)
        stages.append(Stage(embed_dim, 2 * embed_dim, depths[1], num_heads[1], window, last))
        self.layers = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(2 * embed_dim)
        channels = (fine, middle, embed_dim, 2 * embed_dim)
        self.feature_info: list[dict[str, Any]] = [
            {"num_chs": c, "reduction": 4 * 2**i} for i, c in enumerate(channels)
        ]


def _part(part: Sequence[int]) -> Part:
    count, kernel, stride, expansion, channels = part
    return count, kernel, stride, expansion, channels
