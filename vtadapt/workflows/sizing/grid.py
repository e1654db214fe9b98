"""Where tiles lie in a picture and how much each of them counts there: pure geometry, one axis at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

OVERLAP = 0.25
"""Of a tile's side: what it shares with its neighbour at least."""


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of a picture.

    Tiles begin at multiples of ``unit``, the pixels that a network's coarsest token or window covers, so that tokens
    lie where they lie in the whole picture. All are ``tile`` pixels long but the last, which ends with the picture.

    Attributes:
        length: of the side, in pixels.
        tile: length of a tile, a multiple of ``unit``.
        unit: see above.
    """

    length: int
    tile: int
    unit: int

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """(begin, end) of each tile in pixels, evenly spaced, neighbours sharing a quarter of a tile or more."""
        total, tile = math.ceil(self.length / self.unit), self.tile // self.unit
        if total <= tile:
            return ((0, self.length),)
        overlap = max(1, round(OVERLAP * tile))
        count = math.ceil((total - overlap) / (tile - overlap))
        begins = [i * (total - tile) // (count - 1) * self.unit for i in range(count)]
        return tuple((begin, min(begin + self.tile, self.length)) for begin in begins)

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """How much each tile counts at each of its pixels, float32; those of all tiles sum to 1 at every pixel.

        From one tile to the next the weight moves evenly over the middle half of what they share: the outer quarters,
        where one of the two lacks its surroundings, are the other's alone.
        """
        return tuple(
            self._taken_over(i, begin, end) - self._taken_over(i + 1, begin, end)
            for i, (begin, end) in enumerate(self.spans)
        )

    def _taken_over(self, index: int, begin: int, end: int) -> Tensor:
        """How far tile ``index`` has taken over from the one before it at pixels ``begin`` to ``end``: 0 to 1."""
        if index in (0, len(self.spans)):
            return torch.full((end - begin,), 1.0 if index == 0 else 0.0)
        here = self.spans[index][0]
        shared = self.spans[index - 1][1] - here
        return ((torch.arange(begin, end) + 0.5 - here - shared / 4) / (shared / 2)).clamp(0, 1)


@dataclass(frozen=True)
class Grid:
    """Tiles of a picture, row by row."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, size: tuple[int, int], tile: tuple[int, int], unit: int) -> Grid:
        """Tiles of ``tile`` (height, width), each rounded up to a multiple of ``unit``, over ``size``."""
        height, width = (n + -n % unit for n in tile)
        return cls(Axis(size[0], height, unit), Axis(size[1], width, unit))

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows.spans) * len(self.columns.spans)
