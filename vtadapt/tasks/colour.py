"""What pictures of labels and predictions are made with: (H, W, 3) uint8 RGB from arrays in the form of targets."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vtadapt.tasks.spec import Colour

Picture = NDArray[np.uint8]

BLACK: Colour = (0, 0, 0)
DARK_GREY: Colour = (40, 40, 40)
PALE_BLUE: Colour = (200, 215, 235)


def default_palette(count: int) -> tuple[Colour, ...]:
    """Return ``count`` fixed, distinct colours, none of them black (which means "ignored").

    The hue advances by the golden ratio, so neighbours differ however many there are; saturation and brightness
    alternate. The first colours do not depend on ``count``.
    """
    colours: list[Colour] = []
    i = 0
    while len(colours) < count:
        hue = (0.58 + i * 0.6180339887498949) % 1.0
        saturation, value = (0.65, 0.45, 0.85)[i % 3], (0.95, 0.7, 0.55, 0.85)[i % 4]
        r, g, b = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
        if (r, g, b) not in colours:
            colours.append((r, g, b))
        i += 1
    return tuple(colours)


def draw_ids(ids: NDArray[np.int64], colours: Sequence[Colour], void: int) -> Picture:
    """Look up (H, W) ids in a list of colours; ``void`` is black, wherever it lies in the list."""
    table = np.zeros((max(len(colours), void + 1), 3), dtype=np.uint8)
    table[: len(colours)] = np.asarray(colours, dtype=np.uint8)
    table[void] = BLACK
    return table[ids]


def robust_range(values: NDArray[np.floating]) -> tuple[float, float] | None:
    """Return the 2nd and 98th percentile of ``values`` (any shape), None when there is none."""
    if values.size == 0:
        return None
    low, high = np.percentile(values, (2, 98))
    return float(low), float(high)


def draw_values(
    values: NDArray[np.floating], valid: NDArray[np.bool_], value_range: tuple[float, float] | None, bright_low: bool
) -> Picture:
    """Draw (H, W) values in viridis over ``value_range``; missing is dark grey.

    ``bright_low`` puts the bright end at the low values: for distances, near = bright.
    """
    picture = np.empty((*values.shape, 3), dtype=np.uint8)
    picture[:] = DARK_GREY
    if value_range is None or not valid.any():
        return picture
    import cv2  # here, since a recipe knows tasks, too, and draws nothing

    low, high = value_range
    share = np.clip((np.where(valid, values, low) - low) / max(high - low, 1e-12), 0.0, 1.0)
    share = 1.0 - share if bright_low else share
    bgr = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    picture[valid] = bgr[..., ::-1][valid]
    return picture
