"""What a group of pictures holds: photographs, ids, masks in colours, distances, directions or edges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.guess.files import Group, spread_over
from vtadapt.data.readers.raw.door import read_raster
from vtadapt.data.readers.raw.raster import Raster
from vtadapt.errors import DataError

SAMPLES = 5  # files whose pixels tell what a group is
FEW = 64  # so many different values or colours are those of a mask, more those of a photograph
HINTS = {
    "photo": re.compile(r"(?<![a-z])(images?|imgs?|rgb|photos?|pictures?|jpegimages|leftimg8bit|color|colour)", re.I),
    "numbers": re.compile(r"depth|disp(?!lay)|(?<![a-z])(distances?|range)(?![a-z])", re.I),
    "vectors": re.compile(r"normal", re.I),
    "strengths": re.compile(r"edge|bound|contour|border", re.I),
    "ids": re.compile(r"mask|label|seg|annot|(?<![a-z])gt|ground.?truth|class|anno", re.I),
}
"""What names of folders and endings say of what lies there: photographs, or the form of a kind's files."""


@dataclass
class Content:
    """What was seen in samples of a group.

    Attributes:
        kind: "photo", "ids", "colours", "binary", "numbers", "vectors", "strengths" or "unknown".
        counts: pixels of each value, of ids; of each colour (r, g, b), of masks in colours.
        palette: colour of each id, where the files have palettes.
        floats: whether numbers are floating-point.
        bits: of whole numbers.
        quantiles: 1 %, 50 % and 99 % of the numbers above 0.
        top: the largest number.
        lossy: the files were changed when they were stored, as JPEG.
        mixed: colours that only lie at borders were seen.
    """

    kind: str
    counts: Counter[Any] = field(default_factory=Counter)
    palette: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    floats: bool = False
    bits: int = 8
    quantiles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    top: float = 0.0
    lossy: bool = False
    mixed: bool = False


def hint_of(group: Group) -> str:
    """What the names of a group say it is; "" where they say nothing."""
    return hint_in(group.ending, group.place.replace("{split}", "").rpartition("/")[2], group.place)


def hint_in(*texts: str) -> str:
    """What names say, the first that says something; "" where none does."""
    for text in texts:
        for what in ("numbers", "vectors", "strengths", "ids", "photo"):
            if text and HINTS[what].search(text):
                return what
    return ""


def look(root: Path, group: Group) -> Content:
    """See what a group holds, by samples of its files."""
    rasters: list[Raster] = []
    for path in spread_over(group.every, SAMPLES):
        try:
            rasters.append(read_raster(root / path))
        except (DataError, MemoryError):
            continue
    if not rasters:
        return Content("unknown")
    return content_of(rasters, hint_of(group))


def content_of(rasters: Sequence[Raster], hint: str) -> Content:
    """What some rasters of a kind hold; ``hint``: what their names say, see ``HINTS``."""
    first = rasters[0]
    if first.mode in ("RGB", "RGBA") or (first.mode == "array" and first.array.ndim == 3):
        return _of_colours(rasters, hint)
    if first.array.ndim != 2:
        return Content("unknown")
    return _of_one_channel(rasters, hint)


def _of_colours(rasters: Sequence[Raster], hint: str) -> Content:
    lossy = any(raster.lossy for raster in rasters)
    if rasters[0].mode == "array":
        return Content("vectors" if rasters[0].array.shape[2] == 3 else "unknown")
    if hint == "vectors" or (not lossy and hint != "ids" and all(map(_are_vectors, rasters))):
        return Content("vectors", lossy=lossy)
    counts: Counter[Any] = Counter()
    different = 0
    for raster in rasters:
        found, number = np.unique(raster.array[..., :3].reshape(-1, 3), axis=0, return_counts=True)
        different = max(different, len(found))
        counts.update({tuple(c): int(n) for c, n in zip(found.tolist(), number.tolist(), strict=True)})
    if different <= FEW and not lossy and hint != "photo":
        return Content("colours", counts)
    if hint == "ids":
        return Content("colours", _flat_colours(rasters), lossy=lossy, mixed=True)
    return Content("photo")


def _are_vectors(raster: Raster) -> bool:
    """Whether the colours of a picture are those of unit vectors."""
    if raster.full not in (255, 65535):
        return False
    pixels = raster.array[..., :3].reshape(-1, 3).astype(np.float32)
    pixels = pixels[pixels.any(axis=1)][:: max(1, len(pixels) // 20000)]
    if not len(pixels) or len(np.unique(pixels, axis=0)) < FEW // 4:
        return False
    lengths = np.linalg.norm(2 * pixels / raster.full - 1, axis=1)
    return bool((np.abs(lengths - 1) < 0.06).mean() > 0.9)


def _flat_colours(rasters: Sequence[Raster]) -> Counter[Any]:
    """The colours of masks with smoothed edges: those of pixels whose neighbours have nearly the same."""
    counts: Counter[Any] = Counter()
    for raster in rasters:
        rgb = raster.array[..., :3].astype(np.int16)
        near = np.abs(rgb[1:-1, 1:-1] - rgb[:-2, 1:-1]).max(axis=2) <= 3
        near &= np.abs(rgb[1:-1, 1:-1] - rgb[1:-1, :-2]).max(axis=2) <= 3
        found, number = np.unique(rgb[1:-1, 1:-1][near], axis=0, return_counts=True)
        counts.update({tuple(c): int(n) for c, n in zip(found.tolist(), number.tolist(), strict=True)})
    merged: Counter[Any] = Counter()
    for colour, seen in counts.most_common():
        close = (known for known in merged if max(abs(a - b) for a, b in zip(known, colour, strict=True)) <= 24)
        merged[next(close, colour)] += seen
    total = sum(merged.values())
    return Counter({colour: of for colour, of in merged.items() if of > 0.002 * total})


def _of_one_channel(rasters: Sequence[Raster], hint: str) -> Content:
    first = rasters[0]
    values = np.concatenate([raster.array.ravel() for raster in rasters])
    if first.array.dtype == bool or first.full == 1:
        values = values.astype(np.uint8)
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        return Content("strengths" if hint == "strengths" else "numbers", floats=True, **_range(finite))
    found, number = np.unique(values, return_counts=True)
    counts = Counter(dict(zip(found.tolist(), number.tolist(), strict=True)))
    bits = 16 if (first.full or 0) > 255 or found[-1] > 255 else 8
    lossy = any(raster.lossy for raster in rasters)
    common = {"counts": counts, "bits": bits, "lossy": lossy, **_range(values)}
    if hint == "strengths":
        return Content("strengths", **common)
    if hint == "numbers" or (bits == 16 and len(found) > 256 and hint != "ids"):
        return Content("numbers", **common)
    if lossy and len(found) > FEW:
        return Content("ids" if hint == "ids" else "photo", **common)
    if first.palette is None and len(found) <= 2 and int(found[-1]) in (1, 255) and (len(found) == 1 or found[0] == 0):
        return Content("binary", **common)
    if first.palette is not None or len(found) <= FEW or hint == "ids":
        palette = {} if first.palette is None else _palette(rasters, found)
        return Content("ids", palette=palette, **common)
    return Content("photo", **common)


def _palette(rasters: Sequence[Raster], found: NDArray[Any]) -> dict[int, tuple[int, int, int]]:
    colours = rasters[0].palette
    assert colours is not None, "asked for files with palettes only"
    return {int(i): (int(r), int(g), int(b)) for i in found if i < len(colours) for r, g, b in [colours[i]]}


def _range(values: NDArray[Any]) -> dict[str, Any]:
    above = values[values > 0]
    if not above.size:
        return {}
    low, middle, high = np.quantile(above[:: max(1, above.size // 200_000)], (0.01, 0.5, 0.99)).tolist()
    return {"quantiles": (low, middle, high), "top": float(above.max())}
