"""What every rendered sample looks like."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Shapes = dict[str, tuple[tuple[int, ...], str]]


def shapes_of(sample: Mapping[str, np.ndarray]) -> Shapes:
    """Shape and type of each array."""
    return {key: (value.shape, value.dtype.name) for key, value in sample.items()}


def wanted_shapes(height: int, width: int) -> Shapes:
    """Those of image and labels."""
    return {
        "image": ((height, width, 3), "uint8"),
        "semseg": ((height, width), "uint8"),
        "depth": ((height, width), "float32"),
        "normals": ((height, width, 3), "float16"),
        "edges": ((height, width), "uint8"),
    }
