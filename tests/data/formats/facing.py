"""Normals that a camera could see, for the sets that store some."""

from __future__ import annotations

import numpy as np


def facing_normals(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float64 unit vectors as inside of a bumpy bowl: +x right, +y down, +z away, every one seen."""
    u = (np.arange(width) - (width - 1) / 2) / width
    v = (np.arange(height) - (height - 1) / 2) / width
    columns, rows = np.meshgrid(u, v)
    bowl = np.stack([-3 * columns, -3 * rows, -np.ones((height, width))], axis=-1)
    bowl += random.normal(scale=0.2, size=bowl.shape)
    bowl[..., 2] = np.minimum(bowl[..., 2], -0.3)
    return bowl / np.linalg.norm(bowl, axis=-1, keepdims=True)
