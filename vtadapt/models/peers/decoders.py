"""One task's decoder and head on an encoder's levels: DeepLab's ASPP, or the decoders of the adapted model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.decoder import LightDecoder, SwinDecoder
from vtadapt.models.heads.make import make_heads
from vtadapt.models.multitask import Encoder
from vtadapt.models.peers.base import Kind, PeerConfig

SKIP_WIDTH = 24  # channels of a finer level that is joined in; DeepLabv3+ has 48 beside 256, ours is narrower


class ConvNorm(nn.Sequential):
    """Convolution, group norm, ReLU; group norm because batches are small."""

    def __init__(self, dim: int, out: int, kernel: int = 1, dilation: int = 1) -> None:
        """Create for ``dim`` -> ``out`` channels; the size of the map is kept."""
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(dim, out, kernel, padding=padding, dilation=dilation, bias=False),
            nn.GroupNorm(math.gcd(8, out), out),
            nn.ReLU(inplace=True),
        )


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling (DeepLabv3, Chen et al. 2017).

    A 1x1 convolution, one 3x3 convolution per dilation and the mean over the image, side by side, then a 1x1
    convolution [paper]; narrower, with group norm for batch norm, and smaller dilations by default [ours].
    """

    def __init__(self, dim: int, width: int, rates: Sequence[int]) -> None:
        """Create for ``dim`` -> ``width`` channels."""
        super().__init__()
        self.branches = nn.ModuleList([ConvNorm(dim, width), *(ConvNorm(dim, width, 3, rate) for rate in rates)])
        # No norm on the image's mean: at 1x1 a group norm would leave little of it.
        self.pool = nn.Sequential(nn.Conv2d(dim, width, 1), nn.ReLU(inplace=True))
        self.project = ConvNorm(width * (len(rates) + 2), width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, width, h, w)."""
        pooled = self.pool(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1))


class Merge(nn.Module):
    """Bring a map to the size of a finer level and join that level in: the decoder of DeepLabv3+ (Chen et al. 2018)."""

    def __init__(self, width: int, skip: int) -> None:
        """Create for maps of ``width`` channels and a finer level of ``skip`` channels."""
        super().__init__()
        self.skip = ConvNorm(skip, SKIP_WIDTH)
        self.fuse = ConvNorm(width + SKIP_WIDTH, width, 3)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """(B, width, h, w), (B, skip, H, W) -> (B, width, H, W)."""
        x = F.interpolate(x, size=finer.shape[2:], mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([x, self.skip(finer)], dim=1))


class AsppDecoder(nn.Module):
    """ASPP on the coarsest level, then the finest joined in: DeepLabv3+ in small [ours: widths; paper: ResNet-50, 256].

    The finest level is joined because at stride 16 a 128x128 image is 8x8, where no edge can be drawn.
    """

    def __init__(self, channels: tuple[int, ...], width: int, rates: Sequence[int], patch: int = 4) -> None:
        """Create for levels of ``channels``, finest first; the finest has ``patch`` x ``patch`` pixels a position."""
        super().__init__()
        self.aspp = Aspp(channels[-1], width, rates)
        self.merge = Merge(width, channels[0])
        self.width, self.scale = width, patch

    def forward(self, features: list[Tensor]) -> Tensor:
        """Levels (B, h, w, C), finest first -> (B, width, H/4, W/4)."""
        return self.merge(self.aspp(channels_first(features[-1])), channels_first(features[0]))


class OneTask(nn.Module):
    """A decoder of the adapted model, used for one task on its own levels."""

    def __init__(self, decoder: LightDecoder | SwinDecoder, adapted: int = 2) -> None:
        """Wrap; the last ``adapted`` levels are handed over as those that tasks do not share."""
        super().__init__()
        self.decoder, self.adapted = decoder, adapted
        self.width, self.scale = decoder.width, decoder.scale

    def forward(self, features: list[Tensor]) -> Tensor:
        """Levels (B, h, w, C), finest first -> (B, width, h', w')."""
        own = [level[:, None] for level in features[-self.adapted :]]
        return self.decoder(own, tuple(features[: -self.adapted]))[:, 0]


class Branch(nn.Module):
    """Everything of one task after the encoder: decoder and head (the adapted model's)."""

    def __init__(self, task: str, channels: int, encoder: Encoder, kind: Kind, config: PeerConfig) -> None:
        """Create for a task with ``channels`` outputs.

        Raises:
            ConfigError: the decoder does not fit the encoder.
        """
        super().__init__()
        self.task = task
        self.decoder = make_decoder(encoder, kind, config)
        self.heads = make_heads(config.head, self.decoder.width, {task: channels}, self.decoder.scale)

    def forward(self, features: list[Tensor], image: Tensor, size: tuple[int, int]) -> Tensor:
        """Levels of the image (B, 3, H', W') as the encoder reads it -> logits (B, channels, *size), before padding."""
        return self.heads(self.decoder(features)[:, None], (self.task,), image, size)[self.task]


def make_decoder(encoder: Encoder, kind: Kind, config: PeerConfig) -> AsppDecoder | OneTask:
    """Build a decoder that takes an encoder's levels.

    Raises:
        ConfigError: a Swin decoder on an encoder whose levels do not halve.
    """
    if kind == "aspp":
        return AsppDecoder(encoder.channels, config.decoder_width, config.rates)
    if kind == "light":
        return OneTask(LightDecoder(encoder.channels, config.decoder_width))
    return OneTask(SwinDecoder(encoder.channels, window_of(encoder), config.swin_depth))


def window_of(encoder: Encoder) -> int:
    """Window size of a Swin, a SwinV2 or a plain ViT.

    Raises:
        ConfigError: it is none of these.
    """
    window = getattr(encoder, "window", None)
    if window is None:
        raise ConfigError(
            f"backbone {encoder.name!r} is no Swin, SwinV2 or plain ViT; Swin decoders need the windows of one, "
            "such as --backbone swin_lite"
        )
    return int(window)


def channels_first(x: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, C, h, w)."""
    return x.permute(0, 3, 1, 2)
