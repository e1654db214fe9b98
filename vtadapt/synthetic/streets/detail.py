"""Leaving out and simplifying parts by where they lie from the camera: building the ray caster costs by the triangle.

Thresholds are angles, not pixels, so that a street does not change with the size of the image; they suit images about
200 pixels wide and make no difference that can be seen there.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.raycast import Camera
from vtadapt.synthetic.scene import Geometry, placed
from vtadapt.synthetic.shapes import SHAPE_ID

Doubles = npt.NDArray[np.float64]

_BESIDE = 4.0  # metres out of view in which things are kept for their shadows
_LARGE = 2.5  # metres: such parts throw shadows from farther away
_TINY = 0.002  # radians across
# Below these radians across (the middle one of three extents) a box or a simpler solid does as well.
_PLAINER: tuple[tuple[str, str, float], ...] = (
    ("rod", "box", 0.013),
    ("knob", "box", 0.016),
    ("cylinder", "rod", 0.04),
    ("cylinder", "box", 0.009),
    ("disc", "rod", 0.04),
    ("capsule", "rod", 0.025),
    ("cushion", "box", 0.05),
    ("clump", "lump", 0.08),
    ("ring", "box", 0.007),
)


def simplified(parts: Doubles, objects: Doubles, camera: Camera) -> Doubles:
    """The parts (P, 12) of a `Builder` of which the camera may see them or their shadows, some as plainer shapes."""
    centre, size = placed(parts, objects[parts[:, 11].astype(np.int64)]), parts[:, 4:7]
    offset = (centre - camera.position) @ camera.axes.T.astype(np.float64)
    radius = np.linalg.norm(size, axis=1) / 2
    across = np.sort(size, axis=1)[:, 1]
    # Distances of the centre from the planes of the view's pyramid, positive outside.
    wide, tall = (0.5 * n / camera.focal for n in (camera.size[1], camera.size[0]))
    out = np.maximum(
        (np.abs(offset[:, 0]) - wide * offset[:, 2]) / math.hypot(1, wide),
        (np.abs(offset[:, 1]) - tall * offset[:, 2]) / math.hypot(1, tall) - 4.0,
    )
    out = np.maximum(out, -offset[:, 2])
    angle = across / np.maximum(np.linalg.norm(offset, axis=1) - radius, 0.5)
    keep = ((out < radius + _BESIDE) | (across > _LARGE)) & (angle > _TINY)
    chosen = parts[keep]
    for shape, plainer, limit in _PLAINER:
        chosen[(parts[keep, 0] == SHAPE_ID[shape]) & (angle[keep] < limit), 0] = SHAPE_ID[plainer]
    return chosen


def facing(geometry: Geometry, camera: Camera) -> Geometry:
    """Without the triangles on the far sides of smaller solids: unseen, and shadows hardly differ."""
    first = geometry.triangles[:, 0] - camera.position
    seen = np.einsum("nk,nk->n", geometry.flat_normals, first) < 0
    # Rows of `to_local` are as long as 1 / extent.
    extent = 1 / np.linalg.norm(geometry.to_local, axis=2)
    seen |= (np.sort(extent, axis=1)[:, 1] > _LARGE)[geometry.part]
    return replace(
        geometry,
        triangles=geometry.triangles[seen],
        flat_normals=geometry.flat_normals[seen],
        part=geometry.part[seen],
        patch=geometry.patch[seen],
        template=geometry.template[seen],
    )
