"""The regions of Label Studio: polygons, boxes, ellipses and points in percent of the picture, and brushed masks."""

from __future__ import annotations

import numpy as np

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
    Unread,
    box,
    turn,
)
from vtadapt.data.readers.annotations.node import Node
from vtadapt.data.readers.annotations.shapes import Shape

LABELS = {
    "polygonlabels": "polygon",
    "brushlabels": "brush",
    "rectanglelabels": "rectangle",
    "ellipselabels": "ellipse",
    "keypointlabels": "keypoint",
    "vectorlabels": "vector",
    "bitmasklabels": "bitmask",
}
"""Key of the names of a region -> what it is."""


def drawn_by(region: Node) -> str | None:
    """The type of a region that is drawn; None of answers to questions, choices and the like."""
    kind = region.at("type").value if isinstance(region.value, dict) else None
    if kind in LABELS or kind in LABELS.values():
        return str(kind)
    held = region.value if isinstance(region.value, dict) else {}
    return next((key for key in LABELS if held.get(key)), None)


def shapes_of(region: Node, size: Size) -> list[Shape]:
    """One shape for each of the names of a region; mostly one."""
    kind = drawn_by(region)
    value = region.at("value") if "value" in region else region
    if kind is None:
        return []
    names = next((value.at(key) for key in (kind, "labels", *LABELS) if value.at(key).value), value.at(kind))
    if names.value is None:
        raise region.wrong("a region without a name; label it, or delete it")
    if "image_rotation" in region and region.at("image_rotation").number() % 360:
        raise region.wrong("drawn on a picture that was turned in the tool (image_rotation), which is not read")
    labels = [name.text() for name in names.items()]
    if len(labels) > 1:
        raise names.wrong(f"names {labels[0]!r} and {labels[1]!r} for one region; a pixel has one class")
    figure = _figure(LABELS.get(kind, kind), value, size)
    return [Shape(label, None, figure, f"{region.path}: {region.place} ({label!r})") for label in labels]


def _figure(kind: str, value: Node, size: Size) -> Figure:
    scale = np.array(size[::-1]) / 100
    if kind == "brush":
        return Unread(lambda whole: Bitmap(_brushed(value, whole)))
    if kind in ("polygon", "vector"):
        points = value.need("points").points(3 if kind == "polygon" else 2) * scale
        return Polygon(points) if kind == "polygon" else Line(points)
    if kind not in ("rectangle", "ellipse", "keypoint"):
        return NoArea(value.wrong(f"a {kind}, wanted polygons, brushes, boxes, ellipses or points"))
    x, y = (value.need(key).number() * scale[i] for i, key in enumerate("xy"))
    if kind == "keypoint":
        return Dots(np.array([[x, y]]))
    turned = value.at("rotation").number() if "rotation" in value else 0.0
    if kind == "ellipse":
        rx, ry = (value.need(key).number() * scale[i] for i, key in enumerate(("radiusX", "radiusY")))
        return Ellipse(x, y, rx, ry, turned)
    width, height = (value.need(key).number() * scale[i] for i, key in enumerate(("width", "height")))
    return Polygon(turn(box(x, y, x + width, y + height).ring, (x, y), turned))


def _brushed(value: Node, size: Size) -> Mask:
    """Where the alpha of a brushed mask is not 0."""
    if value.at("format").value not in (None, "rle"):
        raise value.at("format").unlike("'rle'")
    codes = [code.whole(0) for code in value.need("rle").items()]
    if len(codes) < 6 or max(codes) > 255:
        raise value.at("rle").wrong("no run-length code of Label Studio")
    flat = _unpacked(codes, size[0] * size[1] * 4, value.at("rle"))
    return flat.reshape(*size, 4)[..., 3] > 0


def _unpacked(codes: list[int], wanted: int, node: Node) -> np.ndarray:
    """The bytes of RGBA that a code holds.

    A stream of bits: how many values there are (32), bits of a value less one (5), and four widths less one (4 each);
    then blocks: whether it repeats one value (1), which width its length less one has (2), the length, and the value
    or values.
    """
    bits = "".join(f"{code:08b}" for code in codes)
    place = 0

    def read(width: int) -> int:
        nonlocal place
        if place + width > len(bits):
            raise node.wrong("a run-length code that is cut short")
        place += width
        return int(bits[place - width : place], 2)

    count = read(32)
    if count != wanted:
        raise node.wrong(f"mask of {count} values, wanted {wanted}: four for each pixel of its picture")
    word = read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    out = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        repeated, length = read(1), read(widths[read(2)]) + 1
        if done + length > count:
            raise node.wrong("a run-length code that is longer than its picture")
        if repeated:
            out[done : done + length] = min(read(word), 255)
        else:
            out[done : done + length] = [min(read(word), 255) for _ in range(length)]
        done += length
    return out
