"""Decoders from the adapted features to the tokens that the heads draw from."""

from __future__ import annotations

from typing import Literal, Protocol, cast

from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.models.backbones.families.windows import keep_mask


class WindowedEncoder(Protocol):
    """What decoders ask of an encoder."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""

    @property
    def window(self) -> int:
        """Window size of the last level."""


class PatchExpand(nn.Module):
    """(N, H, W, C) -> (N, sH, sW, out): each token becomes s x s tokens (Swin-Unet, Cao et al. 2021)."""

    def __init__(self, dim: int, out: int, scale: int = 2) -> None:
        """Create the linear layer C -> s s out and the norm after it."""
        super().__init__()
        self.scale, self.out = scale, out
        self.linear = nn.Linear(dim, scale * scale * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Expand."""
        n, h, w, _ = x.shape
        s = self.scale
        # The inverse of patch merging: rows and columns of the s x s block go beside those of the map.
        return self.split(x).permute(0, 1, 3, 2, 4, 5).reshape(n, h * s, w * s, self.out)

    def split(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, s, s, out): the new tokens, still token by token of the old."""
        return self.norm(self.linear(x).unflatten(-1, (self.scale, self.scale, self.out)))


class SwinDecoder(nn.Module):
    """The paper's decoder: patch expand, concatenate the skip, Linear, two Swin blocks, from H/32 to H/4, then x4."""

    def __init__(self, channels: tuple[int, ...], window: int, depth: int = 2) -> None:
        """Create one level per stage boundary of an encoder with ``channels`` (finest first)."""
        from timm.models.swin_transformer import SwinTransformerBlock  # here: it takes seconds, and few runs have it

        super().__init__()
        levels = list(zip(channels[::-1], channels[-2::-1], strict=False))
        self.expand = nn.ModuleList(PatchExpand(coarse, fine) for coarse, fine in levels)
        self.fuse = nn.ModuleList(nn.Linear(2 * fine, fine) for _, fine in levels)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    SwinTransformerBlock(
                        dim=fine,
                        input_resolution=(window, window),
                        # Heads of 32 channels, as in Swin; widths below that still need one.
                        num_heads=max(1, fine // 32),
                        window_size=window,
                        shift_size=0 if i % 2 == 0 else window // 2,
                        # Decoders see images of any size: timm must not fix windows or masks for the size at
                        # construction.
                        always_partition=True,
                        dynamic_mask=True,
                    )
                    for i in range(depth)
                )
            )
            for _, fine in levels
        )
        for blocks in self.blocks:
            for block in cast(nn.Sequential, blocks):
                keep_mask(block)
        self.final = PatchExpand(channels[0], channels[0], scale=4)
        self.width, self.scale = channels[0], 1  # pixels per side that a head makes of one token

    @property
    def last(self) -> PatchExpand:
        """What makes pixels of :meth:`tokens`."""
        return self.final

    def forward(self, features: list[Tensor], skips: tuple[Tensor, ...]) -> Tensor:
        """Decode; arguments as for :meth:`tokens`.

        Returns:
            (B, T, width, H, W).
        """
        x = self.tokens(features, skips).movedim(2, -1)
        return self.final(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1])).movedim(-1, 2)

    def tokens(self, features: list[Tensor], skips: tuple[Tensor, ...]) -> Tensor:
        """All but the last expansion, which heads do task by task: at full resolution it is the largest map by far.

        Args:
            features: adapted features, coarse last: (B, T, H/16, W/16, C3) and (B, T, H/32, W/32, C4).
            skips: trunk outputs, finest first: (B, H/4, W/4, C1) and (B, H/8, W/8, C2); shared by all tasks.

        Returns:
            (B, T, width, H/4, W/4).
        """
        t = features[-1].shape[1]
        fine = [*(s[:, None] for s in skips), *features[:-1]]
        x = features[-1].flatten(0, 1)
        for expand, fuse, blocks, skip in zip(self.expand, self.fuse, self.blocks, fine[::-1], strict=True):
            joined = fuse_skip(cast(nn.Linear, fuse), expand(x).unflatten(0, (-1, t)), skip)
            x = blocks(joined.flatten(0, 1))
        return x.permute(0, 3, 1, 2).unflatten(0, (-1, t))


def fuse_skip(fuse: nn.Linear, x: Tensor, skip: Tensor) -> Tensor:
    """Linear(x beside skip), each half by itself: a skip that tasks share is neither repeated nor projected per task.

    Args:
        fuse: 2C -> C.
        x: (B, T, h, w, C).
        skip: (B, T, h, w, C), or with one task for all.

    Returns:
        (B, T, h, w, C).
    """
    own, other = fuse.weight.chunk(2, dim=1)
    return F.linear(x, own, fuse.bias) + F.linear(skip, other)


class ConvBlock(nn.Module):
    """Depthwise 3x3, norm, pointwise expansion, residual: one level of the light decoder (the order of ConvNeXt).

    Channels stay last, the kernel is small and the activation is ReLU: with T tasks at H/4 this block is a large
    part of a training step on a CPU.
    """

    def __init__(self, dim: int, expansion: int = 2) -> None:
        """Create a block for ``dim`` channels."""
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, expansion * dim)
        self.reduce = nn.Linear(expansion * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        # A depthwise convolution costs little beside the two linear layers, which want channels last.
        y = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.reduce(F.relu(self.expand(self.norm(y))))


class LightDecoder(nn.Module):
    """Projects the trunk's skips once for all tasks, adds each task's adapted features, one block per level, to H/4."""

    def __init__(self, channels: tuple[int, ...], width: int = 48, patch: int = 4) -> None:
        """Create projections of all stages' ``channels`` (finest first) to ``width``.

        Each token of the finest stage covers ``patch`` x ``patch`` pixels.
        """
        super().__init__()
        self.project = nn.ModuleList(nn.Sequential(nn.LayerNorm(c), nn.Linear(c, width)) for c in channels)
        self.blocks = nn.ModuleList(ConvBlock(width) for _ in channels)
        self.width, self.scale = width, patch

    @property
    def last(self) -> None:
        """Nothing: heads make pixels of the tokens."""
        return

    def tokens(self, features: list[Tensor], skips: tuple[Tensor, ...]) -> Tensor:
        """The same as :meth:`forward`."""
        return self(features, skips)

    def forward(self, features: list[Tensor], skips: tuple[Tensor, ...]) -> Tensor:
        """Decode; arguments as for :meth:`SwinDecoder.tokens`.

        Returns:
            (B, T, width, H/4, W/4).
        """
        t = features[-1].shape[1]
        x: Tensor | None = None
        for level in reversed(range(len(self.project))):
            shared = level < len(skips)
            # A skip is projected once with an axis of one task, and broadcasts: at H/4 it is the largest map of all.
            y = self.project[level](skips[level][:, None] if shared else features[level - len(skips)])
            if x is not None:  # (B, T, h, w, width), y broadcasts over T where it is shared
                x = F.interpolate(x.permute(0, 3, 1, 2), size=y.shape[2:4], mode="bilinear", align_corners=False)
                y = x.permute(0, 2, 3, 1).unflatten(0, (-1, t)) + y
            x = self.blocks[level](y.flatten(0, 1))
        assert x is not None
        return x.permute(0, 3, 1, 2).unflatten(0, (-1, t))


def make_decoder(kind: Literal["light", "swin"], encoder: WindowedEncoder, width: int) -> SwinDecoder | LightDecoder:
    """One decoder for an encoder's levels; ``width``: channels of the light one."""
    if kind == "swin":
        return SwinDecoder(encoder.channels, encoder.window)
    return LightDecoder(encoder.channels, width)
