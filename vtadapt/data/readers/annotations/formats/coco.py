"""COCO: one JSON file of instances for many pictures (cocodataset.org, "data format").

The format has no order of objects, so that the smaller of two overlapping ones lies above, whichever comes first.
Crowds (``iscrowd``) are drawn as what they are a crowd of. Polygons and run-length codes, compressed or not, become
masks by pycocotools. Nothing in the format says whether pictures were turned by their EXIF: their sizes must tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vtadapt.data.readers.annotations.figures import Bitmap, Figure, Mask, NoArea, Polygon, Regions, Size, Unread, box
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.node import Node, read_json
from vtadapt.data.readers.annotations.shapes import Annotated, Overlap, Shape


class Coco(Format):
    """See the module's page."""

    many, numbered = True, True
    overlap: ClassVar[Overlap] = "smaller"
    upright = None

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        whole = read_json(path)
        for key in ("images", "annotations", "categories"):
            if key not in whole:
                raise whole.wrong(f"no {key!r}, wanted a file of COCO")
        names = category_names(whole)
        images = list(whole.at("images").items())
        of_image: dict[int, list[Node]] = {image.need("id").whole(): [] for image in images}
        for node in whole.at("annotations").items():
            number = node.need("image_id").whole()
            if number not in of_image:
                raise node.wrong(f"image_id {number}, which is none of 'images'")
            of_image[number].append(node)
        return [_annotated(image, of_image[image.need("id").whole()], names) for image in images]


def category_names(whole: Node) -> dict[int, str]:
    """Number -> name of each category."""
    found: dict[int, str] = {}
    for node in whole.at("categories").items():
        number = node.need("id").whole()
        if number in found:
            raise node.wrong(f"id {number} is that of category {found[number]!r}, too")
        found[number] = node.need("name").text()
    return found


def size_of(image: Node) -> Size | None:
    """(height, width) of an entry of ``images``."""
    if "height" not in image or "width" not in image:
        return None
    return image.at("height").whole(1), image.at("width").whole(1)


def _annotated(image: Node, nodes: Sequence[Node], names: Mapping[int, str]) -> Annotated:
    name = image.need("file_name").text()
    return Annotated((name,), size_of(image), partial(_shapes, nodes, names), f"{image.path}: {image.place}")


def _shapes(nodes: Sequence[Node], names: Mapping[int, str], size: Size) -> list[Shape]:
    del size
    return [_shape(node, names) for node in nodes]


def _shape(node: Node, names: Mapping[int, str]) -> Shape:
    number = node.need("category_id").whole()
    if number not in names:
        raise node.wrong(f"category_id {number}, which is none of 'categories'")
    own = f", id {node.at('id').value}" if "id" in node else ""
    where = f"{node.path}: {node.place}{own} ({names[number]!r})"
    given = node.at("segmentation")
    if given.value:
        return Shape(names[number], number, Unread(partial(figure_of, given)), where)
    if "bbox" not in node:
        return Shape(names[number], number, NoArea(node.wrong("neither 'segmentation' nor 'bbox'")), where)
    parts = [part.number() for part in node.at("bbox").items()]
    if len(parts) != 4:
        raise node.at("bbox").unlike("x, y, width and height")
    x, y, width, height = parts
    return Shape(names[number], number, box(x, y, x + width, y + height), where, boxed=True)


def figure_of(node: Node, size: Size) -> Figure:
    """A ``segmentation``: polygons, each a list x1, y1, x2, y2, ..., or a run-length code."""
    if isinstance(node.value, dict):
        return Bitmap(_of_runs(node, size))
    polygons = [_numbers(part) for part in node.items()]
    rings = [np.array(flat).reshape(-1, 2) for flat in polygons]
    # pycocotools takes memory for each step of an outline, however far outside it leads.
    reach = 4 * max(size)
    if any(np.abs(ring).max() > reach for ring in rings):
        return Regions([Polygon(ring) for ring in rings])
    from pycocotools import mask as coco

    return Bitmap(coco.decode(coco.merge(coco.frPyObjects(polygons, *size))).astype(bool))


def _numbers(node: Node) -> list[float]:
    flat = [part.number() for part in node.items()]
    if len(flat) % 2 or len(flat) < 6:
        raise node.wrong(f"{len(flat)} numbers, wanted x1, y1, x2, y2, ... of at least 3 points")
    return flat


def _of_runs(node: Node, size: Size) -> Mask:
    """The mask of a run-length code, whose runs must fill the picture: pycocotools does not look."""
    from pycocotools import mask as coco

    given = [part.whole(1) for part in node.need("size").items()]
    if tuple(given) != size:
        raise node.at("size").wrong(f"mask of {'x'.join(map(str, given))}, its picture has {size[0]}x{size[1]}")
    counts = node.need("counts")
    code: Any
    if isinstance(counts.value, list):
        runs = [part.whole(0) for part in counts.items()]
        code = None
    else:
        code = counts.text().encode("ascii", "replace")
        runs = _runs_of(code, counts)
    if sum(runs) != size[0] * size[1]:
        raise counts.wrong(f"runs of {sum(runs)} pixels, the picture has {size[0] * size[1]}")
    if code is None:
        return np.asarray(coco.decode(coco.frPyObjects({"size": given, "counts": runs}, *size))).astype(bool)
    return np.asarray(coco.decode({"size": given, "counts": code})).astype(bool)


def _runs_of(code: bytes, node: Node) -> list[int]:
    """The runs of a compressed code: each 5 bits a byte from 48, the sixth says that more follow.

    From the third on a run is stored as its difference to the one before the last (maskApi.c, ``rleToString``).
    """
    runs: list[int] = []
    number = shift = 0
    for byte in code:
        part = byte - 48
        if not 0 <= part < 64 or shift > 60:
            raise node.wrong("no run-length code of COCO")
        number |= (part & 31) << shift
        shift += 5
        if not part & 32:
            number -= (part & 16 and 1) << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    if shift or any(run < 0 for run in runs):
        raise node.wrong("no run-length code of COCO")
    return runs
