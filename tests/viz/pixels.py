"""Names of tasks, and where in a picture of affinities a colour is."""

from __future__ import annotations

import numpy as np

from vtadapt.viz.matrices.matrix import scale_of
from vtadapt.viz.matrices.page import MARGIN
from vtadapt.viz.style import PAPER

SDNE = ["semseg", "depth", "normals", "edges"]
LONG = [f"a_task_with_quite_a_long_name_{i}" for i in range(12)]


def colour_of(value: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """What a value is painted with, as uint8, to one step of rounding."""
    return np.array(scale_of([np.array([[low, high]])]).mappable().to_rgba(value)[:3]) * 255


def where(page: np.ndarray, colour: object) -> np.ndarray:
    return (np.abs(page.astype(float) - np.asarray(colour)) <= 1).all(-1)


def middle(mask: np.ndarray) -> tuple[float, float]:
    """Row and column of the middle of all pixels of a mask."""
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def frame_is_paper(page: np.ndarray, width: int = MARGIN - 10) -> bool:
    """Nothing was drawn into the outermost pixels, where it would be cut off."""
    inner = np.zeros(page.shape[:2], dtype=bool)
    inner[width:-width, width:-width] = True
    return bool(where(page, PAPER)[~inner].all())
