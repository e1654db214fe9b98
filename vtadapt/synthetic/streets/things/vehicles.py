"""Cars, vans, buses, bicycles and motorcycles assembled from parts. Each stands on its frame and drives to local +y."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame

QUARTER = math.pi / 2
_PLAINER = 38.0  # metres; details farther away are less than half a pixel
# Width, length, height, height of the sill of the windows, and the cabin: from, to (shares of the length).
_CARS: dict[str, tuple[float, float, float, float, float, float]] = {
    "sedan": (1.78, 4.6, 1.46, 0.92, -0.40, 0.26),
    "hatchback": (1.74, 4.0, 1.5, 0.95, -0.50, 0.24),
    "suv": (1.88, 4.6, 1.78, 1.08, -0.50, 0.24),
    "van": (1.95, 5.1, 2.25, 1.2, -0.49, 0.40),
}


def wheel(
    kit: Kit, at: tuple[float, float, float], thickness: float, materials: tuple[int, int], hub: bool = True
) -> None:
    """A wheel across local x, centred `at` (x, y, radius) so that it touches z = 0: tyre, and often a hub."""
    x, y, radius = at
    tyre, metal = materials
    kit.build.add("cylinder", (x, y, radius), (2 * radius, 2 * radius, thickness), tyre, (0, QUARTER, 0))
    if hub:
        kit.build.add("rod", (x, y, radius), (1.1 * radius, 1.1 * radius, thickness + 0.03), metal, (0, QUARTER, 0))


def car_length(kind: str) -> float:
    """Length in metres of a kind of car."""
    return _CARS[kind][1]


def car(kit: Kit, frame: Frame, kind: str) -> None:
    """A car with body, cabin, roof, wheels, lights, bumpers, mirrors and plates; plainer where it is far."""
    dice, build = kit.dice, kit.build
    w, length, h, sill, back, front = _CARS[kind]
    near = math.hypot(frame.x, frame.y) < _PLAINER
    h *= dice.between(0.96, 1.04)
    build.begin(kind, frame)
    paint, glass, trim, lamp = (kit.paint.any() for _ in range(4))
    tyres = (kit.paint.any(), trim)
    build.add("box" if kind == "van" else "cushion", (0, 0, (0.2 + sill) / 2 + 0.04), (w, length, sill - 0.12), paint)
    build.box((0, 0, 0.32), (w * 0.97, length * 0.94, 0.24), paint if dice.chance(0.7) else trim)
    middle, inside = length * (back + front) / 2, length * (front - back)
    cabin = h - sill + 0.08
    build.add("wedge", (0, middle, sill - 0.08 + cabin / 2), (w * 0.93, inside, cabin), glass)
    build.box((0, middle, h - 0.01), (w * 0.79, inside * 0.6, 0.06), paint)
    if kind != "sedan":
        # An upright tail: the cabin's rear part keeps its height.
        build.box((0, length * back + 0.3 * inside, (sill + h) / 2), (w * 0.86, inside * 0.56, h - sill), glass)
        build.box((0, length * back + 0.31 * inside, h - 0.01), (w * 0.86, inside * 0.6, 0.06), paint)
        for side in (-1, 1):
            build.box((side * w * 0.42, length * back + 0.06, (sill + h) / 2), (0.12, 0.14, h - sill), paint)
    for side in (-1, 1):
        build.box((side * w * 0.415, middle, (sill + h) / 2), (0.1, 0.09, h - sill - 0.04), paint, (0, -side * 0.12, 0))
        if near:
            build.box((side * (w / 2 + 0.07), length * front - 0.3, sill + 0.06), (0.18, 0.1, 0.13), paint)
        for end, z in ((1, 0.68), (-1, 0.78)):
            build.box((side * w * 0.32, end * (length / 2 - 0.08), sill * z), (w * 0.2, 0.12, 0.15), lamp)
        for y in (0.31, -0.3):
            wheel(kit, (side * (w / 2 - 0.1), y * length, 0.33 if kind != "suv" else 0.37), 0.22, tyres, near)
    for end in (-1, 1) if near else ():
        build.box((0, end * (length / 2 - 0.06), 0.42), (w * 0.84, 0.14, 0.2), trim)
        build.box((0, end * (length / 2 + 0.01), 0.5), (0.5, 0.05, 0.12), lamp)


def bus_length(kit: Kit) -> float:
    """Length in metres of the next bus."""
    return kit.dice.between(8.5, 12.0)


def bus(kit: Kit, frame: Frame, length: float) -> None:
    """A city bus: rows of windows, doors on the right, windscreens, wheels, destination, lights."""
    dice, build = kit.dice, kit.build
    build.begin("bus", frame)
    w, h = 2.5, dice.between(2.9, 3.15)
    paint, glass, trim, lamp = (kit.paint.any() for _ in range(4))
    tyres = (kit.paint.any(), trim)
    build.box((0, 0, 0.3 + (h - 0.3) / 2), (w, length, h - 0.3), paint)
    build.box((0, 0, 0.5), (w + 0.02, length * 0.99, 0.3), trim)
    low = dice.between(1.15, 1.35)
    tall = 2.45 - low
    for end in (-1, 1):
        at = end * (length / 2 + 0.01)
        build.box((0, at, low + tall / 2 - (0.12 if end > 0 else 0)), (w * 0.92, 0.06, tall + 0.15), glass)
        build.box((0, at, 2.72), (w * 0.7, 0.06, 0.26), kit.paint.picture())
        build.box((0, at, 0.45), (w * 0.98, 0.1, 0.24), trim)
        for side in (-1, 1):
            build.box((side * w * 0.4, at, 0.78), (0.34, 0.07, 0.18), lamp)
    count = int(length / 1.45)
    doors = {count - 1, count // 2}
    for side in (-1, 1):
        for i in range(count):
            y = (i + 0.5) / count * (length - 0.5) - (length - 0.5) / 2
            door = side > 0 and i in doors
            z, high = (1.4, 2.1) if door else (low + tall / 2, tall)
            build.box((side * (w / 2 + 0.01), y, z), (0.05, 1.22, high), glass)
        for y in (length * 0.29, -length * 0.27):
            wheel(kit, (side * (w / 2 - 0.12), y, 0.48), 0.28, tyres)
        build.box((side * (w / 2 + 0.16), length / 2 - 0.05, 2.2), (0.2, 0.12, 0.4), trim)
    build.box((0, -length * 0.1, h + 0.1), (w * 0.7, length * 0.4, 0.2), paint)


def bicycle(kit: Kit, frame: Frame) -> None:
    """Two wheels, a frame of tubes, fork, handlebar, saddle, often guards and a basket."""
    dice, build = kit.dice, kit.build
    build.begin("bicycle", frame)
    paint, tyre, trim = kit.paint.any(), kit.paint.any(), kit.paint.any()
    radius, reach = dice.between(0.33, 0.37), dice.between(0.5, 0.56)
    solid = dice.chance(0.4)
    for y in (-reach, reach):
        if solid:
            build.add("disc", (0, y, radius), (2 * radius, 2 * radius, 0.05), tyre, (0, QUARTER, 0))
        else:
            build.add("ring", (0, y, radius), (2 * radius, 2 * radius, 0.07), tyre, (0, QUARTER, 0))
            for i in range(3):
                turn = i * math.pi / 3
                build.box((0, y, radius), (0.02, 1.8 * radius, 0.045), trim, (turn, 0, 0))
        build.add("rod", (0, y, radius), (0.14, 0.14, 0.12), trim, (0, QUARTER, 0))
    crank, seat, head = (0.0, -0.05, 0.3), (0.0, -0.2, 0.86), (0.0, reach - 0.15, 0.88)
    rear, front = (0.0, -reach, radius), (0.0, reach, radius)
    for a, b in ((crank, seat), (crank, head), (seat, head), (rear, seat), (rear, crank), (front, head)):
        build.rod(a, b, 0.065, paint)
    build.box((0, -0.22, 0.92), (0.17, 0.3, 0.09), trim)
    build.rod(head, (0, reach - 0.2, 1.04), 0.05, paint)
    build.rod((-0.28, reach - 0.24, 1.05), (0.28, reach - 0.24, 1.05), 0.05, trim)
    build.add("rod", crank, (0.2, 0.2, 0.06), trim, (0, QUARTER, 0))
    if dice.chance(0.5):
        build.box((0, reach + 0.12, 0.86), (0.34, 0.26, 0.24), kit.paint.any())
    if dice.chance(0.5):
        build.box((0, -reach, 0.76), (0.16, 0.4, 0.06), trim)


def motorcycle(kit: Kit, frame: Frame, kind: str) -> None:
    """A motorcycle (tank, engine, exhaust, fork) or a scooter (leg shield, footboard, boxy tail)."""
    dice, build = kit.dice, kit.build
    build.begin(kind, frame)
    paint, seat, trim = kit.paint.any(), kit.paint.any(), kit.paint.any()
    tyres = (kit.paint.any(), trim)
    big = kind == "motorcycle"
    radius, reach = (0.32, 0.72) if big else (0.25, 0.62)
    for y in (-reach, reach):
        wheel(kit, (0, y, radius), 0.15, tyres)
        build.add("cushion", (0, y, 2 * radius - 0.06), (0.2, 0.75 * radius * 2, 0.2), paint)
    build.rod((0, reach, radius), (0, reach - 0.3, 1.02), 0.13, trim)
    build.rod((-0.36, reach - 0.36, 1.05), (0.36, reach - 0.36, 1.05), 0.06, trim)
    build.add("knob", (0, reach - 0.18, 0.9), (0.24, 0.22, 0.24), trim)
    if big:
        build.add("cushion", (0, 0.2, 0.78), (0.36, 0.6, 0.32), paint)
        build.box((0, 0.05, 0.45), (0.34, 0.62, 0.4), trim)
        build.rod((0.2, 0.1, 0.32), (0.24, -0.85, 0.4), 0.12, trim)
    else:
        build.box((0, 0.1, 0.28), (0.38, 0.6, 0.1), trim)
        build.box((0, 0.4, 0.62), (0.48, 0.08, 0.66), paint, (0.2, 0, 0))
    build.add("cushion", (0, -0.42, 0.62), (0.38, 0.8, 0.38), paint)
    build.add("cushion", (0, -0.35, 0.8), (0.32, 0.8, 0.16), seat)
    if dice.chance(0.4):
        build.box((0, -0.78, 1.0), (0.42, 0.38, 0.34), trim)
    if dice.chance(0.4):
        build.box((0, reach - 0.24, 1.2), (0.38, 0.04, 0.34), seat, (-0.4, 0, 0))
