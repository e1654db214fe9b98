"""LabelMe: one JSON file beside each picture (github.com/wkentaro/labelme).

Shapes lie in the order in which they were drawn, the later above the earlier, as LabelMe's own converters do it. Lines
and points are drawn as wide as these do: 10 pixels, and discs of radius 5 (``line_width`` and ``point_size`` of the
recipe). LabelMe turns pictures upright as their EXIF says before they are drawn on.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from vtadapt.data.readers.annotations.figures import (
    Bitmap,
    Dots,
    Ellipse,
    Figure,
    Line,
    Mask,
    NoArea,
    Polygon,
    Size,
    box,
)
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.node import Node, Points, read_json
from vtadapt.data.readers.annotations.shapes import Annotated, Shape
from vtadapt.data.readers.raw.picture import decoding

NEEDED = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1, "points": 1, "mask": 2}


class LabelMe(Format):
    """See the module's page."""

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        whole = read_json(path)
        if "shapes" not in whole:
            raise whole.wrong("no 'shapes', wanted a file of LabelMe")
        height, width = whole.at("imageHeight"), whole.at("imageWidth")
        known = height.value is not None and width.value is not None
        size = (height.whole(1), width.whole(1)) if known else None
        return [Annotated((), size, partial(_shapes, whole), str(path))]


def embedded_picture(path: Path) -> bytes:
    """The picture that a LabelMe file holds itself (``imageData``).

    Raises:
        DataError: it holds none, or no base64.
    """
    data = read_json(path).at("imageData")
    if data.value is None:
        raise data.wrong("no picture in it; name the pictures themselves in 'image' (options of the recipe)")
    return unpacked(data)


def unpacked(node: Node) -> bytes:
    """The bytes of a text in base64."""
    try:
        return base64.b64decode("".join(node.text().split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise node.wrong(f"no base64 ({error})") from error


def _shapes(whole: Node, size: Size) -> list[Shape]:
    del size
    return [_shape(node) for node in whole.at("shapes").items()]


def _shape(node: Node) -> Shape:
    label = node.need("label").text()
    kind = node.at("shape_type")
    figure = _figure(node, "polygon" if kind.value is None else kind.text())
    return Shape(label, None, figure, f"{node.path}: {node.place} ({label!r})")


def _figure(node: Node, kind: str) -> Figure:
    if kind not in NEEDED:
        return NoArea(node.at("shape_type").unlike(f"one of {', '.join(NEEDED)}"))
    points = node.need("points").points(NEEDED[kind])
    if kind == "polygon":
        return Polygon(points)
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return Ellipse(points[0, 0], points[0, 1], radius, radius)
    if kind in ("line", "linestrip"):
        return Line(points)
    if kind in ("point", "points"):
        return Dots(points)
    low, high = points[:2].min(axis=0), points[:2].max(axis=0)
    return box(*low, *high) if kind == "rectangle" else _mask(node, low)


def _mask(node: Node, corner: Points) -> Bitmap:
    """A mask beside its box, a PNG in base64; its first pixel is the box's upper left one."""
    mask = mask_of_png(unpacked(node.need("mask")), node.path)
    return Bitmap(mask, round(float(corner[1])), round(float(corner[0])))


def mask_of_png(data: bytes, path: Path) -> Mask:
    """Where a picture is not black, or where it is not transparent if it has an alpha channel.

    Raises:
        DataError: it is broken or too large.
    """
    with decoding(path, data), Image.open(io.BytesIO(data)) as picture:
        if picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info:
            return np.asarray(picture.convert("RGBA"))[..., 3] > 0
        array = np.asarray(picture)
        return np.asarray(array.any(axis=2) if array.ndim == 3 else array != 0)
