"""Unit primitives as plain arrays, built once per process with trimesh and only scaled, turned and moved afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import trimesh

Floats = npt.NDArray[np.float32]

# Faces that meet at less than this share a normal, so cylinders look round and their rims stay sharp; otherwise 50.
SMOOTH_DEGREES: dict[str, float] = {"cushion": 100.0, "clump": 100.0, "lump": 100.0}

NAMES: tuple[str, ...] = (
    "box",
    "cylinder",
    "sphere",
    "cone",
    "frustum",
    "capsule",
    "cushion",
    "vase",
    "bottle",
    "bowl",
    "disc",
    "knob",
    "rod",
    "wedge",
    "gable",
    "ring",
    "clump",
    "lump",
)
SHAPE_ID: dict[str, int] = {name: i for i, name in enumerate(NAMES)}


@dataclass(frozen=True)
class Shape:
    """Triangles (T, 3, 3) within the cube -0.5..0.5, unit normals at their corners (T, 3, 3), and whether any bend.

    `patch` (T,): number of the smooth patch a triangle belongs to; normals jump only from patch to patch.
    """

    triangles: Floats
    normals: Floats
    smooth: bool
    patch: npt.NDArray[np.int64]


def _corner_normals(mesh: trimesh.Trimesh, limit: float) -> Floats:
    """Normal at each corner of each face: the mean over faces that meet it smoothly there, weighted by angle."""
    faces, normals, angles = mesh.faces, mesh.face_normals, mesh.face_angles
    out = np.empty((len(faces), 3, 3))
    around: dict[int, list[tuple[int, int]]] = {}
    for face, corners in enumerate(faces):
        for corner, vertex in enumerate(corners):
            around.setdefault(int(vertex), []).append((face, corner))
    for uses in around.values():
        rows = np.array([face for face, _ in uses])
        weight = np.array([angles[face, corner] for face, corner in uses])
        near = (normals[rows] @ normals[rows].T) > np.cos(limit)
        mean = (near * weight) @ normals[rows]
        for (face, corner), value in zip(uses, mean, strict=True):
            out[face, corner] = value / np.linalg.norm(value)
    return out.astype(np.float32)


def _cushion() -> trimesh.Trimesh:
    """A box with bulging sides: points of a sphere pushed outwards along a superellipsoid of exponent 4."""
    steps = np.linspace(-1, 1, 4)
    corners: list[list[float]] = []
    faces: list[tuple[int, ...]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            first = len(corners)
            for a in steps:
                for b in steps:
                    point = [a, b]
                    point.insert(axis, side)
                    corners.append(point)
            for i in range(3):
                for j in range(3):
                    k = first + 4 * i + j
                    quad = [(k, k + 4, k + 5), (k, k + 5, k + 1)]
                    faces += quad if (side > 0) != (axis == 1) else [face[::-1] for face in quad]
    points = np.array(corners)
    points *= (np.abs(points) ** 4.0).sum(axis=1, keepdims=True) ** (-0.25)
    return trimesh.Trimesh(points, faces, process=True)


_HALVES = ((0, 1, 1), (1, 0.84, 0.6))  # of a wedge: height, extent along x and along y


def _hull(points: list[tuple[float, float, float]]) -> trimesh.Trimesh:
    """The convex hull of a few points."""
    return trimesh.convex.convex_hull(np.array(points, dtype=float))


def _clump() -> trimesh.Trimesh:
    """A lumpy ball, as of leaves: its radius goes up and down by a third along fixed waves."""
    mesh = trimesh.creation.icosphere(subdivisions=1)
    x, y, z = np.asarray(mesh.vertices).T
    bump = np.sin(5.1 * x + 1.3) * np.sin(4.3 * y + 0.4) + np.sin(4.7 * z + 2.1) * np.sin(5.7 * x - 3.9 * y)
    return trimesh.Trimesh(mesh.vertices * (1 + 0.17 * bump)[:, None], mesh.faces, process=True)


def _profile(points: list[tuple[float, float]], sections: int = 12) -> trimesh.Trimesh:
    """Solid of revolution about z of the profile (radius, height)."""
    return trimesh.creation.revolve(np.array(points, dtype=float), sections=sections)


def _meshes() -> dict[str, trimesh.Trimesh]:
    make = trimesh.creation
    return {
        "box": make.box((1, 1, 1)),
        "cylinder": make.cylinder(radius=0.5, height=1, sections=12),
        "sphere": make.icosphere(subdivisions=2, radius=0.5),
        "cone": make.cone(radius=0.5, height=1, sections=12),
        "frustum": _profile([(0.5, -0.5), (0.3, 0.5)]),
        "capsule": make.capsule(height=1, radius=0.5, count=[6, 8]),
        "cushion": _cushion(),
        "vase": _profile([(0, -0.5), (0.25, -0.5), (0.45, -0.25), (0.5, 0.0), (0.35, 0.3), (0.2, 0.4), (0.28, 0.5)]),
        "bottle": _profile([(0, -0.5), (0.5, -0.5), (0.5, 0.1), (0.4, 0.22), (0.18, 0.3), (0.18, 0.5), (0, 0.5)], 10),
        "bowl": _profile([(0, -0.5), (0.2, -0.5), (0.4, -0.2), (0.5, 0.5), (0.42, 0.45), (0.3, 0.0), (0, -0.2)]),
        "disc": make.cylinder(radius=0.5, height=1, sections=20),
        "rod": make.cylinder(radius=0.5, height=1, sections=8),
        "knob": make.icosphere(subdivisions=1, radius=0.5),
        # Narrower at the top (along x by a sixth, along y by two fifths), as the upper half of a car is.
        "wedge": _hull([(x * s, y * t, z) for x in (-1, 1) for y in (-1, 1) for z, s, t in _HALVES]),
        # A roof, its ridge along x.
        "gable": _hull([(x, y, z) for x in (-1, 1) for y, z in ((-1, 0), (1, 0), (0, 1))]),
        "ring": make.torus(0.45, 0.05, major_sections=16, minor_sections=5),
        "clump": _clump(),
        "lump": make.icosahedron(),
    }


@cache
def shapes() -> tuple[Shape, ...]:
    """All unit primitives in the order of `NAMES`, each filling the cube -0.5..0.5."""
    made = []
    meshes = _meshes()
    for name in NAMES:
        mesh = meshes[name]
        centre = mesh.bounds.mean(axis=0)
        extent = mesh.bounds[1] - mesh.bounds[0]
        mesh = trimesh.Trimesh((mesh.vertices - centre) / extent, mesh.faces, process=True)
        limit = np.radians(SMOOTH_DEGREES.get(name, 50.0))
        normals = _corner_normals(mesh, limit)
        triangles = np.asarray(mesh.triangles, np.float32)
        flat = np.repeat(np.asarray(mesh.face_normals, np.float32)[:, None], 3, axis=1)
        joined = mesh.face_adjacency[mesh.face_adjacency_angles < limit]
        patch = trimesh.graph.connected_component_labels(joined, node_count=len(mesh.faces))
        made.append(Shape(triangles, normals, bool(np.abs(flat - normals).max() > 1e-3), patch))
    return tuple(made)


@cache
def tables() -> tuple[npt.NDArray[np.int64], Floats]:
    """First row of each primitive in the stacked corner normals, and those normals (sum of T, 3, 3)."""
    counts = [len(shape.triangles) for shape in shapes()]
    return np.concatenate([[0], np.cumsum(counts)[:-1]]), np.concatenate([shape.normals for shape in shapes()])
