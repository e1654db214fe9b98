"""COCO panoptic: one JSON file, and a PNG for each picture whose colours are numbers of segments.

A pixel of colour (R, G, B) belongs to segment R + 256 G + 65536 B; 0 is unlabelled. Segments do not overlap. The PNGs
lie in a folder beside the JSON file that is named like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.annotations.figures import Bitmap, Figure, Patch, Size, Strokes
from vtadapt.data.readers.annotations.formats.base import Format
from vtadapt.data.readers.annotations.formats.coco import category_names, size_of
from vtadapt.data.readers.annotations.node import Node, read_json
from vtadapt.data.readers.annotations.shapes import Annotated, Shape
from vtadapt.data.readers.raw.door import read_raster
from vtadapt.data.readers.raw.raster import need_exact
from vtadapt.errors import DataError


class CocoPanoptic(Format):
    """See the module's page."""

    many, numbered = True, True
    upright = None

    def read(self, path: Path) -> Sequence[Annotated]:
        """See :class:`Format`."""
        whole = read_json(path)
        for key in ("images", "annotations", "categories"):
            if key not in whole:
                raise whole.wrong(f"no {key!r}, wanted a file of COCO panoptic")
        names = category_names(whole)
        images = {image.need("id").whole(): image for image in whole.at("images").items()}
        found = []
        for node in whole.at("annotations").items():
            number = node.need("image_id").whole()
            if number not in images:
                raise node.wrong(f"image_id {number}, which is none of 'images'")
            if "segments_info" not in node:
                raise node.wrong("no 'segments_info', wanted a file of COCO panoptic ('format: coco' for instances)")
            image = images[number]
            given = (image.need("file_name").text(),)
            png = path.with_suffix("") / PurePosixPath(node.need("file_name").text()).name
            shapes = partial(_shapes, node, names, png)
            found.append(Annotated(given, size_of(image), shapes, f"{path}: {node.place}", (png,)))
        return found


class _Segment(Figure):
    """The pixels of one number; the PNG is read once for all segments of a picture."""

    def __init__(self, numbers: NDArray[np.uint32], number: int) -> None:
        self.numbers, self.number = numbers, number

    def patch(self, size: Size, strokes: Strokes) -> Patch:
        """See :class:`Figure`."""
        return Bitmap(self.numbers == self.number).patch(size, strokes)


def _shapes(node: Node, names: Mapping[int, str], png: Path, size: Size) -> list[Shape]:
    numbers = segment_numbers(png)
    if numbers.shape != size:
        found, wanted = ("x".join(map(str, s)) for s in (numbers.shape, size))
        raise DataError(f"{png}: label of {found} pixels, its image has {wanted} (height x width)")
    shapes, known = [], {0}
    for segment in node.at("segments_info").items():
        number, category = segment.need("id").whole(0), segment.need("category_id").whole()
        if category not in names:
            raise segment.wrong(f"category_id {category}, which is none of 'categories'")
        known.add(number)
        where = f"{node.path}: {segment.place}, id {number} ({names[category]!r})"
        shapes.append(Shape(names[category], category, _Segment(numbers, number), where))
    if strange := sorted(set(np.unique(numbers).tolist()) - known):
        raise DataError(f"{png}: pixels of segment {strange[0]}, which {node.path}: {node.place}.segments_info lacks")
    return shapes


def segment_numbers(png: Path) -> NDArray[np.uint32]:
    """(H, W) numbers of the segments in a PNG."""
    raster = read_raster(png)
    need_exact(raster, png, "segments")
    array = raster.array
    if raster.mode not in ("RGB", "RGBA") or raster.full != 255:
        raise DataError(f"{png}: picture of mode {raster.mode}, wanted RGB of 8 bits, the numbers of segments")
    colours = array.astype(np.uint32)
    return np.asarray(colours[..., 0] | colours[..., 1] << 8 | colours[..., 2] << 16)
