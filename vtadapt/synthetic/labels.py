"""Labels from geometry: occlusion and crease edges and borders of things, about one pixel wide, and a second light."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.raycast import Camera
from vtadapt.synthetic.surface import Surface

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Side = tuple[npt.NDArray[Any], ...]

CREASE_DEGREES = 25.0
JUMP_METRES = 0.04
JUMP_SHARE = 0.01


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("hwk,hwk->hw", a, b))


def _pair(first: Side, second: Side) -> tuple[Bools, Bools]:
    """Edges between neighbours, each side (depth, normal, flat normal, ray, patch): marks on the first, on the second.

    An occlusion: each depth differs from where the other's tangent plane meets its ray, z_i (n_i . r_i) / (n_i . r_j).
    A crease: the normals differ and lie on different smooth patches, so round things have none.
    Occlusions are marked on the nearer side, creases on the first.
    """
    za, na, fa, ra, pa = first
    zb, nb, fb, rb, pb = second
    with np.errstate(divide="ignore", invalid="ignore"):
        from_a = za * _dot(fa, ra) / _dot(fa, rb)
        from_b = zb * _dot(fb, rb) / _dot(fb, ra)
    off_a = np.where(from_a > 0, np.abs(from_a - zb), np.float32(np.inf))
    off_b = np.where(from_b > 0, np.abs(from_b - za), np.float32(np.inf))
    jump = np.minimum(off_a, off_b) > JUMP_METRES + JUMP_SHARE * np.minimum(za, zb)
    crease = (pa != pb) & (_dot(na, nb) < np.cos(np.radians(CREASE_DEGREES)))
    return (jump & (za <= zb)) | (crease & ~jump), jump & (zb < za)


def edges(surface: Surface, camera: Camera) -> npt.NDArray[np.uint8]:
    """Edge map (H, W), 0 or 1, of the samples at all pixel centres."""
    height, width = camera.size
    fields: Side = (
        surface.depth.reshape(height, width),
        surface.normal.reshape(height, width, 3),
        surface.flat.reshape(height, width, 3),
        surface.ray.reshape(height, width, 3),
        surface.patch.reshape(height, width),
    )
    out = np.zeros((height, width), bool)
    right = _pair(tuple(f[:, :-1] for f in fields), tuple(f[:, 1:] for f in fields))
    out[:, :-1] |= right[0]
    out[:, 1:] |= right[1]
    below = _pair(tuple(f[:-1] for f in fields), tuple(f[1:] for f in fields))
    out[:-1] |= below[0]
    out[1:] |= below[1]
    return out.astype(np.uint8)


def borders(instance: npt.NDArray[Any], depth: Floats) -> npt.NDArray[np.uint8]:
    """Where two instances (H, W) meet, on the side that is nearer by ``depth`` (H, W): (H, W), 0 or 1."""
    out = np.zeros(instance.shape, bool)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        meet, nearer = instance[first] != instance[second], depth[first] <= depth[second]
        out[first] |= meet & nearer
        out[second] |= meet & ~nearer
    return out.astype(np.uint8)


def reshading(surface: Surface) -> Floats:
    """The scene in plain white, lit by one lamp at the camera (as on Taskonomy): the cosine of normal and ray, (N,)."""
    cosine = -np.einsum("nk,nk->n", surface.normal, surface.ray) / np.linalg.norm(surface.ray, axis=1)
    return np.asarray(np.clip(cosine, 0, 1), np.float32)
