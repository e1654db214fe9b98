"""CVAT: one XML file of "CVAT for images 1.1" for many pictures.

Shapes of a higher ``z_order`` lie above; of those with the same the later. CVAT shows pictures upright as their EXIF
says. Tags are of the whole picture and drawn nowhere. The file is parsed with defusedxml: entities are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vtadapt.data.readers.annotations.figures import Bitmap, Dots, Ellipse, Figure, Line, NoArea, Polygon, Size, box
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.node import Node, Points
from vtadapt.data.readers.annotations.shapes import Annotated, Shape
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.errors import DataError

LARGEST = 1 << 28  # pixels of a mask
SHAPES = ("polygon", "polyline", "points", "box", "ellipse", "mask", "skeleton", "cuboid")


class Cvat(Format):
    """See the module's page."""

    many = True

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        root = parse_xml(path)
        if root.tag != "annotations":
            raise DataError(f"{path}: XML of <{root.tag}>, wanted <annotations> of CVAT for images 1.1")
        if root.find("track") is not None:
            raise DataError(f"{path}: 'CVAT for video', whose shapes are tracks; export it as 'CVAT for images 1.1'")
        found = []
        for i, element in enumerate(root.iter("image")):
            image = Node(dict(element.attrib), path, f"image[{i}]")
            name = image.need("name").text()
            size = (image.need("height").whole(1), image.need("width").whole(1))
            nodes = [(child.tag, dict(child.attrib)) for child in element if child.tag in SHAPES]
            where = f"{path}: image {name!r}"
            found.append(Annotated((name,), size, partial(_shapes, nodes, path, name), where))
        return found


def parse_xml(path: Path) -> Any:
    """The root of an XML file.

    Raises:
        DataError: it is broken, or declares entities.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    data = read_bytes(path)
    if not data.strip():
        raise DataError(f"{path}: an empty file, wanted XML")
    try:
        return fromstring(data)
    except DefusedXmlException as error:
        raise DataError(f"{path}: XML that declares entities, which are not read; remove its <!DOCTYPE>") from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:  # LookupError: an unknown encoding
        raise DataError(f"{path}: no XML ({' '.join(str(error).split())[:120]})") from error


def _shapes(nodes: Sequence[tuple[str, Mapping[str, str]]], path: Path, name: str, size: Size) -> list[Shape]:
    del size
    return [_shape(tag, Node(value, path, f"image {name!r}, {tag}[{i}]")) for i, (tag, value) in enumerate(nodes)]


def _shape(tag: str, node: Node) -> Shape:
    label = node.need("label").text()
    layer = node.at("z_order").number() if "z_order" in node else 0.0
    return Shape(label, None, _figure(tag, node), f"{node.path}: {node.place} ({label!r})", layer)


def _figure(tag: str, node: Node) -> Figure:
    if tag == "mask":
        return _mask(node)
    turned = node.at("rotation").number() if "rotation" in node else 0.0
    if tag == "box":
        left, top, right, bottom = (node.need(key).number() for key in ("xtl", "ytl", "xbr", "ybr"))
        return box(left, top, right, bottom, turned)
    if tag == "ellipse":
        x, y, rx, ry = (node.need(key).number() for key in ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, rx, ry, turned)
    if tag in ("skeleton", "cuboid"):
        return NoArea(node.wrong(f"a {tag} is no area; name its label in 'ignore' of the recipe to leave it out"))
    points = _points(node.need("points"), {"polygon": 3, "polyline": 2}.get(tag, 1))
    return Polygon(points) if tag == "polygon" else Line(points) if tag == "polyline" else Dots(points)


def _points(node: Node, least: int) -> Points:
    """``x,y;x,y;...``."""
    pairs = [pair.split(",") for pair in node.text().split(";") if pair.strip()]
    return Node([list(pair) for pair in pairs], node.path, node.place).points(least)


def _mask(node: Node) -> Bitmap:
    """Runs that begin with pixels outside of the mask, row by row through its box."""
    left, top, width, height = (node.need(key).whole() for key in ("left", "top", "width", "height"))
    runs = [Node(run, node.path, f"{node.place}.rle").whole(0) for run in node.need("rle").text().split(",")]
    if min(width, height) < 1 or width * height > LARGEST or sum(runs) != width * height:
        raise node.wrong(f"runs of {sum(runs)} pixels in a mask of {width}x{height}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return Bitmap(flat.reshape(height, width), top, left)
