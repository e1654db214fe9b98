"""What stands along the kerb: lamps, posts, bollards, traffic lights, signs, railings. Local +y faces the traffic."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame


def _post(kit: Kit, frame: Frame, height: float, thickness: float, kind: str = "post") -> int:
    """A pole on a small foot; returns its material."""
    metal = kit.paint.any()
    kit.build.begin(kind, frame)
    kit.build.rod((0, 0, 0), (0, 0, height), thickness, metal)
    kit.build.add("rod", (0, 0, 0.14), (thickness + 0.08, thickness + 0.08, 0.28), metal)
    return metal


def lamp_post(kit: Kit, frame: Frame, out: float) -> None:
    """A street lamp; its arm reaches `out` metres to local +x; some are short and bear a lantern on top."""
    dice, build = kit.dice, kit.build
    if dice.chance(0.3):
        h = dice.between(3.4, 4.4)
        _post(kit, frame, h, 0.15, "lamp post")
        shade = kit.paint.any()
        build.add(dice.choose("knob", "cone"), (0, 0, h + 0.24), (0.5, 0.5, 0.55), shade, (0, math.pi, 0))
        return
    h = dice.between(5.5, 8.5)
    metal = _post(kit, frame, h, dice.between(0.17, 0.24), "lamp post")
    build.rod((0, 0, h - 0.05), (out, 0, h + 0.4), 0.12, metal)
    build.box((out + 0.3, 0, h + 0.42), (0.8, 0.3, 0.16), kit.paint.any())


def pole(kit: Kit, frame: Frame) -> None:
    """A plain pole, some with cross bars for wires."""
    h = kit.dice.between(5.0, 9.0)
    metal = _post(kit, frame, h, kit.dice.between(0.2, 0.32))
    if kit.dice.chance(0.5):
        for z in (0.4, 0.9):
            kit.build.box((0, 0, h - z), (1.5, 0.12, 0.12), metal)


def bollards(kit: Kit, frame: Frame, count: int, step: float) -> None:
    """A row of bollards along local y from the frame on."""
    metal, h = kit.paint.any(), kit.dice.between(0.85, 1.05)
    kit.build.begin("bollard", frame)
    for i in range(count):
        kit.build.rod((0, i * step, 0), (0, i * step, h), 0.17, metal)
        kit.build.add("knob", (0, i * step, h), (0.19, 0.19, 0.16), metal)


def _lights(kit: Kit, frame: Frame) -> None:
    """One signal head hanging around its frame: a housing, a backing board, three lamps of which one glows."""
    dice, build = kit.dice, kit.build
    build.begin("traffic light", frame)
    case, board, dark = kit.paint.any(), kit.paint.any(), kit.paint.any()
    build.box((0, -0.02, 0), (0.38, 0.26, 1.1), case)
    if dice.chance(0.6):
        build.box((0, -0.06, 0), (0.62, 0.04, 1.34), board)
    lit = dice.whole(0, 2)
    for i in range(3):
        lamp = kit.paint.glowing(2.5) if i == lit else dark
        build.add("knob", (0, 0.1, 0.35 - 0.35 * i), (0.27, 0.2, 0.27), lamp)


def traffic_light(kit: Kit, frame: Frame, reach: float) -> None:
    """A signal on a post, and with `reach` > 0 another on an arm so far along local +x, over the lane."""
    h = kit.dice.between(3.1, 3.6)
    if reach <= 0:
        _post(kit, frame, h, 0.17)
    else:
        metal = _post(kit, frame, 6.2, 0.24)
        kit.build.rod((0, 0, 5.9), (reach, 0, 6.1), 0.15, metal)
        _lights(kit, frame.at(reach, 0.16, 5.75))
    _lights(kit, frame.at(0, 0.24, h - 0.5))


def sign(kit: Kit, frame: Frame) -> None:
    """A post with one or two signs: round, square, on their points, triangular or long."""
    dice, build = kit.dice, kit.build
    h = dice.between(2.4, 3.1)
    _post(kit, frame, h, 0.13)
    plates = 2 if dice.chance(0.35) else 1
    z = h - 0.36
    for _ in range(plates):
        build.begin("sign", frame)
        face, side = kit.paint.picture(), kit.paint.any()
        wide = dice.between(0.68, 0.95)
        shape = dice.unit()
        if shape < 0.4:
            build.add("disc", (0, 0.1, z), (wide, wide, 0.05), face, (-math.pi / 2, 0, 0))
        elif shape < 0.6:
            build.box((0, 0.1, z), (wide, 0.05, wide), face)
        elif shape < 0.75:
            build.box((0, 0.1, z), (wide * 0.8, 0.05, wide * 0.8), face, (0, math.pi / 4, 0))
        elif shape < 0.9:
            flip = math.pi if dice.chance(0.3) else 0.0
            build.add("gable", (0, 0.1, z), (0.05, wide, wide * 0.9), face, (flip, 0, math.pi / 2))
        else:
            build.box((0, 0.1, z), (wide * 0.7, 0.05, wide * 1.2), face)
        build.box((0, 0.06, z), (0.1, 0.06, 0.1), side)
        z -= wide * 1.1 + 0.05


def direction_sign(kit: Kit, frame: Frame, wide: float) -> None:
    """A large board between two posts."""
    h, tall = kit.dice.between(2.9, 3.6), kit.dice.between(0.9, 1.4)
    for side in (-1, 1):
        _post(kit, frame.at(side * wide * 0.35, 0), h, 0.13)
    kit.build.begin("direction sign", frame)
    kit.build.box((0, 0.1, h - tall / 2 + 0.05), (wide, 0.06, tall), kit.paint.picture())


def railing(kit: Kit, frame: Frame, length: float) -> None:
    """A waist-high railing along local y, centred on the frame: posts, and bars or narrow boards."""
    dice, build = kit.dice, kit.build
    build.begin("railing", frame)
    metal, h = kit.paint.any(), dice.between(0.95, 1.15)
    count = max(2, round(length / 1.6) + 1)
    for i in range(count):
        y = (i / (count - 1) - 0.5) * (length - 0.1)
        build.box((0, y, h / 2), (0.09, 0.09, h), metal)
    for z in (0.3, 0.62, 0.94) if dice.chance(0.6) else (0.55, 0.94):
        build.box((0, 0, h * z), (0.05, length, 0.13), metal)
