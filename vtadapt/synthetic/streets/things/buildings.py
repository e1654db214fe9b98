"""Houses, garden walls and fences. Each stands behind its frame: its front lies on local y = 0 and faces +y."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame


@dataclass(frozen=True)
class Style:
    """What the facades of one house have in common; metres, and materials."""

    storey: float
    spacing: float
    window: tuple[float, float]
    ground: str  # "shops", "doors" or "same"
    balconies: bool
    bands: bool
    glass: int
    frame: int
    trim: int


def style(kit: Kit) -> Style:
    """Draws a style."""
    dice = kit.dice
    return Style(
        dice.between(2.9, 3.6),
        dice.between(2.0, 3.4),
        (dice.between(0.9, 1.5), dice.between(1.2, 1.9)),
        dice.choose("shops", "shops", "doors", "same"),
        dice.chance(0.2),
        dice.chance(0.15),
        kit.paint.any(),
        kit.paint.any(),
        kit.paint.any(),
    )


def house(kit: Kit, frame: Frame, size: tuple[float, float, float], detail: int, corner: int = 0) -> None:
    """A house of `size` (width, depth, height); `detail` 0 (far) to 2; `corner`: windows on the end of this sign."""
    dice, build = kit.dice, kit.build
    w, d, h = size
    build.begin("house" if detail else "distant house", frame)
    body, look = kit.paint.any(), style(kit)
    build.box((0, -d / 2, h / 2 - 0.5), (w, d, h + 1.0), body)
    _facade(kit, (w, h), look, detail, 0.0)
    if corner:
        side = frame.at(corner * w / 2, -d / 2, 0, -corner * math.pi / 2)
        build.begin("house", side)
        _facade(kit, (d, h), look, min(detail, 1), 0.0)
        build.begin("house", frame)
    roof = dice.unit()
    if roof < 0.45 and w < 16:
        rise = dice.between(2.0, 4.0)
        build.add("gable", (0, -d / 2, h + rise / 2), (w, d + 0.7, rise), kit.paint.any())
        if dice.chance(0.5):
            build.box((w * dice.between(-0.3, 0.3), -d * 0.6, h + rise * 0.9), (0.8, 0.8, 1.8), look.trim)
    elif roof < 0.85:
        build.box((0, -d / 2 + 0.05, h + 0.15), (w, d + 0.3, 0.3), look.trim)
        if dice.chance(0.3):
            build.box((w * dice.between(-0.2, 0.2), -d * 0.6, h + 1.2), (w * 0.3, d * 0.3, 2.0), look.trim)


def _facade(kit: Kit, size: tuple[float, float], look: Style, detail: int, y: float) -> None:
    """Windows, doors, shops, balconies and ledges on a wall of `size` (width, height) at local `y`, facing +y."""
    dice, build = kit.dice, kit.build
    w, h = size
    floors = max(1, int(h / look.storey))
    columns = max(1, int((w - 0.6) / look.spacing))
    wide, tall = min(look.window[0], (w - 0.6) / columns - 0.4), min(look.window[1], look.storey - 0.9)
    storey = h / floors
    for floor in range(floors):
        z = floor * storey
        if floor == 0 and look.ground != "same" and detail:
            _ground_floor(kit, w, look, y)
            continue
        middle = z + 0.95 + tall / 2
        if look.bands or detail == 0:
            build.box((0, y, middle), (w * 0.92, 0.14, tall), look.glass)
            continue
        for column in range(columns):
            x = ((column + 0.5) / columns - 0.5) * (w - 0.6)
            if detail > 1:
                build.box((x, y, middle), (wide + 0.22, 0.12, tall + 0.22), look.frame)
            build.box((x, y, middle), (wide, 0.18, tall), look.glass)
            if look.balconies and floor and column % 2 == 0:
                build.box((x, y + 0.45, z + 0.1), (wide + 1.0, 0.9, 0.16), look.trim)
                build.box((x, y + 0.87, z + 0.6), (wide + 1.0, 0.08, 0.9), look.trim)
    if detail and dice.chance(0.5):
        build.box((0, y + 0.08, storey - 0.05), (w, 0.3, 0.22), look.trim)


def _ground_floor(kit: Kit, w: float, look: Style, y: float) -> None:
    """Shop windows with a board or an awning above, or doors between windows."""
    dice, build = kit.dice, kit.build
    count = max(1, int(w / (4.2 if look.ground == "shops" else 3.2)))
    step = (w - 0.5) / count
    for i in range(count):
        x = (i + 0.5) * step - (w - 0.5) / 2
        if look.ground == "shops":
            build.box((x, y, 1.35), (step - 0.6, 0.16, 2.1), look.glass)
            if dice.chance(0.4):
                build.box((x, y + 0.55, 2.65), (step - 0.3, 1.2, 0.08), kit.paint.any(), (-0.35, 0, 0))
            else:
                build.box((x, y + 0.06, 2.72), (step - 0.4, 0.2, 0.5), kit.paint.picture())
        elif i % 2 == 0:
            build.box((x, y, 1.1), (1.1, 0.16, 2.2), look.frame)
            build.box((x, y + 0.2, 0.08), (1.4, 0.5, 0.16), look.trim)
        else:
            build.box((x, y, 1.6), (look.window[0], 0.18, 1.3), look.glass)


def garden_wall(kit: Kit, frame: Frame, length: float) -> None:
    """A masonry wall along local x with coping and pillars."""
    dice, build = kit.dice, kit.build
    h = dice.between(1.2, 2.7)
    build.begin("garden wall", frame)
    stone, trim = kit.paint.any(), kit.paint.any()
    build.box((0, -0.15, h / 2), (length, 0.3, h), stone)
    build.box((0, -0.15, h + 0.05), (length, 0.42, 0.1), trim)
    if dice.chance(0.5):
        count = max(2, round(length / 3.5))
        for i in range(count):
            x = (i / (count - 1) - 0.5) * (length - 0.5)
            build.box((x, -0.15, h / 2 + 0.08), (0.45, 0.44, h + 0.16), trim)


def fence(kit: Kit, frame: Frame, length: float) -> None:
    """A fence along local x: boards, pickets, rails or panels between posts."""
    dice, build = kit.dice, kit.build
    h = dice.between(1.1, 1.9)
    build.begin("fence", frame)
    wood, post = kit.paint.any(), kit.paint.any()
    kind = dice.choose("pickets", "rails", "boards", "panels")
    count = max(2, round(length / 2.4) + 1)
    for i in range(count):
        x = (i / (count - 1) - 0.5) * (length - 0.12)
        build.box((x, -0.1, h / 2 + 0.04), (0.12, 0.12, h + 0.08), post)
    if kind == "rails":
        for z in (0.2, 0.5, 0.8):
            build.box((0, -0.06, h * z), (length, 0.05, 0.2), wood)
        return
    if kind == "panels":
        build.box((0, -0.1, h * 0.55), (length, 0.05, h * 0.82), wood)
        return
    wide, gap = (0.11, 0.1) if kind == "pickets" else (0.3, 0.07)
    slats = max(2, int(length / (wide + gap)))
    for i in range(slats):
        build.box((((i + 0.5) / slats - 0.5) * length, -0.05, h * 0.53), (wide, 0.04, h * 0.9), wood)
    for z in (0.25, 0.8):
        build.box((0, -0.09, h * z), (length, 0.05, 0.1), wood)
