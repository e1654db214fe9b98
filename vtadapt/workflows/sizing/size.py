"""What ``--size`` and ``--tile`` mean for a picture: the size that the network works at, and in which pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor
from torch.nn import functional as F

from vtadapt.errors import UsageError
from vtadapt.workflows.sizing.grid import Grid

LARGEST = 16384  # pixels a side
WHOLE = 1024 * 1024  # pixels that --tile auto still gives a network at once
TILE = 512  # pixels a side of the tiles of --tile auto, where the training crops are not larger
FEWEST = 4  # units along a tile, so that a quarter of it is one at least


@dataclass(frozen=True)
class Sizing:
    """How pictures are brought to a network.

    Attributes:
        size: "auto" (as many pixels as the training crops, aspect kept), "native" (the picture's own) or "HxW".
        tile: "none" (whole), "auto" (in tiles where the working size has more than a million pixels), or the tiles'
            size, "N" or "HxW".
    """

    size: str = "auto"
    tile: str = "auto"

    def __post_init__(self) -> None:
        """Tell what is typed wrong before any work.

        Raises:
            UsageError: a size or tile that is none.
        """
        parse_run_size(self.size, (1, 1), (1, 1))
        parse_tile(self.tile)

    def plan(self, own: tuple[int, int], trained: tuple[int, int], units: Sequence[int]) -> Plan:
        """What is done with a picture.

        Args:
            own: (height, width) of it.
            trained: (height, width) of the run's training crops.
            units: of the network, see :func:`units_of`.

        Raises:
            UsageError: tiles that are too small for the network.
        """
        size, tile = parse_run_size(self.size, own, trained), parse_tile(self.tile)
        if tile is None and (self.tile == "none" or size[0] * size[1] <= WHOLE):
            return Plan(size)
        if tile is None:
            tile = max(TILE, trained[0]), max(TILE, trained[1])
        elif min(tile) < (least := FEWEST * units[-1]):
            raise UsageError(
                f"tile {self.tile!r}; this network wants {least} pixels a side or more, {FEWEST} of its tokens"
            )
        grid = Grid.of(size, tile, next(unit for unit in (*units, 1) if min(tile) >= FEWEST * unit))
        return Plan(size, grid if grid.count > 1 else None)


@dataclass(frozen=True)
class Plan:
    """The size that a network works at, (height, width), and the tiles; None for the whole at once."""

    size: tuple[int, int]
    grid: Grid | None = None

    @property
    def report(self) -> dict[str, Any]:
        """What JSON says of it."""
        return {"run_size": list(self.size), "tiles": 1 if self.grid is None else self.grid.count}

    @property
    def pieces(self) -> tuple[int, int]:
        """(height, width) of what the network is given at once, at most."""
        return self.size if self.grid is None else (self.grid.rows.tile, self.grid.columns.tile)

    def words(self, own: tuple[int, int]) -> str:
        """Say it, for a picture of the size ``own``; heights first."""
        size = f"{self.size[0]} x {self.size[1]}"
        size += ", its own size" if self.size == own else f" (its own size is {own[0]} x {own[1]})"
        if self.grid is None:
            return size
        return f"{size}, in {self.grid.count} tiles of {self.pieces[0]} x {self.pieces[1]}"


def units_of(model: Any) -> tuple[int, ...]:
    """Pixels to multiples of which tiles best begin: a window of the coarsest level, where it has some, and a token.

    Where attention has windows, tiles that begin with one see what the whole picture's windows see: by that the bundled
    run's tiles of 512 come four times as near to the whole.
    """
    backbone = cast(Any, model).backbone
    stride, window = int(backbone.stride), getattr(backbone, "window", None)
    return (stride,) if window is None else (int(window) * stride, stride)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) -> (B, C, *size), bilinear, smoothed where it shrinks."""
    h, w = image.shape[-2:]
    if (h, w) == size:
        return image
    shrinks = size[0] < h or size[1] < w
    return F.interpolate(image, size=size, mode="bilinear", antialias=shrinks, align_corners=False)


def parse_run_size(text: str, image: tuple[int, int], trained: tuple[int, int]) -> tuple[int, int]:
    """The size to run at, (height, width), from "auto", "native" or "HxW".

    Raises:
        UsageError: something else.
    """
    if text == "native":
        return image
    if text == "auto":
        factor = math.sqrt(trained[0] * trained[1] / (image[0] * image[1]))
        return max(1, round(image[0] * factor)), max(1, round(image[1] * factor))
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UsageError(f"size {text!r}; wanted auto, native or HEIGHTxWIDTH such as 240x320") from error
    if min(height, width) < 1 or max(height, width) > LARGEST:
        raise UsageError(f"size {text!r}; wanted sides from 1 to {LARGEST}")
    return height, width


def parse_tile(text: str) -> tuple[int, int] | None:
    """The size of tiles, (height, width), from "N" or "HxW"; None for "none" and "auto".

    Raises:
        UsageError: something else.
    """
    if text in ("none", "auto"):
        return None
    try:
        sides = [int(part) for part in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or not 1 <= min(sides) <= max(sides) <= LARGEST:
        raise UsageError(f"tile {text!r}; wanted auto, none, N or HEIGHTxWIDTH such as 512 or 512x768")
    return sides[0], sides[-1]
