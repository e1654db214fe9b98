"""The shell of a room: floor, ceiling, walls with windows, doors, skirting boards, columns; and what hangs on them."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.rooms.plan import Plan, Rect
from vtadapt.synthetic.scene import Frame
from vtadapt.synthetic.shading import Light

THICK = 0.25


def warm(kit: Kit, power: float) -> tuple[float, float, float]:
    """A light colour between candle and overcast sky, times `power`."""
    t = kit.dice.between(-1, 1)
    return (
        power * (1 + 0.22 * max(t, 0) - 0.12 * max(-t, 0)),
        power,
        power * (1 - 0.38 * max(t, 0) + 0.25 * max(-t, 0)),
    )


def floor_and_ceiling(kit: Kit, plan: Plan, slope: float) -> None:
    """The floor, and the ceiling that rises by `slope` metres from wall 0 to wall 2; sometimes beams."""
    dice, build = kit.dice, kit.build
    w, d, h = plan.width, plan.depth, plan.height
    build.begin("floor", Frame(0, 0, 0, dice.whole(0, 1) * math.pi / 2 + (math.pi / 4 if dice.chance(0.1) else 0.0)))
    frame = build.frame
    c, s = math.cos(-frame.yaw), math.sin(-frame.yaw)
    build.box(
        (c * w / 2 - s * d / 2, s * w / 2 + c * d / 2, -0.1), (w + 1, d + 1, 0.2), kit.paint.any(), (0, 0, -frame.yaw)
    )
    build.begin("ceiling", Frame(0, 0, h))
    angle = math.atan2(slope, d)
    build.box(
        (w / 2, d / 2 - 0.1 * math.sin(angle), slope / 2 + 0.1 * math.cos(angle)),
        (w + 1, (d + 1) / math.cos(angle), 0.2),
        kit.paint.any(),
        (angle, 0, 0),
    )
    if dice.chance(0.2):
        build.begin("beam", Frame(0, 0, h))
        wood, deep = kit.paint.any(), dice.between(0.1, 0.2)
        count = dice.whole(2, 4)
        for i in range(count):
            build.box(((i + 0.5) * w / count, d / 2, slope / 2), (0.14, d / math.cos(angle), deep), wood, (angle, 0, 0))


def walls(kit: Kit, plan: Plan, windows: list[list[Rect]], doors: list[list[Rect]], rise: float) -> None:
    """Four walls with openings for the windows (from, low, to, high) per wall, and skirting boards between doors."""
    dice, build = kit.dice, kit.build
    common = kit.paint.any()
    board = kit.paint.any()
    skirting = dice.chance(0.7)
    top = plan.height + rise + 0.1
    for index in range(4):
        length, frame = plan.length(index), plan.wall(index)
        paint = common if dice.chance(0.7) else kit.paint.any()
        build.begin("wall", frame)
        at = -THICK
        for x0, z0, x1, z1 in sorted(windows[index]):
            build.box(((at + x0) / 2, -THICK / 2, top / 2), (x0 - at, THICK, top), paint)
            build.box(((x0 + x1) / 2, -THICK / 2, z0 / 2), (x1 - x0, THICK, z0), paint)
            build.box(((x0 + x1) / 2, -THICK / 2, (z1 + top) / 2), (x1 - x0, THICK, top - z1), paint)
            at = x1
        build.box(((at + length + THICK) / 2, -THICK / 2, top / 2), (length + THICK - at, THICK, top), paint)
        if skirting:
            build.begin("skirting board", frame)
            at = 0.0
            for x0, x1 in [*sorted((x0 - 0.08, x1 + 0.08) for x0, _, x1, _ in doors[index]), (length, length)]:
                if x0 - at > 0.02:
                    build.box(((at + x0) / 2, 0.0075, 0.045), (x0 - at, 0.015, 0.09), board)
                at = x1


def window(kit: Kit, wall: Frame, rect: Rect, power: float) -> Light:
    """Frame, glazing bars, sill and a bright view in the opening; curtains or a blind; returns its light."""
    dice, build = kit.dice, kit.build
    x0, z0, x1, z1 = rect
    w, h, x, z = x1 - x0, z1 - z0, (x0 + x1) / 2, (z0 + z1) / 2
    build.begin("window", wall)
    wood, deep, bar = kit.paint.any(), -dice.between(0.06, 0.16), dice.between(0.04, 0.08)
    view = kit.paint.picture(power)
    build.box((x, deep - 0.05, z), (w, 0.06, h), view)
    for side in (-1, 1):
        build.box((x + side * (w - bar) / 2, deep, z), (bar, 0.06, h), wood)
        build.box((x, deep, z + side * (h - bar) / 2), (w, 0.06, bar), wood)
    columns, rows = max(1, round(w / dice.between(0.45, 0.9))), dice.whole(1, 3)
    for i in range(1, columns):
        build.box((x0 + w * i / columns, deep, z), (bar * 0.8, 0.05, h), wood)
    for i in range(1, rows):
        build.box((x, deep, z0 + h * i / rows), (w, 0.04, bar * 0.6), wood)
    build.box((x, 0.02, z0 - 0.015), (w + 0.12, 0.1, 0.03), wood)
    dressing = dice.unit()
    if dressing < 0.3:
        _curtains(kit, wall, rect)
    elif dressing < 0.45:
        build.begin("blind", wall)
        slat, share = kit.paint.any(), dice.between(0.2, 0.7)
        count = max(2, int(h * share / 0.09))
        for i in range(count):
            build.box((x, -0.02, z1 - 0.05 - 0.09 * i), (w * 0.96, 0.07, 0.008), slat, (0.6, 0, 0))
    centre = wall.at(x, 0.04, z)
    c, s = math.cos(wall.yaw), math.sin(wall.yaw)
    return Light(
        (centre.x, centre.y, centre.z),
        (c * w * 0.45, s * w * 0.45, 0.0),
        (0.0, 0.0, h * 0.45),
        warm(kit, 3.5 * power * w * h),
        (-s, c, 0.0),
    )


def _curtains(kit: Kit, wall: Frame, rect: Rect) -> None:
    """A rod and folded cloth on both sides of a window."""
    dice, build = kit.dice, kit.build
    x0, z0, x1, z1 = rect
    build.begin("curtain", wall)
    cloth, rod = kit.paint.any(), kit.paint.any()
    high = min(z1 + 0.12, z1 + 0.12)
    low = 0.05 if dice.chance(0.6) else z0 - 0.1
    build.rod((x0 - 0.3, 0.09, high), (x1 + 0.3, 0.09, high), 0.035, rod)
    wide = (x1 - x0) * dice.between(0.18, 0.32)
    for start in (x0 - 0.2, x1 + 0.2 - wide):
        for i in range(4):
            x = start + (i + 0.5) * wide / 4
            build.add("cylinder", (x, 0.09, (low + high) / 2), (wide / 3.4, 0.1, high - low), cloth)


def door(kit: Kit, wall: Frame, rect: Rect) -> None:
    """A closed door with its case and handle; its panels stand out a little."""
    build = kit.build
    x0, _, x1, top = rect
    w, x = x1 - x0, (x0 + x1) / 2
    build.begin("door", wall)
    leaf, case, metal = kit.paint.any(), kit.paint.any(), kit.paint.any()
    build.box((x, 0.0, top / 2), (w, 0.05, top), leaf)
    for side in (-1, 1):
        build.box((x + side * (w / 2 + 0.04), 0.0, top / 2), (0.08, 0.1, top + 0.08), case)
    build.box((x, 0.0, top + 0.04), (w, 0.1, 0.08), case)
    if kit.dice.chance(0.5):
        for low, high in ((0.15, 0.9), (1.1, top - 0.15)):
            build.box((x, 0.02, (low + high) / 2), (w * 0.7, 0.03, high - low), leaf)
    side = 1 if kit.dice.chance(0.5) else -1
    build.box((x + side * (w / 2 - 0.12), 0.06, 1.02), (0.12, 0.05, 0.025), metal)


def picture(kit: Kit, frame: Frame, size: tuple[float, float]) -> None:
    """A framed picture or bare poster centred on the frame; local y = 0 is the wall."""
    dice, build = kit.dice, kit.build
    w, h = size
    face = kit.paint.picture()
    if dice.chance(0.2):
        build.begin("poster", frame)
        build.box((0, 0.005, 0), (w, 0.01, h), face)
        return
    build.begin("picture", frame)
    rim, deep = dice.between(0.02, 0.07), dice.between(0.02, 0.05)
    wood = kit.paint.any()
    build.box((0, deep / 2, 0), (w, deep, h), wood)
    if dice.chance(0.4):
        build.box((0, deep + 0.001, 0), (w - rim, 0.004, h - rim), kit.paint.any())
        rim *= 2.2
    build.box((0, deep + 0.003, 0), (max(w - 2 * rim, w * 0.5), 0.006, max(h - 2 * rim, h * 0.5)), face)


def mirror(kit: Kit, frame: Frame, size: tuple[float, float]) -> None:
    """A framed plate on the wall, plain (nothing is reflected)."""
    kit.build.begin("mirror", frame)
    kit.build.box((0, 0.015, 0), (size[0], 0.03, size[1]), kit.paint.any())
    kit.build.box((0, 0.03, 0), (size[0] * 0.85, 0.01, size[1] * 0.88), kit.paint.any())


def radiator(kit: Kit, wall: Frame, along: float, width: float, high: float) -> None:
    """Upright fins under a window."""
    kit.build.begin("radiator", wall)
    metal = kit.paint.any()
    count = int(width / 0.11)
    for i in range(count):
        kit.build.box((along - width / 2 + (i + 0.5) * width / count, 0.09, 0.1 + high / 2), (0.07, 0.1, high), metal)
    kit.build.box((along, 0.05, 0.1 + high / 2), (width, 0.02, high * 0.9), metal)


def ceiling_lamp(kit: Kit, x: float, y: float, height: float) -> Light:
    """A flat lamp, a pendant or a tube at the ceiling; returns its light, just below it."""
    dice, build = kit.dice, kit.build
    glow = kit.paint.glowing(dice.between(0.6, 1.8)) if dice.chance(0.75) else kit.paint.any()
    frame = Frame(x, y, height, dice.whole(0, 1) * math.pi / 2)
    build.begin("ceiling lamp", frame)
    style, wide, drop, across = dice.unit(), dice.between(0.25, 0.5), 0.1, (0.15, 0.0, 0.0)
    if style < 0.35:
        build.add("disc", (0, 0, -0.05), (wide, wide, 0.1), glow)
    elif style < 0.75:
        drop = min(dice.between(0.4, 0.9), height - 1.6)
        build.rod((0, 0, 0), (0, 0, -drop), 0.025, kit.paint.any())
        tall = wide * dice.between(0.5, 1.0)
        build.add(dice.choose("sphere", "frustum", "cylinder"), (0, 0, -drop), (wide, wide, tall), glow)
        drop += tall / 2
    else:
        long = dice.between(0.8, 1.4)
        build.box((0, 0, -0.05), (long, 0.2, 0.1), glow)
        across = (math.cos(frame.yaw) * long / 2, math.sin(frame.yaw) * long / 2, 0.0)
    return Light((x, y, height - drop - 0.06), across, (0.0, 0.15, 0.0), warm(kit, dice.between(4, 9)), (0.0, 0.0, 0.0))
