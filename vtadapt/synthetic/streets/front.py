"""The ground of a street and what lines it: houses, gardens behind walls, fences and hedges, rows at its end."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame
from vtadapt.synthetic.streets.plan import BEHIND, CORNER, KERB, Street
from vtadapt.synthetic.streets.things import buildings, plants

SKY_RADIUS = 1500.0
_PLAIN = 2300.0
_DEEP = 60.0
_ROW = 70.0  # metres: how far cross streets are seen into
_ASIDE = 100.0  # metres: half length of the row of houses at the far end
# As thin as can be: seen edge-on from afar a thicker line would show its side.
_THIN = 0.0002
QUARTER = math.pi / 2


def ground(kit: Kit, street: Street) -> None:
    """The sky around all, the road below, pavements with kerbs, lane markings, a zebra before the crossing."""
    build = kit.build
    build.begin("sky", Frame(0, 0))
    build.add("knob", (0, 0, 0), (2 * SKY_RADIUS, 2 * SKY_RADIUS, 2 * SKY_RADIUS), kit.paint.any())
    build.begin("road", Frame(0, 0))
    build.box((0, 0, -0.5), (_PLAIN, _PLAIN, 1.0), kit.paint.any())
    paving, kerb = kit.paint.any(), kit.paint.any()
    for sign in (-1, 1):
        for low, high in street.slabs(sign):
            _slab(kit, (sign * street.kerb(sign), sign * (street.front(sign) + _DEEP)), (low, high), (paving, kerb))
    stop = street.end + 3 * street.lane
    build.begin("sidewalk", Frame(0, stop))
    build.box((0, _DEEP, KERB / 2 - 0.2), (400, 2 * _DEEP, KERB + 0.4), paving)
    _markings(kit, street)


def _slab(kit: Kit, x: tuple[float, float], y: tuple[float, float], materials: tuple[int, int]) -> None:
    """A pavement from the kerb x[0] outwards to x[1], along y."""
    build = kit.build
    out = math.copysign(1, x[1])
    build.begin("sidewalk", Frame(x[0], y[0]))
    wide, length = abs(x[1] - x[0]), y[1] - y[0]
    build.box((out * (wide / 2 + 0.16), length / 2, KERB / 2 - 0.2), (wide, length - 0.32, KERB + 0.4), materials[0])
    build.begin("kerb", Frame(x[0], y[0]))
    build.box((out * 0.08, length / 2, KERB / 2 - 0.2), (0.16, length, KERB + 0.4), materials[1])
    for end in (0.08, length - 0.08):
        build.box((out * (wide / 2 + 0.16), end, KERB / 2 - 0.2), (wide, 0.16, KERB + 0.4), materials[1])


def _markings(kit: Kit, street: Street) -> None:
    """Lines between the lanes, left out at the crossing; stop lines or zebras there."""
    dice, build = kit.dice, kit.build
    build.begin("marking", Frame(0, 0))
    paint, wide = kit.paint.any(), dice.between(0.14, 0.22)
    solid, zebra = dice.chance(0.3), dice.chance(0.6)
    spans = [(BEHIND, street.end - 2)]
    if street.crossing:
        start, stop = street.crossing
        spans = [(BEHIND, start - 4.5), (stop + 4.5, street.end - 2)]
        wanted = [-1, 1] if zebra else []
        for end in wanted:
            y = (start - 2.2) if end < 0 else (stop + 2.2)
            x = -street.kerb(-1) + 0.5
            while x < street.kerb(1) - 0.4:
                build.box((x + 0.25, y, 0), (0.5, 3.0, _THIN), paint)
                x += 1.0
        if not zebra:
            build.box((street.lane * 0.5 * street.sides[1].lanes, start - 3.6, 0), (2.8, 0.4, _THIN), paint)
    for low, high in spans:
        for i in range(-street.sides[-1].lanes, street.sides[1].lanes + 1):
            edge = i in (-street.sides[-1].lanes, street.sides[1].lanes)
            if edge and not street.sides[-1 if i < 0 else 1].parking:
                continue
            if edge or (i == 0 and solid):
                build.box((i * street.lane, (low + high) / 2, 0), (wide * 0.8, high - low, _THIN), paint)
                continue
            y = low
            while y + 3 < min(high, 90):
                build.box((i * street.lane, y + 1.5, 0), (wide, 3.0, _THIN), paint)
                y += 6.5


def frontage(kit: Kit, street: Street) -> None:
    """What lines both sides, and the rows of houses at the ends of the street and of the cross street."""
    dice = kit.dice
    tall = dice.between(6, 15)
    leafy = dice.between(0.2, 0.75)
    for sign in (-1, 1):
        for start, stop in street.blocks(sign):
            y = start
            while y < stop - 2:
                # Houses stand at corners, large enough to hide the ends of those behind them.
                corner = -1 if start > 0 and y == start else 0
                length = min(dice.between(11 if corner else 8, 18), stop - y)
                if stop - y - length < 6:
                    length = stop - y
                near = 3 - length < y < 55
                place = _beside(street, sign, y + length / 2)
                if not corner and dice.chance(leafy):
                    _garden(kit, place, length, near, tall)
                else:
                    detail = 0 if y + length < 3 or y > 90 else 2 if y < 25 else 1
                    size = (length, dice.between(9, 13), tall * dice.between(0.7, 1.35))
                    buildings.house(kit, place, size, detail, corner * sign)
                    if corner and street.sides[sign].arm:
                        _cross_row(kit, street, sign, y, size[1], tall)
                y += length
    _far_end(kit, street, tall)


def _beside(street: Street, sign: int, y: float) -> Frame:
    """A frame on the building line that faces the street."""
    return Frame(sign * street.front(sign), y, KERB, sign * QUARTER)


def _garden(kit: Kit, place: Frame, length: float, near: bool, tall: float) -> None:
    """A wall, a fence, a hedge or open lawn; trees behind it, and often a house set back."""
    dice = kit.dice
    if place.y + length / 2 < 0:
        return  # nothing here throws a shadow into the view
    kind = dice.choose("wall", "wall", "fence", "fence", "hedge", "open")
    if kind == "wall":
        buildings.garden_wall(kit, place, length)
    elif kind == "fence":
        buildings.fence(kit, place, length)
    elif kind == "hedge":
        plants.hedge(kit, place, length)
    plants.lawn(kit, place.at(0, -0.45), length, 34.0)
    back = dice.between(9, 14)
    count = max(1, round(length / dice.between(3.5, 6)))
    for i in range(count):
        x = ((i + 0.5) / count - 0.5) * length
        radius = min(dice.between(1.2, 2.4), 0.5 * length / count)
        spot = place.at(x, -dice.between(radius + 1.0, back - radius - 0.5), 0, dice.between(0, 6.2))
        what = dice.unit()
        if what < 0.5:
            plants.tree(kit, spot, dice.between(4.5, 9.5), radius, dice.between(0.8, 2.0))
        elif what < 0.7:
            plants.conifer(kit, spot, dice.between(4, 10), radius)
        elif near:
            plants.bush(kit, spot, 2 * radius)
    if dice.chance(0.75):
        buildings.house(kit, place.at(0, -back), (length, 10.0, tall * dice.between(0.6, 1.1)), 1 if near else 0)


def _cross_row(kit: Kit, street: Street, sign: int, y: float, depth: float, tall: float) -> None:
    """Houses along the far side of the cross street, from the corner house on, and one across its end."""
    dice = kit.dice
    x = street.front(sign) + depth
    while x < _ROW - 4:
        length = dice.between(9, 16)
        place = Frame(sign * (x + length / 2), y, KERB, math.pi)
        buildings.house(kit, place, (length, 8.0, tall * dice.between(0.7, 1.3)), 1)
        x += length
    wide = 40.0
    end = Frame(sign * (x + 9), y - CORNER - 4, 0, sign * QUARTER)
    buildings.house(kit, end, (wide, 10.0, tall * dice.between(0.8, 1.2)), 0)


def _far_end(kit: Kit, street: Street, tall: float) -> None:
    """The street ends at another one: houses or trees behind it, and roofs and towers beyond."""
    dice = kit.dice
    line = street.end + 3 * street.lane + 4
    x = -_ASIDE
    park = dice.chance(0.3)
    while x < _ASIDE:
        length = dice.between(9, 17)
        place = Frame(x + length / 2, line, KERB, math.pi)
        if park and dice.chance(0.7):
            plants.tree(kit, place.at(0, -3), dice.between(6, 11), min(length / 2, 4.0), 1.5)
        else:
            buildings.house(
                kit, place, (length, 10.0, tall * dice.between(0.6, 1.3)), 1 if street.end < 80 and abs(x) < 45 else 0
            )
        x += length
    for i in range(9):
        place = Frame((i - 4) * 60 + dice.between(-20, 20), line + dice.between(90, 200), 0, math.pi)
        buildings.house(kit, place, (dice.between(25, 55), 20.0, dice.between(8, 34)), 0)
