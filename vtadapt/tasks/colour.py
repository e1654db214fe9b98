"""Pictures of labels and predictions: (H, W, 3) uint8 RGB from arrays in the conventions of the data set."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vtadapt.errors import DataError
from vtadapt.tasks.losses import IGNORE

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

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


def colour_classes(labels: NDArray[np.integer], colours: Sequence[Colour], name: str) -> Picture:
    """Look up (H, W) labels; 255 is black, any other label without a colour is a DataError."""
    table = np.zeros((max(len(colours), IGNORE + 1), 3), dtype=np.uint8)
    table[: len(colours)] = np.asarray(colours, dtype=np.uint8)
    table[IGNORE] = 0  # where there are more classes, that one is reserved
    bad = (labels != IGNORE) & ((labels < 0) | (labels >= len(colours)))
    if bad.any():
        found = np.unique(labels[bad])[:8].tolist()
        raise DataError(f"Task {name!r} has {len(colours)} classes, found label ids {found}; 255 is the ignore label.")
    return table[labels]


def robust_range(values: NDArray[np.floating]) -> tuple[float, float] | None:
    """Return the 2nd and 98th percentile of ``values`` (any shape), None when there is none."""
    if values.size == 0:
        return None
    low, high = np.percentile(values, (2, 98))
    return float(low), float(high)


def colour_regression(
    values: NDArray[np.floating], valid: NDArray[np.bool_], value_range: tuple[float, float] | None, bright_low: bool
) -> Picture:
    """Draw (H, W) values in viridis over ``value_range``; missing is dark grey.

    ``bright_low`` puts the bright end at the low values: for distances, near = bright.
    """
    picture = np.empty((*values.shape, 3), dtype=np.uint8)
    picture[:] = DARK_GREY
    if value_range is None or not valid.any():
        return picture
    low, high = value_range
    share = np.clip((np.where(valid, values, low) - low) / max(high - low, 1e-12), 0.0, 1.0)
    share = 1.0 - share if bright_low else share
    bgr = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    picture[valid] = bgr[..., ::-1][valid]
    return picture


def colour_unit_vector(vectors: NDArray[np.floating], valid: NDArray[np.bool_]) -> Picture:
    """Draw (3, H, W) normals as ((x, -y, -z) + 1) / 2 x 255; missing is black.

    Our axes are x right, y down, z away; the field draws x right, y up, z to the viewer, so that a surface that
    faces the camera is (128, 128, 255), bluish.
    """
    vectors = np.where(valid, vectors, 1.0)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=0, keepdims=True), 1e-12)
    shown = (unit * np.array([1, -1, -1])[:, None, None] + 1) / 2 * 255
    picture = np.rint(np.clip(shown, 0, 255)).astype(np.uint8).transpose(1, 2, 0)
    picture[~valid] = BLACK
    return picture


def colour_boundary(probability: NDArray[np.floating], valid: NDArray[np.bool_]) -> Picture:
    """Draw (H, W) probabilities as dark lines on white; missing is pale blue, which no probability looks like."""
    grey = np.rint(255 * (1 - np.clip(np.where(valid, probability, 0.0), 0.0, 1.0))).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[~valid] = PALE_BLUE
    return picture
