"""Which heads there are, by the name that settings have for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from vtadapt.models.heads.base import TaskHeads
from vtadapt.models.heads.convex import ConvexHeads
from vtadapt.models.heads.overlap import OverlapHeads
from vtadapt.models.heads.stem import StemHeads
from vtadapt.models.heads.steps import StepHeads
from vtadapt.models.heads.subpixel import SubpixelHeads

HeadKind = Literal["subpixel", "overlap", "convex", "stem", "x2"]

HEADS: Mapping[HeadKind, Callable[[int, Mapping[str, int], int], TaskHeads]] = {
    "subpixel": SubpixelHeads,
    "overlap": OverlapHeads,
    "convex": ConvexHeads,
    "stem": StemHeads,
    "x2": StepHeads,
}


def make_heads(kind: HeadKind, width: int, channels: Mapping[str, int], scale: int) -> TaskHeads:
    """Heads for a decoder of ``width`` channels whose tokens have ``scale`` pixels a side.

    With scale 1 the decoder has drawn every pixel already, and a head is one 1x1 convolution whatever its kind.
    """
    if scale == 1:
        return SubpixelHeads(width, channels)
    return HEADS[kind](width, channels, scale)
