"""Collecting the parts of a scene and turning them into one triangle mesh with per-triangle and per-part tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vtadapt.synthetic.kinds import Catalogue
from vtadapt.synthetic.shapes import SHAPE_ID, shapes, tables

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]
Vec = tuple[float, float, float]

_MOST_PATCHES = 64


class Dice:
    """Random numbers drawn in blocks: a scalar costs a list look-up instead of a generator call."""

    def __init__(self, rng: np.random.Generator) -> None:
        """`rng` is consumed in blocks of 1024."""
        self.rng = rng
        self._left: list[float] = []

    def unit(self) -> float:
        """Uniform in 0..1."""
        if not self._left:
            self._left = self.rng.random(1024).tolist()
        return self._left.pop()

    def between(self, low: float, high: float) -> float:
        """Uniform in low..high."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """Uniform integer, both ends included."""
        return low + int((high - low + 1) * self.unit())

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def choose(self, *choices: str) -> str:
        """One of the choices."""
        return choices[int(len(choices) * self.unit())]


@dataclass(frozen=True)
class Frame:
    """A place to build at: local +x to the right, +y to the front, +z up; turned by `yaw` radians about z."""

    x: float
    y: float
    z: float = 0.0
    yaw: float = 0.0

    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Frame:
        """The frame at local (x, y, z), turned by a further `yaw`."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return Frame(self.x + c * x - s * y, self.y + s * x + c * y, self.z + z, self.yaw + yaw)


@dataclass(frozen=True)
class Geometry:
    """One mesh: T triangles, P parts, O objects. Unit normals; `to_normal` takes unit-shape normals to the world."""

    triangles: Floats  # (T, 3, 3) corners
    flat_normals: Floats  # (T, 3)
    part: Ints  # (T,)
    patch: Ints  # (T,) smooth patch, numbered over all parts: where the patch stays the normal does not jump
    template: Ints  # (T,) row of the corner normals of the unit shapes
    smooth: npt.NDArray[np.bool_]  # (P,)
    to_normal: Floats  # (P, 3, 3), up to length
    to_local: Floats  # (P, 3, 3) world offset from the part's centre -> unit shape coordinates
    centre: Floats  # (P, 3)
    material: Ints  # (P,)
    object: Ints  # (P,)
    kind: Ints  # (O,)
    label: Ints  # (O,) class
    origin: Floats  # (O, 4) x, y, z, yaw of the object's frame


class Builder:
    """Collects parts. Coordinates are those of the current object's frame, in metres; sizes are full extents."""

    def __init__(self, catalogue: Catalogue) -> None:
        """An empty scene of the kinds of `catalogue`."""
        self.catalogue = catalogue
        self.frame = Frame(0.0, 0.0)
        self.objects: list[tuple[int, float, float, float, float]] = []
        self.parts: list[tuple[float, ...]] = []

    def begin(self, kind: str, frame: Frame) -> None:
        """Start an object; the parts that follow belong to it."""
        self.frame = frame
        self.objects.append((self.catalogue.kind_id[kind], frame.x, frame.y, frame.z, frame.yaw))

    def add(self, shape: str, centre: Vec, size: Vec, material: int, tilt: Vec = (0.0, 0.0, 0.0)) -> None:
        """One part; `tilt` = radians about local x, then y, then z."""
        self.parts.append((SHAPE_ID[shape], *centre, *size, *tilt, material, len(self.objects) - 1))

    def box(self, centre: Vec, size: Vec, material: int, tilt: Vec = (0.0, 0.0, 0.0)) -> None:
        """A box part."""
        self.parts.append((0, *centre, *size, *tilt, material, len(self.objects) - 1))

    def rod(self, start: Vec, end: Vec, thickness: float, material: int) -> None:
        """A cylinder between two points."""
        dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        centre = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, (start[2] + end[2]) / 2)
        lean = math.acos(max(-1.0, min(1.0, dz / length)))
        self.add("rod", centre, (thickness, thickness, length), material, (0.0, lean, math.atan2(dy, dx)))

    def finish(self, select: Callable[[Doubles, Doubles], Doubles] | None = None) -> Geometry:
        """All parts as one mesh, or those that `select` makes of parts (P, 12) and objects (O, 5)."""
        parts = np.array(self.parts, dtype=np.float64)
        objects = np.array(self.objects, dtype=np.float64)
        if select is not None:
            parts = select(parts, objects)
        # Sorted by shape, so that the parts of one shape are transformed in one go and lie together in the mesh.
        parts = parts[np.argsort(parts[:, 0], kind="stable")]
        shape_of, owner = parts[:, 0].astype(np.int32), parts[:, 11].astype(np.int32)
        home = objects[owner]
        turn = _rotation(parts[:, 7], parts[:, 8], parts[:, 9] + home[:, 4])
        centre = placed(parts, home)
        size = parts[:, 4:7]
        corners, part, patch, template, smooth = [], [], [], [], np.zeros(len(parts), bool)
        first, _ = tables()
        for index, shape in enumerate(shapes()):
            rows = np.flatnonzero(shape_of == index)
            if len(rows) == 0:
                continue
            count = len(shape.triangles)
            unit = shape.triangles.reshape(-1, 3)
            world = unit @ (turn[rows] * size[rows][:, None, :]).transpose(0, 2, 1) + centre[rows][:, None]
            corners.append(world.reshape(-1, 3, 3))
            part.append(np.repeat(rows, count))
            patch.append((rows[:, None] * _MOST_PATCHES + shape.patch).ravel())
            template.append(np.tile(np.arange(first[index], first[index] + count), len(rows)))
            smooth[rows] = shape.smooth
        triangles = np.concatenate(corners)
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return Geometry(
            triangles=triangles.astype(np.float32),
            flat_normals=normals.astype(np.float32),
            part=np.concatenate(part).astype(np.int32),
            patch=np.concatenate(patch).astype(np.int32),
            template=np.concatenate(template).astype(np.int32),
            smooth=smooth,
            to_normal=(turn / size[:, None, :]).astype(np.float32),
            to_local=(turn.transpose(0, 2, 1) / size[:, :, None]).astype(np.float32),
            centre=centre.astype(np.float32),
            material=parts[:, 10].astype(np.int32),
            object=owner,
            kind=objects[:, 0].astype(np.int32),
            label=np.array(self.catalogue.kind_class, np.int32)[objects[:, 0].astype(np.int32)],
            origin=objects[:, 1:].astype(np.float32),
        )


def placed(parts: Doubles, home: Doubles) -> Doubles:
    """World centres (P, 3) of parts (P, 12) that belong to the objects `home` (P, 5)."""
    cos, sin = np.cos(home[:, 4]), np.sin(home[:, 4])
    x, y, z = parts[:, 1], parts[:, 2], parts[:, 3]
    return np.stack([home[:, 1] + cos * x - sin * y, home[:, 2] + sin * x + cos * y, home[:, 3] + z], 1)


def _rotation(
    rx: npt.NDArray[np.float64], ry: npt.NDArray[np.float64], rz: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Rz Ry Rx for angles (P,) -> (P, 3, 3)."""
    a, b, c = np.cos(rx), np.cos(ry), np.cos(rz)
    d, e, f = np.sin(rx), np.sin(ry), np.sin(rz)
    rows = [
        [c * b, c * e * d - f * a, c * e * a + f * d],
        [f * b, f * e * d + c * a, f * e * a - c * d],
        [-e, b * d, b * a],
    ]
    return np.array(rows).transpose(2, 0, 1)
