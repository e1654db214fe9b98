"""What the rays hit: points, normals, parts and texture coordinates, gathered per sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.raycast import Camera, Caster
from vtadapt.synthetic.scene import Geometry
from vtadapt.synthetic.shapes import tables
from vtadapt.synthetic.textures import Materials

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Surface:
    """N samples. `normal` is the shading normal and `flat` the face's, both unit, in the world, towards the camera."""

    ray: Floats  # (N, 3) world direction, 1 along the viewing axis
    depth: Floats  # (N,) z-depth, metres
    point: Floats  # (N, 3) world
    normal: Floats  # (N, 3)
    flat: Floats  # (N, 3)
    triangle: Ints  # (N,)
    part: Ints  # (N,)
    patch: Ints  # (N,) see `Geometry`


def look(
    geometry: Geometry, caster: Caster, camera: Camera, columns: Floats, rows: Floats, far: float = 50.0
) -> Surface:
    """Casts one ray per pixel coordinate (N,); the scene must be closed, a ray that misses lands at `far` metres."""
    ray = camera.to_world(camera.directions(columns, rows))
    hits = caster.nearest(np.broadcast_to(camera.position, ray.shape), ray)
    depth = np.minimum(hits.distance, np.float32(far))
    triangle = np.maximum(hits.triangle, 0)
    part = geometry.part[triangle]
    flat = geometry.flat_normals[triangle]
    flat = flat * -np.sign(np.einsum("nk,nk->n", flat, ray))[:, None]
    normal = flat.copy()
    bent = np.flatnonzero(geometry.smooth[part])
    if len(bent):
        normal[bent] = _smooth(geometry, triangle[bent], (hits.u[bent], hits.v[bent]), flat[bent], ray[bent])
    return Surface(
        ray, depth, camera.position + ray * depth[:, None], normal, flat, triangle, part, geometry.patch[triangle]
    )


def _smooth(geometry: Geometry, triangle: Ints, weights: tuple[Floats, Floats], flat: Floats, ray: Floats) -> Floats:
    """Interpolated unit normals (N, 3) on the camera's side of the face, never turned away from the viewer."""
    corner = tables()[1][geometry.template[triangle]]
    u, v = weights[0][:, None], weights[1][:, None]
    local = corner[:, 0] * (1 - u - v) + corner[:, 1] * u + corner[:, 2] * v
    normal = np.einsum("nij,nj->ni", geometry.to_normal[geometry.part[triangle]], local)
    normal *= np.where(np.einsum("nk,nk->n", normal, flat) < 0, np.float32(-1), np.float32(1))[:, None]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    # At silhouettes interpolation can tip a normal past the horizon: bring it back to just in front of it.
    view = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    facing = np.einsum("nk,nk->n", normal, view)
    normal -= view * np.maximum(facing + np.float32(0.02), 0)[:, None]
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def colours(surface: Surface, geometry: Geometry, materials: Materials, focal: float) -> Floats:
    """Linear albedo (N, 3): texture coordinates lie in the object's frame, along the plane the face is closest to."""
    origin = geometry.origin[geometry.object[surface.part]]
    offset = surface.point - origin[:, :3]
    cos, sin = np.cos(origin[:, 3]), np.sin(origin[:, 3])
    place = np.stack(
        [cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0], offset[:, 2]], 1
    )
    flat = surface.flat
    facing = np.abs(np.stack([cos * flat[:, 0] + sin * flat[:, 1], cos * flat[:, 1] - sin * flat[:, 0], flat[:, 2]], 1))
    footprint = surface.depth / np.float32(focal)
    material = geometry.material[surface.part]
    whole = np.flatnonzero(materials.whole[material])
    if len(whole):
        part = surface.part[whole]
        inverse = geometry.to_local[part]
        offset = surface.point[whole] - geometry.centre[part]
        place[whole] = np.einsum("nij,nj->ni", inverse, offset) + np.float32(0.4999)
        footprint[whole] *= np.linalg.norm(inverse[:, 0], axis=1)
    axis = np.argmax(facing, axis=1)
    rows = np.arange(len(axis))
    uv = np.stack([place[rows, np.where(axis == 0, 1, 0)], place[rows, np.where(axis == 2, 1, 2)]], axis=1)
    tilt = np.abs(np.einsum("nk,nk->n", flat, surface.ray)) / np.linalg.norm(surface.ray, axis=1)
    return materials.albedo(material, uv, footprint / np.sqrt(np.maximum(tilt, np.float32(0.05))))
