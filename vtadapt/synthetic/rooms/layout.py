"""Furnishing a room: a type (bedroom, living room, office, dining room) decides what is placed; chance the rest."""

from __future__ import annotations

from collections.abc import Callable

from vtadapt.synthetic import props
from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.rooms import arrange, furniture, shell, storage
from vtadapt.synthetic.rooms.plan import Plan, Rect
from vtadapt.synthetic.scene import Frame
from vtadapt.synthetic.shading import Light, Lighting

TYPES: dict[str, Callable[[Kit, Plan], None]] = {
    "bedroom": arrange.bedroom,
    "living": arrange.living,
    "office": arrange.office,
    "dining": arrange.dining,
}


def furnish(kit: Kit) -> tuple[Plan, Lighting]:
    """Builds one whole room; returns its plan and lights."""
    dice = kit.dice
    slope = dice.between(0.5, 1.5) if dice.chance(0.12) else 0.0
    height = dice.between(2.0, 2.3) if slope else dice.between(2.3, 3.0)
    plan = Plan(dice, dice.between(3.0, 5.6), dice.between(3.0, 5.6), height)
    windows: list[list[Rect]] = [[], [], [], []]
    doors: list[list[Rect]] = [[], [], [], []]
    _corners(kit, plan, height + slope)
    _doors(kit, plan, doors)
    lights = _windows(kit, plan, windows)
    TYPES[dice.choose("bedroom", "living", "living", "office", "dining")](kit, plan)
    _anything(kit, plan)
    _on_walls(kit, plan)
    shell.floor_and_ceiling(kit, plan, slope)
    shell.walls(kit, plan, windows, doors, slope)
    for _ in range(dice.whole(1, 2)):
        x, y = plan.width * dice.between(0.25, 0.75), plan.depth * dice.between(0.25, 0.75)
        lights.append(shell.ceiling_lamp(kit, x, y, height + slope * y / plan.depth))
    lights.sort(key=lambda light: -light.colour[1])
    ambient = shell.warm(kit, dice.between(0.35, 0.9))
    return plan, Lighting(tuple(lights[:3]), ambient)


def _corners(kit: Kit, plan: Plan, top: float) -> None:
    """Makes some rooms L-shaped with a block of wall in a corner, and puts a column into some."""
    dice = kit.dice
    if dice.chance(0.18):
        w, d = dice.between(0.6, 0.4 * plan.width), dice.between(0.6, 0.4 * plan.depth)
        x, y = (w / 2, plan.width - w / 2)[dice.whole(0, 1)], (d / 2, plan.depth - d / 2)[dice.whole(0, 1)]
        frame = Frame(x, y)
        plan.claim(frame, w, d)
        kit.build.begin("wall", frame)
        kit.build.box((0, 0, top / 2), (w, d, top + 0.1), kit.paint.any())
        south, west = y < plan.depth / 2, x < plan.width / 2
        row, column = (0 if south else 2), (3 if west else 1)
        near = west if south else not west
        plan.slots[row].append((0, 0, w, 9) if near else (plan.width - w, 0, plan.width, 9))
        near = not south if west else south
        plan.slots[column].append((0, 0, d, 9) if near else (plan.depth - d, 0, plan.depth, 9))
    if dice.chance(0.12):
        wide = dice.between(0.2, 0.4)
        place = (
            plan.in_the_open(wide, wide) if dice.chance(0.4) else plan.against_wall((wide, wide, plan.height), gap=0)
        )
        if place:
            kit.build.begin("column", place)
            kit.build.add(dice.choose("box", "cylinder"), (0, 0, top / 2), (wide, wide, top), kit.paint.any())


def _doors(kit: Kit, plan: Plan, doors: list[list[Rect]]) -> None:
    """One door on most rooms; the floor before it stays free."""
    if not kit.dice.chance(0.75):
        return
    wall, w = kit.dice.whole(0, 3), kit.dice.between(0.75, 0.95)
    along = kit.dice.between(0.2 + w / 2, plan.length(wall) - w / 2 - 0.2)
    rect = (along - w / 2, 0.0, along + w / 2, min(kit.dice.between(1.95, 2.1), plan.height - 0.12))
    if plan.slot(wall, (rect[0] - 0.1, 0.0, rect[2] + 0.1, rect[3] + 0.1)):
        plan.claim(plan.wall(wall).at(along, 0.35), w, 0.7)
        shell.door(kit, plan.wall(wall), rect)
        doors[wall].append(rect)


def _windows(kit: Kit, plan: Plan, windows: list[list[Rect]]) -> list[Light]:
    """One to three windows, their lights, sometimes a radiator below."""
    dice = kit.dice
    lights = []
    power = dice.between(0.25, 1.5)
    for _ in range(dice.whole(1, 3)):
        wall, w, low = dice.whole(0, 3), dice.between(0.8, 2.0), dice.between(0.25, 1.05)
        high = min(plan.height - dice.between(0.12, 0.4), low + dice.between(1.0, 1.9))
        if plan.length(wall) < w + 0.8:
            continue
        along = dice.between(0.4 + w / 2, plan.length(wall) - w / 2 - 0.4)
        rect = (along - w / 2, low, along + w / 2, high)
        if not plan.slot(wall, (rect[0] - 0.25, low - 0.05, rect[2] + 0.25, high + 0.05)):
            continue
        windows[wall].append(rect)
        lights.append(shell.window(kit, plan.wall(wall), rect, power))
        if low > 0.65 and dice.chance(0.4) and plan.claim(plan.wall(wall).at(along, 0.1), w * 0.9, 0.2):
            plan.slot(wall, (along - w * 0.45, 0.0, along + w * 0.45, low - 0.06))
            shell.radiator(kit, plan.wall(wall), along, w * 0.9, low - 0.25)
    return lights


def _anything(kit: Kit, plan: Plan) -> None:
    """Bookshelves and loose things, whatever the room's type."""
    dice = kit.dice
    for _ in range(dice.whole(0, 2)):
        size = (dice.between(0.6, 1.4), dice.between(0.26, 0.38), min(dice.between(0.8, 2.2), plan.height - 0.1))
        place = plan.against_wall(size)
        if place:
            storage.bookshelf(kit, place, size)
    if dice.chance(0.3):
        arrange.cupboard(
            kit, plan, "cabinet", (dice.between(0.5, 1.1), dice.between(0.35, 0.5), dice.between(0.7, 1.8))
        )
    if dice.chance(0.3):
        w = 0.4 if dice.chance(0.6) else dice.between(0.8, 1.2)
        place = plan.in_the_open(w, 0.4)
        if place:
            furniture.stool(kit, place, (w, 0.38, dice.between(0.4, 0.6)))
    for _ in range(dice.whole(1, 5)):
        what = dice.unit()
        if what < 0.25:
            place = plan.against_wall((0.5, 0.5, 1.5), gap=0.05)
            if place:
                props.plant(kit, place, dice.between(0.6, 1.6))
        elif what < 0.45:
            place = plan.against_wall((0.45, 0.45, 1.6), gap=0.05)
            if place:
                props.lamp(kit, place, "floor lamp", dice.between(1.3, 1.75))
        elif what < 0.6:
            place = plan.against_wall((0.4, 0.4, 0.5), gap=0.05)
            if place:
                props.bin_(kit, place)
        elif what < 0.7:
            place = plan.in_the_open(0.35, 0.35)
            if place:
                props.ball(kit, place)
        else:
            size = (dice.between(0.3, 0.6), dice.between(0.25, 0.45), dice.between(0.2, 0.5))
            place = plan.against_wall(size, gap=0.08) if dice.chance(0.6) else plan.in_the_open(*size[:2])
            if place:
                props.box(kit, place, size)


def _on_walls(kit: Kit, plan: Plan) -> None:
    """Shelves with books, pictures, mirrors and lamps where the walls are still free."""
    dice = kit.dice
    for _ in range(dice.whole(0, 2)):
        wide = dice.between(0.6, 1.2)
        place = plan.on_wall((wide, 0.5), 1.4, 1.75)
        if place:
            storage.wall_shelf(kit, place.at(0, 0, -0.18), wide)
    for _ in range(dice.whole(3, 8)):
        size = (dice.between(0.3, 1.1), dice.between(0.3, 0.9))
        place = plan.on_wall(size, 1.3, 1.8)
        if place:
            shell.picture(kit, place, size)
    if dice.chance(0.2):
        size = (dice.between(0.4, 0.8), dice.between(0.7, 1.2))
        place = plan.on_wall(size, 1.2, 1.5)
        if place:
            shell.mirror(kit, place, size)
