"""YOLO segmentation: one text file for each picture, a line for each object: its class and its outline.

``CLASS x1 y1 x2 y2 ...`` in shares of the picture's width and height. A line of a box (four numbers) is none of
segmentation. The format has no order, so that the smaller of two overlapping objects lies above. Pictures are taken
upright, as their EXIF says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vtadapt.data.readers.annotations.figures import Figure, Polygon, Size, box
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.shapes import Annotated, Overlap, Shape
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.errors import DataError

ROUNDED = 0.01  # how far outside of the picture a point may lie by rounding


class Yolo(Format):
    """See the module's page."""

    numbered = True
    overlap: ClassVar[Overlap] = "smaller"

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        try:
            text = read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: bytes that are not UTF-8, wanted lines 'CLASS x1 y1 x2 y2 ...'") from error
        lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        return [Annotated((), None, partial(_shapes, path, lines), str(path))]


def _shapes(path: Path, lines: Sequence[tuple[int, list[str]]], size: Size) -> list[Shape]:
    return [_shape(words, f"{path}: line {number}", size) for number, words in lines]


def _shape(words: Sequence[str], where: str, size: Size) -> Shape:
    wanted = "wanted 'CLASS x1 y1 x2 y2 ...'"
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise DataError(f"{where}: {' '.join(words)[:40]!r}, {wanted}") from error
    if not all(map(math.isfinite, numbers)) or numbers[0] != int(numbers[0]) or numbers[0] < 0:
        raise DataError(f"{where}: {' '.join(words)[:40]!r}, {wanted} with a whole number first")
    flat = numbers[1:]
    if len(flat) != 4 and (len(flat) < 6 or len(flat) % 2):
        raise DataError(f"{where}: {len(flat)} numbers behind the class, {wanted} of at least 3 points")
    if min(flat) < -ROUNDED or max(flat) > 1 + ROUNDED:
        odd = next(value for value in flat if not -ROUNDED <= value <= 1 + ROUNDED)
        raise DataError(f"{where}: {odd:g}, wanted shares of width and height from 0 to 1")
    scaled = np.array(flat).reshape(-1, 2) * size[::-1]
    return Shape("", int(numbers[0]), _figure(scaled), where, boxed=len(flat) == 4)


def _figure(points: np.ndarray) -> Figure:
    if len(points) > 2:
        return Polygon(points)
    (x, y), (width, height) = points
    return box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
