"""Beds, seats and tables assembled from parts. Each stands centred on its frame, back to local -y; sizes (w, d, h)."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit, cushion
from vtadapt.synthetic.scene import Frame

Size = tuple[float, float, float]


def legs(kit: Kit, size: Size, thickness: float, material: int) -> None:
    """Four legs up to height size[2], round or square, straight or splayed, inset under a top of size[:2]."""
    dice, build = kit.dice, kit.build
    x, y, z = size[0] / 2 - thickness, size[1] / 2 - thickness, size[2]
    round_, splay = dice.chance(0.5), dice.between(0.0, 0.12) if dice.chance(0.4) else 0.0
    for sx in (-1, 1):
        for sy in (-1, 1):
            if splay or round_:
                build.rod((sx * x * (1 - splay), sy * y * (1 - splay), z), (sx * x, sy * y, 0), thickness, material)
            else:
                build.box((sx * x, sy * y, z / 2), (thickness, thickness, z), material)


def chair(kit: Kit, frame: Frame, size: Size) -> None:
    """Seat, back of panel or slats, four legs, sometimes arms; `size` is seat width, depth and total height."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    build.begin("dining chair", frame)
    seat = dice.between(0.43, 0.49)
    wood, fabric = kit.paint.any(), kit.paint.any()
    build.add("cushion" if dice.chance(0.4) else "box", (0, 0, seat - 0.03), (w, d, dice.between(0.04, 0.09)), fabric)
    legs(kit, (w, d, seat - 0.04), dice.between(0.035, 0.06), wood)
    _chair_back(kit, size, seat, (wood, fabric))
    if dice.chance(0.25):
        for side in (-1, 1):
            build.box((side * w / 2, 0, seat + 0.2), (0.05, d * 0.9, 0.035), wood)
            build.rod((side * w / 2, d * 0.38, seat - 0.02), (side * w / 2, d * 0.38, seat + 0.2), 0.035, wood)


def _chair_back(kit: Kit, size: Size, seat: float, materials: tuple[int, int]) -> None:
    """A panel, upright bars or cross slats above the seat; `materials` are the wood and the fabric."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    wood, fabric = materials
    lean = dice.between(0.03, 0.2)
    tall, back = h - seat, -d / 2 + 0.02
    style = dice.unit()
    if style < 0.5:
        low = dice.between(0.0, 0.15)
        build.box(
            (0, back - math.sin(lean) * tall / 2, seat + (tall + low) / 2),
            (w * 0.95, 0.04, tall - low),
            fabric,
            (lean, 0, 0),
        )
        if low:
            for side in (-1, 1):
                build.rod(
                    (side * w * 0.4, back, seat - 0.03),
                    (side * w * 0.4, back - lean * tall / 2, seat + tall / 2),
                    0.035,
                    wood,
                )
    else:
        top = (back - math.sin(lean) * tall, seat + tall)
        for side in (-1, 1):
            build.rod((side * w * 0.45, back, seat - 0.03), (side * w * 0.45, *top), 0.04, wood)
        count = dice.whole(2, 5)
        for i in range(count):
            if style < 0.75:
                x = (i + 0.5) / count * w * 0.8 - w * 0.4
                build.rod((x, back, seat), (x, *top), 0.035, wood)
            else:
                share = 1 - i / count * 0.7
                build.box(
                    (0, back + (top[0] - back) * share, seat + tall * share - 0.03),
                    (w * 0.9, 0.025, 0.07),
                    wood,
                    (lean, 0, 0),
                )
        build.box((0, top[0], top[1] - 0.03), (w * 0.98, 0.035, 0.08), wood, (lean, 0, 0))


def office_chair(kit: Kit, frame: Frame, size: Size) -> None:
    """Pedestal with a star of five feet, padded seat and back, arms."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    build.begin("office chair", frame)
    metal, fabric = kit.paint.any(), kit.paint.any()
    seat = dice.between(0.44, 0.52)
    for i in range(5):
        turn = 2 * math.pi * i / 5 + 0.3
        tip = (0.28 * math.cos(turn), 0.28 * math.sin(turn), 0.04)
        build.rod((0, 0, 0.1), tip, 0.04, metal)
        build.add("knob", tip, (0.07, 0.07, 0.07), metal)
    build.rod((0, 0, 0.08), (0, 0, seat), 0.06, metal)
    build.add("cushion", (0, 0, seat), (w, d, 0.1), fabric)
    tall = h - seat - 0.1
    build.add(
        "cushion",
        (0, -d / 2 - 0.03, seat + 0.13 + tall / 2),
        (w * 0.95, 0.09, tall),
        fabric,
        (dice.between(0.05, 0.2), 0, 0),
    )
    build.rod((0, -d / 2 + 0.05, seat), (0, -d / 2 - 0.04, seat + 0.3), 0.05, metal)
    if dice.chance(0.7):
        for side in (-1, 1):
            build.rod((side * w * 0.5, 0, seat), (side * w * 0.55, 0, seat + 0.2), 0.04, metal)
            build.box((side * w * 0.55, 0, seat + 0.21), (0.07, d * 0.6, 0.04), metal)


def stool(kit: Kit, frame: Frame, size: Size) -> None:
    """A seat without a back: round stool or bench."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    wood = kit.paint.any()
    build.begin("bench" if w > 0.7 else "stool", frame)
    build.add("box" if w > 0.7 or dice.chance(0.3) else "cylinder", (0, 0, h - 0.03), (w, d, 0.06), kit.paint.any())
    legs(kit, (w * 0.85, d * 0.85, h - 0.05), dice.between(0.035, 0.06), wood)


def table(kit: Kit, frame: Frame, size: Size, kind: str) -> None:
    """A top on four legs, on two panels, on a pedestal or on a frame; round for `round table` and some others."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    build.begin(kind, frame)
    top, wood = kit.paint.any(), kit.paint.any()
    thick = dice.between(0.025, 0.07)
    round_ = kind == "round table" or (kind in ("coffee table", "side table") and dice.chance(0.3))
    build.add("disc" if round_ else "box", (0, 0, h - thick / 2), (w, d, thick), top)
    under, style = h - thick, dice.unit()
    if round_ and style < 0.6:
        build.rod((0, 0, 0), (0, 0, under), dice.between(0.07, 0.16), wood)
        build.add("disc", (0, 0, 0.02), (w * 0.5, d * 0.5, 0.04), wood)
    elif style < 0.6 or round_:
        inset = 0.68 if round_ else 0.96
        legs(kit, (w * inset, d * inset, under), dice.between(0.04, 0.09), wood)
        if dice.chance(0.5) and not round_:
            build.box((0, 0, under - 0.05), (w * 0.88, d * 0.84, 0.1), wood)
    elif style < 0.85:
        for side in (-1, 1):
            build.box((side * (w / 2 - 0.06), 0, under / 2), (0.05, d * 0.9, under), wood)
        build.box((0, -d * 0.3, under * 0.6), (w - 0.16, 0.03, under * 0.4), wood)
    else:
        for side in (-1, 1):
            build.rod((side * w * 0.35, -d * 0.4, 0), (side * w * 0.35, d * 0.4, under), 0.06, wood)
            build.rod((side * w * 0.35, d * 0.4, 0), (side * w * 0.35, -d * 0.4, under), 0.06, wood)
    if kind == "coffee table" and not round_ and dice.chance(0.4):
        build.box((0, 0, h * 0.35), (w * 0.88, d * 0.85, 0.025), wood)
    if kind == "desk" and dice.chance(0.6):
        side = dice.choose("l", "r") == "l"
        x = (w / 2 - 0.24) * (-1 if side else 1)
        build.box((x, 0, under - 0.28), (0.4, d * 0.85, 0.54), top)
        for i in range(3):
            build.box((x, d * 0.43, under - 0.1 - 0.17 * i), (0.36, 0.02, 0.15), wood)


def sofa(kit: Kit, frame: Frame, size: Size, kind: str) -> None:
    """Base, seat cushions, back, arms and loose pillows; a corner sofa has a chaise along its local right side."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    build.begin(kind, frame)
    cloth = kit.paint.any()
    seat_cloth = cloth if dice.chance(0.7) else kit.paint.any()
    seat, arm, back = dice.between(0.38, 0.46), dice.between(0.1, 0.24), dice.between(0.16, 0.28)
    arm_high, foot = seat + dice.between(0.08, 0.24), dice.between(0.03, 0.12)
    build.box((0, 0, (foot + seat - 0.14) / 2 + foot / 2), (w - 0.02, d, seat - 0.14 - foot + 0.02), cloth)
    soft = "cushion" if dice.chance(0.6) else "box"
    build.add(soft, (0, -d / 2 + back / 2, (h + foot) / 2), (w, back, h - foot), cloth)
    if arm > 0.12 or dice.chance(0.7):
        shape = dice.choose("box", "cushion")
        for side in (-1, 1):
            build.add(shape, (side * (w - arm) / 2, 0.01, (arm_high + foot) / 2), (arm, d, arm_high - foot), cloth)
    inner = w - 2 * arm
    count = max(1, round(inner / dice.between(0.6, 0.85)))
    wide = inner / count
    for i in range(count):
        x = -inner / 2 + (i + 0.5) * wide
        build.add("cushion", (x, back / 2, seat - 0.07), (wide * 0.99, d - back, 0.18), seat_cloth)
        build.add(
            "cushion",
            (x, -d / 2 + back + 0.07, (seat + h) / 2),
            (wide * 0.97, 0.17, (h - seat) * 1.0),
            seat_cloth,
            (0.15, 0, 0),
        )
    for sx in (-1, 1):
        for sy in (-1, 1):
            build.box((sx * (w / 2 - 0.08), sy * (d / 2 - 0.08), foot / 2), (0.06, 0.06, foot), seat_cloth)
    if kind == "corner sofa":
        build.box((w / 2 - 0.36, d / 2 + 0.38, (seat - 0.1) / 2), (0.72, 0.8, seat - 0.1), cloth)
        build.add("cushion", (w / 2 - 0.36, d / 2 + 0.36, seat - 0.06), (0.72, 0.82, 0.18), seat_cloth)
    for _ in range(dice.whole(0, count + 1)):
        x, s = dice.between(-inner / 2 + 0.15, inner / 2 - 0.15), dice.between(0.34, 0.48)
        cushion(kit, frame.at(x, -d / 2 + back + 0.24, seat + s / 2, dice.between(-0.3, 0.3)), (s, 0.14, s), 0.35)


def bed(kit: Kit, frame: Frame, size: Size, kind: str) -> None:
    """Frame, mattress, headboard at the back, blanket over the lower part, pillows; a bunk bed has two storeys."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    storeys = (0.0, 1.15) if kind == "bunk bed" else (0.0,)
    wood, sheet, blanket = kit.paint.any(), kit.paint.any(), kit.paint.any()
    low, thick = dice.between(0.12, 0.3), dice.between(0.16, 0.28)
    top = low + thick
    build.begin(kind, frame)
    for z in storeys:
        build.box((0, 0, z + low - 0.04), (w, d, 0.12), wood)
        build.box((0, 0, z + low + thick / 2), (w * 0.97, d * 0.97, thick), sheet)
        cover = d * dice.between(0.5, 0.75)
        fall = dice.between(0.1, thick + 0.06)
        build.add(
            "box", (0, d / 2 - cover / 2 + 0.01, z + top + 0.03 - fall / 2), (w * 1.0, cover, fall + 0.04), blanket
        )
        if dice.chance(0.5):
            build.add("box", (0, d / 2 - cover - 0.06, z + top + 0.02), (w * 1.0, 0.22, 0.07), kit.paint.any())
    if kind == "bunk bed":
        _bunk_posts(kit, size, wood)
    else:
        _bed_ends(kit, size, low, wood)
    wide = w / 2 if w > 1.3 else w
    for z in storeys:
        for i in range(2 if w > 1.3 else 1):
            x = (i - 0.5) * wide if w > 1.3 else 0.0
            cushion(
                kit,
                frame.at(x, -d / 2 + 0.3, z + top + 0.08, dice.between(-0.15, 0.15)),
                (wide * 0.8, 0.18, 0.42),
                dice.between(1.1, 1.5),
            )


def _bunk_posts(kit: Kit, size: Size, wood: int) -> None:
    """Posts, rails and ladder of a bunk bed."""
    build = kit.build
    w, d, _ = size
    for sx in (-1, 1):
        for sy in (-1, 1):
            build.box((sx * w / 2, sy * d / 2, 0.95), (0.07, 0.07, 1.9), wood)
    for z in (1.62, 1.78):
        build.box((w / 2, 0, z), (0.03, d, 0.07), wood)
        build.box((-w / 2, 0, z), (0.03, d, 0.07), wood)
    for i in range(5):
        build.box((w * 0.25, d / 2 + 0.02, 0.3 + 0.27 * i), (0.4, 0.03, 0.04), wood)


def _bed_ends(kit: Kit, size: Size, low: float, wood: int) -> None:
    """Headboard, footboard and legs up to `low`."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    if dice.chance(0.85):
        style = dice.choose("box", "cushion")
        build.add(
            style,
            (0, -d / 2 - 0.03, (h + 0.1) / 2),
            (w * dice.between(1.0, 1.08), dice.between(0.05, 0.12), h - 0.1),
            wood,
        )
    if dice.chance(0.3):
        build.box((0, d / 2 + 0.03, 0.28), (w, 0.05, 0.56), wood)
    for sx in (-1, 1):
        for sy in (-1, 1):
            build.box((sx * (w / 2 - 0.06), sy * (d / 2 - 0.06), low / 2), (0.08, 0.08, low), wood)
