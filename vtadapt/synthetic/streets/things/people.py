"""People walking, standing and riding, assembled from limbs. Each stands on its frame and faces local +y."""

from __future__ import annotations

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame, Vec


def _head(kit: Kit, at: Vec, size: float, materials: tuple[int, int]) -> None:
    """Head, and hair, a hat or a helmet; `materials` are of the skin and of what is on top."""
    x, y, z = at
    skin, top = materials
    kit.build.add("knob", (x, y, z), (0.17 * size, 0.2 * size, 0.24 * size), skin)
    kit.build.add("knob", (x, y - 0.03, z + 0.045 * size), (0.2 * size, 0.22 * size, 0.2 * size), top)


def walker(kit: Kit, frame: Frame) -> None:
    """An adult or a child, standing or in step, in trousers, a skirt or a coat, sometimes with a bag."""
    dice, build = kit.dice, kit.build
    child = dice.chance(0.18)
    h = dice.between(1.05, 1.45) if child else dice.between(1.58, 1.9)
    build.begin("child" if child else "adult", frame)
    skin, hair, shirt, trousers, shoes = (kit.paint.any() for _ in range(5))
    wide = h * dice.between(0.24, 0.29)
    step = 0.0 if dice.chance(0.3) else dice.between(0.1, 0.24) * h
    hip, shoulder = 0.5 * h, 0.81 * h
    for side in (-1, 1):
        foot = side * step
        build.rod((side * 0.05 * h, 0, hip + 0.03), (side * 0.055 * h, foot, 0.05), 0.1 * h, trousers)
        build.box((side * 0.055 * h, foot + 0.06, 0.045), (0.1, 0.26, 0.09), shoes)
        elbow = (side * (wide / 2 + 0.06), -foot * 0.35 - 0.02, 0.62 * h)
        build.rod((side * wide * 0.48, 0, shoulder - 0.02), elbow, 0.065 * h, shirt)
        bent = dice.chance(0.3)
        hand = (elbow[0] * 0.7, 0.24, 0.66 * h) if bent else (elbow[0] + 0.01 * side, -foot * 0.8 + 0.03, 0.46 * h)
        build.rod(elbow, hand, 0.055 * h, shirt if dice.chance(0.7) else skin)
    build.add("capsule", (0, 0, (hip + shoulder) / 2 + 0.02), (wide, 0.15 * h, shoulder - hip + 0.14), shirt)
    if dice.chance(0.3):
        low = dice.between(0.22, 0.4) * h
        build.add("frustum", (0, 0, (low + 0.62 * h) / 2), (wide * 1.25, 0.24 * h, 0.62 * h - low), shirt)
    build.rod((0, 0, shoulder - 0.03), (0, 0.01, 0.87 * h), 0.065 * h, skin)
    _head(kit, (0, 0.02, 0.93 * h - 0.02), h / 1.7, (skin, hair))
    if dice.chance(0.35):
        bag = kit.paint.any()
        if dice.chance(0.5):
            build.add("cushion", (0, -0.12 * h, 0.68 * h), (0.2 * h, 0.12 * h, 0.26 * h), bag)
        else:
            build.box((wide / 2 + 0.12, 0, 0.38 * h), (0.12, 0.32, 0.26), bag)


def rider(kit: Kit, frame: Frame, motor: bool) -> None:
    """Someone on a bicycle or (`motor`) on a motorcycle that stands on the same frame."""
    dice, build = kit.dice, kit.build
    build.begin("rider", frame)
    skin, helmet, shirt, trousers, shoes = (kit.paint.any() for _ in range(5))
    wide = dice.between(0.42, 0.5)
    seat = 0.9 if motor else 0.98
    hip = -0.32 if motor else -0.2
    lean = dice.between(0.05, 0.2) if motor else dice.between(0.12, 0.38)
    grip = (0.3, 0.36, 1.08) if motor else (0.25, 0.3, 1.08)
    top = (0.0, hip + lean, seat + 0.52)
    build.add("capsule", (0, hip + lean / 2, seat + 0.27), (wide, 0.27, 0.66), shirt, (-lean / 0.6, 0, 0))
    raised = dice.whole(0, 1)
    for i, side in enumerate((-1, 1)):
        foot = (side * 0.24, -0.05, 0.34) if motor else (side * 0.12, -0.02, 0.46 if i == raised else 0.16)
        knee = (side * (0.26 if motor else 0.14), hip + 0.42, foot[2] + (0.36 if motor else 0.42))
        build.rod((side * 0.1, hip, seat + 0.02), knee, 0.17, trousers)
        build.rod(knee, foot, 0.13, trousers)
        build.box((foot[0], foot[1] + 0.06, foot[2]), (0.1, 0.26, 0.09), shoes)
        elbow = (side * (wide / 2 + 0.08), (top[1] + grip[1]) / 2 - 0.02, 1.18)
        build.rod((side * wide * 0.44, top[1], top[2] - 0.02), elbow, 0.12, shirt)
        build.rod(elbow, (side * grip[0], grip[1], grip[2]), 0.1, shirt)
    build.rod((0, top[1], top[2]), (0, top[1] + 0.03, top[2] + 0.14), 0.12, skin)
    _head(kit, (0, top[1] + 0.06, top[2] + 0.22), 1.15 if motor else 1.05, (skin, helmet))
