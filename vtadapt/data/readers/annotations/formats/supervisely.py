"""Supervisely: one JSON file for each picture, ``ann/PICTURE.jpg.json``.

Objects lie in their order, the later above. Their points are pixels, so that an outline passes through the centres of
pixels, and these belong to the object; the corners of a rectangle, too. A mask is a PNG, packed by zlib and in base64,
whose first pixel lies at its ``origin``. Whether a picture was turned by its EXIF, its size must tell.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vtadapt.data.readers.annotations.figures import Bitmap, Dots, Figure, Line, NoArea, Polygon, Size, box
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.formats.labelme import mask_of_png, unpacked
from vtadapt.data.readers.annotations.node import Node, Points, read_json
from vtadapt.data.readers.annotations.shapes import Annotated, Shape

LARGEST = 1 << 28  # bytes that a mask may have when it is unpacked
KINDS = {"polygon": 3, "rectangle": 2, "line": 2, "point": 1}


class Supervisely(Format):
    """See the module's page."""

    upright = None

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        whole = read_json(path)
        if "objects" not in whole or "size" not in whole:
            raise whole.wrong("no 'objects' and 'size', wanted a file of Supervisely")
        size = whole.at("size")
        shape = (size.need("height").whole(1), size.need("width").whole(1))
        return [Annotated((), shape, partial(_shapes, whole), str(path))]


def _shapes(whole: Node, size: Size) -> list[Shape]:
    del size
    return [_shape(node) for node in whole.at("objects").items()]


def _shape(node: Node) -> Shape:
    label = node.need("classTitle").text()
    return Shape(label, None, _figure(node), f"{node.path}: {node.place} ({label!r})")


def _figure(node: Node) -> Figure:
    given = node.at("geometryType")
    kind = given.text() if given.value is not None else "bitmap" if "bitmap" in node else "polygon"
    if kind == "bitmap":
        return _bitmap(node.need("bitmap"))
    if kind not in KINDS:
        return NoArea(given.unlike(f"one of bitmap, {', '.join(KINDS)}"))
    points = node.need("points")
    outline = points.need("exterior").points(KINDS[kind])
    if kind == "rectangle":
        low, high = outline.min(axis=0), outline.max(axis=0)
        return box(low[0], low[1], high[0] + 1, high[1] + 1)
    if kind != "polygon":
        return Line(_centred(outline)) if kind == "line" else Dots(_centred(outline))
    holes = points.at("interior")
    rings = [] if holes.value is None else [_centred(ring.points(3)) for ring in holes.items()]
    return Polygon(_centred(outline), rings)


def _centred(points: Points) -> Points:
    """Numbers of pixels as the places of their centres."""
    return points + 0.5


def _bitmap(node: Node) -> Bitmap:
    origin = [part.whole() for part in node.need("origin").items()]
    if len(origin) != 2:
        raise node.at("origin").unlike("a point [x, y]")
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(unpacked(node.need("data")), LARGEST)
    except zlib.error as error:
        raise node.at("data").wrong(f"cannot be unpacked ({error})") from error
    if not unpacking.eof:
        raise node.at("data").wrong("cannot be unpacked (cut short, or too large)")
    return Bitmap(mask_of_png(data, node.path), origin[1], origin[0])
