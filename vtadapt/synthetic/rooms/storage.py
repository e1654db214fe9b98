"""Shelves, cupboards, chests, stands and screens. Each is centred on its frame, back to local -y; sizes (w, d, h)."""

from __future__ import annotations

from vtadapt.synthetic.props import Kit, books_row, books_stack, scatter, something
from vtadapt.synthetic.scene import Frame

Size = tuple[float, float, float]


def bookshelf(kit: Kit, frame: Frame, size: Size) -> None:
    """Sides, shelves and mostly a back; books and things on the shelves."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    wood = kit.paint.any()
    build.begin("bookshelf", frame)
    thick = 0.035
    for side in (-1, 1):
        build.box((side * (w - thick) / 2, 0, h / 2), (thick, d, h), wood)
    if dice.chance(0.85):
        build.box((0, -d / 2 + 0.01, h / 2), (w - thick, 0.02, h), wood if dice.chance(0.6) else kit.paint.any())
    count = max(2, round(h / dice.between(0.33, 0.42)))
    gap = (h - 0.08) / count
    for i in range(count + 1):
        build.box((0, 0, 0.06 + i * gap), (w - thick, d, thick), wood)
    inner = w - 2 * thick - 0.02
    for i in range(count):
        level = 0.06 + i * gap + thick / 2
        room = gap - thick
        what = dice.unit()
        if what < 0.72:
            share = dice.between(0.55, 1.0)
            start = -inner / 2 if dice.chance(0.6) else inner / 2 - share * inner
            books_row(kit, frame.at(start, dice.between(0, 0.03), level), share * inner, room, d - 0.06)
            if share < 0.7 and start < -inner / 2 + 0.01 and room > 0.28:
                books_stack(kit, frame.at(inner / 2 - 0.17, 0.0, level, 0.0), 3)
        elif what < 0.9:
            for j in range(max(1, int(inner / 0.4))):
                if dice.chance(0.7) and room > 0.3:
                    _small(kit, frame.at(-inner / 2 + 0.2 + 0.4 * j, 0, level))


def _small(kit: Kit, frame: Frame) -> None:
    """A stack of books or a box that fits between two shelves."""
    dice, build = kit.dice, kit.build
    if dice.chance(0.5):
        books_stack(kit, frame, 4)
    else:
        shape = dice.choose("vase", "box", "capsule", "bowl")
        build.begin(shape, frame)
        tall, wide = dice.between(0.12, 0.24), dice.between(0.12, 0.24)
        build.add(shape, (0, 0, tall / 2), (wide, wide, tall), kit.paint.any())


def cupboard(kit: Kit, frame: Frame, size: Size, kind: str) -> None:
    """A carcass with a grid of doors or drawers, knobs or handles, feet or a plinth; low ones carry things."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    body = kit.paint.any()
    front = body if dice.chance(0.45) else kit.paint.any()
    metal = kit.paint.any()
    build.begin(kind, frame)
    foot = dice.between(0.04, 0.18) if dice.chance(0.6) else 0.0
    build.box((0, 0, (h + foot) / 2), (w, d, h - foot), body)
    if foot:
        for sx in (-1, 1):
            for sy in (-1, 1):
                build.box((sx * (w / 2 - 0.06), sy * (d / 2 - 0.05), foot / 2), (0.05, 0.05, foot), metal)
    if dice.chance(0.5):
        build.box((0, 0.01, h - 0.015), (w + 0.05, d + 0.04, 0.03), body)
    drawers = kind in ("dresser", "nightstand") or (kind != "wardrobe" and dice.chance(0.4))
    across = max(1, round(w / (dice.between(0.6, 0.95) if drawers else dice.between(0.4, 0.62))))
    up = max(1, round((h - foot) / dice.between(0.2, 0.3))) if drawers else (2 if h > 1.4 and dice.chance(0.3) else 1)
    cw, ch = (w - 0.04) / across, (h - foot - 0.06) / up
    knob = dice.choose("knob", "box", "bar")
    for i in range(across):
        for j in range(up):
            x, z = -w / 2 + 0.02 + (i + 0.5) * cw, foot + 0.02 + (j + 0.5) * ch
            build.box((x, d / 2 + 0.008, z), (cw - 0.03, 0.025, ch - 0.03), front)
            side = 0.0 if drawers else (cw / 2 - 0.06) * (1 if i % 2 == 0 else -1)
            if knob == "bar":
                build.box((x + side, d / 2 + 0.035, z), (0.16, 0.02, 0.02) if drawers else (0.02, 0.02, 0.2), metal)
            else:
                build.add(knob, (x + side, d / 2 + 0.04, z), (0.045, 0.04, 0.045), metal)
    if h < 1.3 and kind != "tv stand":
        scatter(kit, frame.at(0, 0, h), (w - 0.1, d), 1 if kind == "nightstand" else 4)


def tv_stand(kit: Kit, frame: Frame, size: Size) -> None:
    """A low cupboard or open rack with a television on it."""
    w, d, h = size
    if kit.dice.chance(0.6):
        cupboard(kit, frame, size, "tv stand")
    else:
        kit.build.begin("tv stand", frame)
        wood = kit.paint.any()
        for z in (0.05, h / 2, h - 0.02):
            kit.build.box((0, 0, z), (w, d, 0.04), wood)
        for x in (-w / 2 + 0.03, 0.0, w / 2 - 0.03):
            kit.build.box((x, 0, h / 2), (0.04, d, h), wood)
        if kit.dice.chance(0.7):
            books_row(kit, frame.at(0.05, 0, h / 2 + 0.02), w / 2 - 0.15, h / 2 - 0.06, d - 0.1)
    wide = min(kit.dice.between(0.75, 1.0) * w, 1.6)
    screen(kit, frame.at(kit.dice.between(-0.1, 0.1), 0, h), "tv", wide, stand=True)


def screen(kit: Kit, frame: Frame, kind: str, width: float, stand: bool) -> None:
    """A flat screen `width` wide that faces the front, on a foot or (stand=False) hanging centred on the frame."""
    dice, build = kit.dice, kit.build
    high = width * dice.between(0.54, 0.66)
    deep = 0.05 if dice.chance(0.8) else 0.3
    lift = (dice.between(0.05, 0.12) + high / 2) if stand else 0.0
    build.begin(kind, frame)
    case = kit.paint.any()
    glow = dice.between(0.2, 1.0) if dice.chance(0.5) else 0.0
    face = kit.paint.picture(glow) if dice.chance(0.7) else kit.paint.any()
    build.box((0, -deep / 2, lift), (width, deep, high), case)
    build.box((0, 0.006, lift), (width * 0.94, 0.014, high * 0.9), face)
    if stand:
        build.box((0, -deep / 2, lift / 2 - high / 4 + 0.01), (width * 0.1, 0.05, max(0.05, lift - high / 2)), case)
        build.box((0, -deep / 2, 0.012), (width * 0.45, 0.2, 0.024), case)


def wall_shelf(kit: Kit, frame: Frame, width: float) -> None:
    """A board on the wall at the frame's height with books or things on it; local y = 0 is the wall."""
    dice = kit.dice
    deep = dice.between(0.2, 0.28)
    kit.build.begin("wall shelf", frame)
    wood = kit.paint.any()
    kit.build.box((0, deep / 2, 0), (width, deep, 0.035), wood)
    for side in (-1, 1):
        kit.build.box((side * width * 0.4, 0.07, -0.07), (0.03, 0.14, 0.12), wood)
    share = dice.between(0.5, 0.95)
    books_row(kit, frame.at(-width / 2 + 0.03, deep / 2, 0.018), share * width, dice.between(0.24, 0.34), deep - 0.03)
    if share < 0.75:
        something(kit, frame.at(width / 2 - 0.15, deep / 2, 0.018))
