"""The pictures of a report, and how one stands in the page: as its own data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from vtadapt.viz.panels import Cell


@dataclass(frozen=True)
class Sample:
    """An image with one cell per task of prediction and of truth (None where it has no label)."""

    name: str
    image: Cell
    prediction: Mapping[str, Cell]
    truth: Mapping[str, Cell | None]


@dataclass(frozen=True)
class Extreme:
    """An image chosen by its score, and which end of the scores it stands at: "best" or "worst"."""

    sample: Sample
    score: float
    end: str


@dataclass(frozen=True)
class Shot:
    """A picture with what it shows, in words."""

    cell: Cell
    words: str


@dataclass(frozen=True)
class Pictures:
    """The pictures of a report; each part may be empty.

    Attributes:
        samples: data set -> images with their predictions and truth.
        extremes: data set -> task -> images with score, best first.
        attention: panels of ``visualize-attention``, each with what it shows.
    """

    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    extremes: Mapping[str, Mapping[str, Sequence[Extreme]]] = field(default_factory=dict)
    attention: Sequence[Shot] = ()


@dataclass(frozen=True)
class Embedded:
    """An ``<img>``: its address, which is its data, and its size on the page in pixels."""

    src: str
    width: int
    height: int


def embedded(cell: Cell, side: int, width: int | None = None) -> Embedded:
    """Return a cell as data: JPEG where it is ``smooth``, else PNG, whose colours are exact.

    Args:
        cell: what to show; only ``rgb`` and ``smooth`` are used.
        side: pixels of the longer side at most; larger pictures are made smaller.
        width: pixels across on the page; by default those of the picture.
    """
    image = Image.fromarray(cell.rgb)
    factor = min(1.0, side / max(image.size))
    if factor < 1:
        method = Image.Resampling.LANCZOS if cell.smooth else Image.Resampling.NEAREST
        image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), method)
    buffer = io.BytesIO()
    if cell.smooth:
        image.save(buffer, "JPEG", quality=88, subsampling=0)
    else:
        image.save(buffer, "PNG", optimize=True)
    kind = "jpeg" if cell.smooth else "png"
    src = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    shown = width or image.width
    return Embedded(src, shown, max(1, round(image.height * shown / image.width)))
