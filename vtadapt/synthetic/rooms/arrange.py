"""What belongs to each type of room, and the groups it is made of: dining set, desk, sofa corner, television."""

from __future__ import annotations

import math

from vtadapt.synthetic import props
from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.rooms import furniture, storage
from vtadapt.synthetic.rooms.plan import Plan
from vtadapt.synthetic.scene import Frame


def _rug(kit: Kit, frame: Frame, width: float, depth: float) -> None:
    kit.build.begin("rug", frame)
    shape = "disc" if kit.dice.chance(0.2) else "box"
    kit.build.add(shape, (0, 0, 0.006), (width, depth, 0.012), kit.paint.any())


def bedroom(kit: Kit, plan: Plan) -> None:
    """One or two beds with nightstands, a wardrobe, perhaps a dresser, a desk, a television."""
    dice = kit.dice
    for number in range(2 if dice.chance(0.3) else 1):
        kind = dice.choose("double bed", "double bed", "single bed", "bunk bed") if number == 0 else "single bed"
        w, h = dice.between(1.4, 1.9) if kind == "double bed" else dice.between(0.85, 1.05), dice.between(0.75, 1.25)
        size = (w, dice.between(1.9, 2.1), 1.9 if kind == "bunk bed" else h)
        place = plan.against_wall(size, gap=0.1)
        if place is None:
            continue
        furniture.bed(kit, place, size, kind)
        if dice.chance(0.35):
            _rug(kit, place.at(0, 0.4), w + 1.0, 1.6)
        for side in (-1, 1):
            spot = place.at(side * (w / 2 + 0.32), -size[1] / 2 + 0.2)
            if kind != "bunk bed" and dice.chance(0.75) and plan.claim(spot, 0.46, 0.4):
                tall = dice.between(0.42, 0.62)
                storage.cupboard(kit, spot, (0.45, 0.38, tall), "nightstand")
    if dice.chance(0.75):
        cupboard(kit, plan, "wardrobe", (dice.between(0.9, 1.9), 0.58, dice.between(1.8, min(2.3, plan.height - 0.05))))
    if dice.chance(0.6):
        cupboard(kit, plan, "dresser", (dice.between(0.8, 1.3), 0.45, dice.between(0.75, 1.1)))
    if dice.chance(0.4):
        _desk(kit, plan)
    if dice.chance(0.4):
        _television(kit, plan, None)


def living(kit: Kit, plan: Plan) -> None:
    """A sofa with coffee table and lamp, a television opposite, armchairs, perhaps a dining set."""
    dice = kit.dice
    wall = dice.whole(0, 3)
    corner = dice.chance(0.35)
    size = (dice.between(1.7, 2.5), dice.between(0.85, 1.0), dice.between(0.72, 0.95))
    place = plan.against_wall(size, wall, gap=0.05) or plan.against_wall(size, None, gap=0.05)
    if place:
        if corner and not plan.claim(place.at(size[0] / 2 - 0.36, size[1] / 2 + 0.4), 0.76, 0.7):
            corner = False
        furniture.sofa(kit, place, size, "corner sofa" if corner else "sofa")
        if dice.chance(0.5):
            _rug(kit, place.at(0, size[1] / 2 + 0.6), dice.between(1.6, 2.4), dice.between(1.2, 1.8))
        w, d = dice.between(0.6, 1.1), dice.between(0.45, 0.6)
        spot = place.at(-0.35 if corner else dice.between(-0.2, 0.2), size[1] / 2 + 0.35 + d / 2)
        if dice.chance(0.85) and plan.claim(spot, w, d):
            high = dice.between(0.35, 0.5)
            furniture.table(kit, spot, (w, d, high), "coffee table")
            props.scatter(kit, spot.at(0, 0, high), (w * 0.85, d), 3)
        if dice.chance(0.6):
            side = -1 if dice.chance(0.5) else 1
            spot = place.at(side * (size[0] / 2 + 0.3), -0.2)
            if plan.claim(spot, 0.45, 0.45):
                furniture.table(kit, spot, (0.44, 0.44, 0.5), "side table")
                props.lamp(kit, spot.at(0, 0, 0.5), "table lamp", dice.between(0.35, 0.6))
    _television(kit, plan, (round(place.yaw / (math.pi / 2)) + 2) % 4 if place else None)
    for _ in range(dice.whole(0, 2)):
        w, d = dice.between(0.75, 0.95), dice.between(0.75, 0.9)
        seat = plan.in_the_open(w, d) if dice.chance(0.5) else plan.against_wall((w, d, 0.9), gap=0.15)
        if seat:
            furniture.sofa(kit, seat, (w, d, dice.between(0.75, 1.0)), "armchair")
    if dice.chance(0.4):
        _dining_set(kit, plan)


def office(kit: Kit, plan: Plan) -> None:
    """One to three desks, cabinets, perhaps a meeting table or a sofa."""
    for _ in range(kit.dice.whole(1, 3)):
        _desk(kit, plan)
    for _ in range(kit.dice.whole(0, 2)):
        cupboard(kit, plan, "cabinet", (kit.dice.between(0.6, 1.2), 0.42, kit.dice.between(0.7, 1.9)))
    if kit.dice.chance(0.3):
        _dining_set(kit, plan)
    if kit.dice.chance(0.3):
        place = plan.against_wall((1.6, 0.85, 0.85))
        if place:
            furniture.sofa(kit, place, (1.6, 0.85, 0.85), "sofa")


def dining(kit: Kit, plan: Plan) -> None:
    """A dining set, perhaps a sideboard, a sofa, a television."""
    _dining_set(kit, plan)
    if kit.dice.chance(0.7):
        cupboard(kit, plan, "sideboard", (kit.dice.between(1.0, 1.8), 0.45, kit.dice.between(0.7, 0.95)))
    if kit.dice.chance(0.4):
        place = plan.against_wall((1.8, 0.9, 0.85))
        if place:
            furniture.sofa(kit, place, (1.8, 0.9, 0.85), "sofa")
    if kit.dice.chance(0.5):
        _television(kit, plan, None)


def _dining_set(kit: Kit, plan: Plan) -> None:
    """A table with chairs around it, in the open or in a corner of the free floor."""
    dice = kit.dice
    round_ = dice.chance(0.3)
    w = dice.between(0.9, 1.2) if round_ else dice.between(1.0, 1.8)
    d = w if round_ else dice.between(0.75, 0.95)
    place = plan.in_the_open(w + 0.4, d + 0.9) or plan.in_the_open(w + 0.1, d + 0.5)
    if place is None:
        return
    high = dice.between(0.7, 0.78)
    if dice.chance(0.4):
        _rug(kit, place, w + 0.9, d + 1.0)
    furniture.table(kit, place, (w, d, high), "round table" if round_ else "dining table")
    props.scatter(kit, place.at(0, 0, high), (w * 0.7, d * 0.7), 3)
    seat = (dice.between(0.4, 0.48), dice.between(0.4, 0.46), dice.between(0.8, 1.05))
    stools = dice.chance(0.12)
    per_side = 1 if w < 1.25 else 2
    for side in (-1, 1):
        for i in range(per_side):
            if dice.chance(0.9):
                x = (i + 0.5) / per_side * w - w / 2
                out = d / 2 + dice.between(-0.05, 0.22)
                spot = place.at(x, side * out, 0, (math.pi if side > 0 else 0.0) + dice.between(-0.25, 0.25))
                furniture.stool(kit, spot, (0.36, 0.36, 0.46)) if stools else furniture.chair(kit, spot, seat)
    for side in (-1, 1):
        spot = place.at(side * (w / 2 + 0.1), 0, 0, side * math.pi / 2)
        if not stools and dice.chance(0.5):
            furniture.chair(kit, spot, seat)


def _desk(kit: Kit, plan: Plan) -> None:
    """A desk at a wall with monitor or laptop, lamp, books and a chair."""
    dice = kit.dice
    size = (dice.between(1.0, 1.6), dice.between(0.6, 0.75), dice.between(0.7, 0.77))
    place = plan.against_wall(size)
    if place is None:
        return
    w, d, h = size
    furniture.table(kit, place, size, "desk")
    x = dice.between(-0.2, 0.2)
    if dice.chance(0.8):
        storage.screen(
            kit, place.at(x, -d * 0.18, h, dice.between(-0.2, 0.2)), "monitor", dice.between(0.5, 0.8), stand=True
        )
    else:
        props.laptop(kit, place.at(x, 0, h))
    for side in (-1, 1):
        if dice.chance(0.75):
            props.something(kit, place.at(side * (w / 2 - 0.2), -d * 0.1, h, dice.between(-0.4, 0.4)))
    if dice.chance(0.35):
        props.book_open(kit, place.at(x + 0.1, d * 0.28, h, dice.between(-0.3, 0.3)))
    seat = place.at(dice.between(-0.2, 0.2), d / 2 + dice.between(0.1, 0.4), 0, math.pi + dice.between(-0.7, 0.7))
    if dice.chance(0.85) and plan.claim(seat, 0.42, 0.36):
        size = (dice.between(0.44, 0.52), dice.between(0.42, 0.5), dice.between(0.85, 1.15))
        furniture.office_chair(kit, seat, size) if dice.chance(0.6) else furniture.chair(kit, seat, size)


def _television(kit: Kit, plan: Plan, wall: int | None) -> None:
    """A television on a stand at `wall` or any, else hanging."""
    dice = kit.dice
    size = (dice.between(1.1, 1.8), dice.between(0.35, 0.45), dice.between(0.4, 0.6))
    tall = (size[0], size[1], 1.3)
    place = (plan.against_wall(tall, wall) or plan.against_wall(tall)) if dice.chance(0.7) else None
    if place:
        storage.tv_stand(kit, place, size)
        return
    wide = dice.between(0.9, 1.5)
    hung = plan.on_wall((wide, wide * 0.6), 1.2, 1.5, wall) or plan.on_wall((wide, wide * 0.6), 1.2, 1.5)
    if hung:
        storage.screen(kit, hung.at(0, 0.06), "tv", wide, stand=False)


def cupboard(kit: Kit, plan: Plan, kind: str, size: tuple[float, float, float]) -> None:
    """A cupboard against a wall, if one has room for it."""
    place = plan.against_wall(size)
    if place:
        storage.cupboard(kit, place, size, kind)
