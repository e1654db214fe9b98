"""Casting rays at triangles (Embree) and the pinhole camera that makes them.

World axes: x and y on the floor, z up, metres. Camera axes: +x right, +y down, +z away from the camera. A camera ray is
not unit length: its component along the viewing axis is 1, so the ray parameter of a hit *is* the z-depth in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from embreex import rtcore, rtcore_scene
from embreex.mesh_construction import TriangleMesh

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_DEVICE: list[Any] = []


def _plain(values: Floats) -> Floats:
    """As Embree wants it: float32, contiguous, writeable (a broadcast array of one row is contiguous but read-only)."""
    return np.require(values, np.float32, ("C", "W"))


def _device() -> Any:
    """The one Embree device of this process, made on first use so that importing this module stays cheap."""
    if not _DEVICE:
        _DEVICE.append(rtcore.EmbreeDevice())
    return _DEVICE[0]


@dataclass(frozen=True)
class Hits:
    """What N rays met first: `distance` (N) in ray parameters, inf for none; `triangle` (N), -1 for none; `u`, `v` (N).

    The point is (1 - u - v) a + u b + v c for the triangle's corners a, b, c.
    """

    distance: Floats
    triangle: Ints
    u: Floats
    v: Floats


class Caster:
    """Triangles ready for ray queries."""

    def __init__(self, triangles: Floats) -> None:
        """`triangles`: (T, 3, 3) corners in metres, both sides are hit."""
        self.triangles = np.ascontiguousarray(triangles, dtype=np.float32)
        self._scene = rtcore_scene.EmbreeScene(_device())
        self._mesh = TriangleMesh(self._scene, self.triangles)

    def nearest(self, origins: Floats, directions: Floats) -> Hits:
        """First hit of each ray; `origins`, `directions` (N, 3), directions of any length."""
        found = self._scene.run(_plain(origins), _plain(directions), query="INTERSECT", output=1)
        missed = found["geomID"] < 0
        distance = np.where(missed, np.float32(np.inf), found["tfar"])
        return Hits(distance, np.where(missed, np.int32(-1), found["primID"]), found["u"], found["v"])

    def occluded(self, origins: Floats, directions: Floats, limit: float | Floats) -> npt.NDArray[np.bool_]:
        """Whether anything lies closer than `limit` (ray parameters; one number or (N,)) on each ray (N, 3)."""
        reach = np.broadcast_to(np.asarray(limit, np.float32), (len(origins),))
        found = self._scene.run(_plain(origins), _plain(directions), _plain(reach), query="OCCLUDED")
        return np.asarray(found == 0)


@dataclass(frozen=True)
class Camera:
    """A pinhole: `position` (3,) in the world, `axes` (3, 3) right, down, away; `focal` in pixels, `size` (H, W)."""

    position: Floats
    axes: Floats
    focal: float
    size: tuple[int, int]

    @classmethod
    def looking(cls, position: Floats, target: Floats, roll: float, fov: float, size: tuple[int, int]) -> Camera:
        """Camera at `position` that looks at `target`; `roll` and the horizontal field of view `fov` in radians."""
        x, y, z = (float(t) - float(p) for t, p in zip(target, position, strict=True))
        flat, length = math.hypot(x, y), math.sqrt(x * x + y * y + z * z)
        away = np.array([x, y, z]) / length
        right = np.array([y, -x, 0.0]) / flat
        down = np.array([x * z, y * z, -flat * flat]) / (flat * length)
        cos, sin = math.cos(roll), math.sin(roll)
        axes = np.stack([cos * right + sin * down, cos * down - sin * right, away]).astype(np.float32)
        return cls(np.asarray(position, np.float32), axes, 0.5 * size[1] / math.tan(fov / 2), size)

    def resized(self, size: tuple[int, int]) -> Camera:
        """The same view with another number of pixels (H, W); the horizontal field of view stays."""
        return replace(self, focal=self.focal * size[1] / self.size[1], size=size)

    def directions(self, columns: Floats, rows: Floats) -> Floats:
        """Rays in camera axes (N, 3), last component 1, for pixel coordinates (N,); (0, 0) is a corner of the image."""
        height, width = self.size
        x = (columns - np.float32(width / 2)) / np.float32(self.focal)
        y = (rows - np.float32(height / 2)) / np.float32(self.focal)
        return np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)

    def centres(self) -> tuple[Floats, Floats]:
        """Columns and rows (H * W,) of all pixel centres, row by row."""
        height, width = self.size
        rows, columns = np.divmod(np.arange(height * width, dtype=np.int32), np.int32(width))
        return columns.astype(np.float32) + np.float32(0.5), rows.astype(np.float32) + np.float32(0.5)

    def to_world(self, vectors: Floats) -> Floats:
        """Camera axes -> world axes for vectors (N, 3)."""
        return vectors @ self.axes

    def to_camera(self, vectors: Floats) -> Floats:
        """World axes -> camera axes for vectors (N, 3)."""
        return vectors @ self.axes.T
