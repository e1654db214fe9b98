"""What pictures of labels and predictions are made with: (H, W, 3) uint8 RGB from arrays in the form of targets.

A pixel without a label has the stripes of ``void``, whatever the task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vtadapt.tasks.colour.void import hide
from vtadapt.tasks.spec import Colour

Picture = NDArray[np.uint8]


def draw_ids(ids: NDArray[np.int64], colours: Sequence[Colour], void: int) -> Picture:
    """Look up (H, W) ids in a list of colours; ``void`` is missing, wherever it lies in the list."""
    table = np.zeros((max(len(colours), void + 1), 3), dtype=np.uint8)
    table[: len(colours)] = np.asarray(colours, dtype=np.uint8)
    return hide(table[ids], ids == void)


def robust_range(values: NDArray[np.floating]) -> tuple[float, float] | None:
    """Return the 2nd and 98th percentile of ``values`` (any shape), None when there is none."""
    if values.size == 0:
        return None
    low, high = np.percentile(values, (2, 98))
    return float(low), float(high)


def draw_values(
    values: NDArray[np.floating], valid: NDArray[np.bool_], value_range: tuple[float, float] | None, bright_low: bool
) -> Picture:
    """Draw (H, W) values in viridis over ``value_range``, None where none of them is valid.

    ``bright_low`` puts the bright end at the low values: for distances, near = bright.
    """
    import cv2  # here, since a recipe knows tasks, too, and draws nothing

    low, high = value_range or (0.0, 1.0)
    share = np.clip((np.where(valid, values, low) - low) / max(high - low, 1e-12), 0.0, 1.0)
    share = 1.0 - share if bright_low else share
    bgr = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return hide(np.ascontiguousarray(bgr[..., ::-1]), ~valid)
