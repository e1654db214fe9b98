"""What is drawn: polygons with holes, boxes, ellipses, lines, points and masks, each as the pixels that it covers.

Coordinates are in pixels, x to the right and y down; pixel (column u, row v) covers [u, u + 1) x [v, v + 1). An area
holds the pixels whose centre (u + 0.5, v + 0.5) lies in it or on its edge; a line those whose centre lies within half
its width of it. What lies outside of the picture is cut off.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.annotations.node import Points
from vtadapt.errors import DataError

Size = tuple[int, int]
Mask = NDArray[np.bool_]


class Patch(NamedTuple):
    """Pixels of a figure: ``mask`` (h, w), whose first pixel is that of row ``top`` and column ``left``."""

    mask: Mask
    top: int
    left: int


class Strokes(NamedTuple):
    """How wide lines, and how large points are drawn: the width of a line and the radius of a point, in pixels."""

    line: float
    point: float


class Figure(ABC):
    """One drawing."""

    @abstractmethod
    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """Its pixels in a picture of ``size`` (height, width)."""


@dataclass(frozen=True)
class Polygon(Figure):
    """An area; ``holes`` are cut out of it. Each ring is (n, 2) x, y; crossing rings are filled even-odd."""

    ring: Points
    holes: Sequence[Points] = ()

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        del strokes
        window = _window([self.ring], 0, size)
        mask = _filled(self.ring, window)
        for hole in self.holes:
            mask &= ~_filled(hole, window)
        return Patch(mask, window[0], window[1])


@dataclass(frozen=True)
class Regions(Figure):
    """Several areas of one object."""

    parts: Sequence[Figure]

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        whole = np.zeros(size, bool)
        for part in self.parts:
            mask, top, left = part.patch(size, strokes)
            whole[top : top + mask.shape[0], left : left + mask.shape[1]] |= mask
        return cropped(whole)


@dataclass(frozen=True)
class Ellipse(Figure):
    """Centre, both radii, and how far it is turned: degrees clockwise."""

    x: float
    y: float
    rx: float
    ry: float
    turned: float = 0.0

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        del strokes
        reach = max(self.rx, self.ry)
        centre = np.array([[self.x, self.y]])
        window = _window([centre], reach, size)
        x, y = _centres(window)
        angle = math.radians(self.turned)
        along = (x - self.x) * math.cos(angle) + (y - self.y) * math.sin(angle)
        across = (y - self.y) * math.cos(angle) - (x - self.x) * math.sin(angle)
        if min(self.rx, self.ry) <= 0:
            return Patch(np.zeros(along.shape, bool), window[0], window[1])
        return Patch((along / self.rx) ** 2 + (across / self.ry) ** 2 <= 1, window[0], window[1])


@dataclass(frozen=True)
class Line(Figure):
    """A line through (n, 2) points; ``closed``: and back to the first."""

    points: Points
    closed: bool = False

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        ends = np.concatenate([self.points, self.points[:1]]) if self.closed else self.points
        reach = strokes.line / 2
        whole = _window([ends], reach, size)
        mask = np.zeros((whole[2] - whole[0], whole[3] - whole[1]), bool)
        for a, b in zip(ends[:-1], ends[1:], strict=True):
            part = _window([np.stack([a, b])], reach, size)
            x, y = _centres(part)
            step = b - a
            length = float(step @ step)
            share = np.clip(((x - a[0]) * step[0] + (y - a[1]) * step[1]) / length, 0, 1) if length else 0.0 * x * y
            near = np.hypot(x - a[0] - share * step[0], y - a[1] - share * step[1]) <= reach
            mask[part[0] - whole[0] : part[2] - whole[0], part[1] - whole[1] : part[3] - whole[1]] |= near
        return Patch(mask, whole[0], whole[1])


@dataclass(frozen=True)
class Dots(Figure):
    """Points (n, 2), each drawn as a disc."""

    points: Points

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        return Regions([Ellipse(x, y, strokes.point, strokes.point) for x, y in self.points]).patch(size, strokes)


@dataclass(frozen=True)
class Bitmap(Figure):
    """A mask whose first pixel lies at row ``top``, column ``left``."""

    mask: Mask
    top: int = 0
    left: int = 0

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        del strokes
        up, before = max(0, -self.top), max(0, -self.left)
        top, left = max(0, self.top), max(0, self.left)
        kept = self.mask[up : up + max(0, size[0] - top), before : before + max(0, size[1] - left)]
        return Patch(kept, min(top, size[0]), min(left, size[1]))


@dataclass(frozen=True)
class Unread(Figure):
    """A figure that is decoded when it is drawn, such as a run-length code; of the picture's (height, width)."""

    read: Callable[[Size], Figure]

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        return self.read(size).patch(size, strokes)


@dataclass(frozen=True)
class NoArea(Figure):
    """An annotation that is no area, such as a cuboid; to draw it is refused."""

    problem: DataError

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """Raise the problem."""
        del size, strokes
        raise self.problem


def box(x1: float, y1: float, x2: float, y2: float, turned: float = 0.0) -> Polygon:
    """A box between two corners, turned clockwise about its centre by so many degrees."""
    return Polygon(turn(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]), ((x1 + x2) / 2, (y1 + y2) / 2), turned))


def turn(points: Points, about: tuple[float, float], degrees: float) -> Points:
    """(n, 2) points turned clockwise, as y goes down."""
    if not degrees:
        return points
    angle = math.radians(degrees)
    x, y = points[:, 0] - about[0], points[:, 1] - about[1]
    turned = [x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)]
    return np.stack(turned, axis=1) + np.array(about)


def cropped(mask: Mask) -> Patch:
    """The smallest window of a mask of the whole picture that holds all of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return Patch(mask[:0, :0], 0, 0)
    return Patch(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(rows[0]), int(columns[0]))


def _window(rings: Sequence[Points], reach: float, size: Size) -> tuple[int, int, int, int]:
    """Top, left, bottom and right (the latter two not included) of what the points may cover, within the picture."""
    every = np.concatenate(rings)
    low, high = np.floor(every.min(axis=0) - reach), np.ceil(every.max(axis=0) + reach) + 1
    left, top = (int(np.clip(v, 0, most)) for v, most in zip(low, size[::-1], strict=True))
    right, bottom = (int(np.clip(v, 0, most)) for v, most in zip(high, size[::-1], strict=True))
    return top, left, max(top, bottom), max(left, right)


def _centres(window: tuple[int, int, int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X (1, w) and y (h, 1) of the centres of the pixels of a window."""
    top, left, bottom, right = window
    columns, rows = np.arange(left, right, dtype=np.float64), np.arange(top, bottom, dtype=np.float64)
    return columns[None] + 0.5, rows[:, None] + 0.5


def _filled(ring: Points, window: tuple[int, int, int, int]) -> Mask:
    """The pixels of a window whose centres lie in a ring, or on its edge."""
    from skimage.draw import polygon

    top, left, bottom, right = window
    mask = np.zeros((bottom - top, right - left), bool)
    if mask.size:
        rows, columns = polygon(ring[:, 1] - 0.5 - top, ring[:, 0] - 0.5 - left, mask.shape)
        mask[rows, columns] = True
    return mask
