"""Peopling a street: traffic, parked cars, what stands along the kerb, people on the pavement and on the zebra."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame
from vtadapt.synthetic.streets.front import QUARTER, frontage, ground
from vtadapt.synthetic.streets.plan import KERB, Side, Street, Strip
from vtadapt.synthetic.streets.things import furniture, people, plants, vehicles

_SEEN, _CARS_SEEN = 55.0, 85.0  # metres: what stands farther away is too small to be worth building


def build_street(kit: Kit) -> Street:
    """Builds one whole street; returns its plan."""
    street = Street(kit.dice)
    ground(kit, street)
    frontage(kit, street)
    for side in street.sides.values():
        _signals(kit, street, side)
        _edge(kit, street, side)
        _parked(kit, street, side)
        _traffic(kit, street, side)
        _walkers(kit, street, side)
    if street.crossing:
        _crossing(kit, street, street.crossing)
    return street


def _heading(side: Side) -> float:
    """The yaw of traffic on a side: away from the camera on the right, towards it on the left."""
    return 0.0 if side.sign > 0 else math.pi


def _strip(strip: Strip | None) -> Strip:
    assert strip is not None
    return strip


def _signals(kit: Kit, street: Street, side: Side) -> None:
    """Traffic lights before the crossing (for those who come from the camera's side), and across it."""
    dice = kit.dice
    if street.crossing is None or dice.chance(0.25):
        return
    start, stop = street.crossing
    edge = _strip(side.edge)
    for y in (start - 0.7, stop + 0.7):
        if dice.chance(0.8) and edge.claim(y, 0.7):
            _strip(side.air).claim(y, 1.2)
            reach = side.lanes * street.lane - 1.0 if side.sign > 0 and dice.chance(0.4) else 0.0
            frame = Frame(side.sign * (street.kerb(side.sign) + 0.5), y, KERB, math.pi)
            furniture.traffic_light(kit, frame, reach)


def _edge(kit: Kit, street: Street, side: Side) -> None:
    """Trees, lamps, poles, signs, bollards, railings, parked bicycles and motorcycles next to the kerb."""
    dice, edge = kit.dice, _strip(side.edge)
    x = side.sign * (street.kerb(side.sign) + 0.55)
    inward = math.pi / 2 * side.sign  # local +y faces the road

    def spot(length: float, low: float = 5.0, high: float = _SEEN) -> float | None:
        return edge.fit(length, low, street.seen(high))

    for _ in range(dice.whole(1, 3)):
        length = dice.between(3, 6.5)
        if dice.chance(0.42) and (y := spot(length, 7, 40)) is not None:
            furniture.railing(kit, Frame(x - side.sign * 0.2, y, KERB), length)
    for _ in range(dice.whole(1, 3)):
        if (y := spot(1.0, 7, 35)) is not None:
            # Signs are read by those who drive towards them.
            yaw = math.pi if side.sign > 0 or dice.chance(0.6) else 0.0
            furniture.sign(kit, Frame(x, y, KERB, yaw + dice.between(-0.15, 0.15)))
    if dice.chance(0.22) and (y := spot(2.4, 12, 45)) is not None:
        wide = dice.between(1.4, 2.2)
        furniture.direction_sign(kit, Frame(x + side.sign * wide / 2, y, KERB, math.pi), wide)
        _strip(side.walk).claim(y, 0.6)
        _strip(side.air).claim(y, 1.0)
    if side.sign > 0 or dice.chance(0.6):
        _two_wheelers(kit, side, x)
    step, first = dice.between(11, 20), dice.between(5, 16)
    lamps = dice.chance(0.75)
    for i in range(5):
        y = first + i * step
        if lamps and y < street.seen(90) and edge.claim(y, 0.6, 0.2) and _strip(side.air).claim(y, 0.9):
            furniture.lamp_post(kit, Frame(x, y, KERB, math.pi if side.sign > 0 else 0.0), 1.6)
    if dice.chance(0.3) and (y := spot(0.6)) is not None and _strip(side.air).claim(y, 1.8):
        furniture.pole(kit, Frame(x, y, KERB, inward))
    if dice.chance(0.7):
        _trees(kit, street, side, x)
    if dice.chance(0.3):
        count = dice.whole(3, 6)
        if (y := spot(count * 1.4, 5, 30)) is not None:
            furniture.bollards(kit, Frame(x - side.sign * 0.15, y - (count - 1) * 0.7, KERB), count, 1.4)
    for _ in range(dice.whole(0, 2)):
        if (y := spot(1.2, 5, 35)) is not None:
            plants.bush(kit, Frame(x, y, KERB), 1.0)


def _trees(kit: Kit, street: Street, side: Side, x: float) -> None:
    """A row of trees of one size; crowns clear the houses, and tall vehicles where they hang over the road."""
    dice = kit.dice
    # Awnings and balconies reach 1.2 metres out from the houses.
    radius = min(dice.between(1.0, 2.2), max(side.pavement - 1.9, 0.9))
    over = radius > 1.0 and not side.parking
    clear = dice.between(3.3, 3.9) if over else dice.between(2.2, 3.0)
    height, step = clear + radius * dice.between(1.5, 2.6), dice.between(2 * radius + 1.5, 13)
    y = dice.between(6, 14)
    while y < street.seen(90):
        if _strip(side.air).claim(y, 2 * radius) and _strip(side.edge).claim(y, 2 * radius if clear < 3.2 else 0.6):
            plants.tree(kit, Frame(x, y, KERB), height * dice.between(0.9, 1.1), radius, clear)
        y += step


def _two_wheelers(kit: Kit, side: Side, x: float) -> None:
    """Bicycles in a row at racks, along or across the pavement, and motorcycles."""
    dice = kit.dice
    if dice.chance(0.4):
        count, step = dice.whole(1, 4), 0.75
        across = dice.chance(0.5) and side.pavement > 3.4
        length = count * step if across else 1.95
        if (y := _strip(side.edge).fit(length, 5, 24)) is not None:
            if across:
                out = x + side.sign * 0.55
                for i in range(count):
                    place = Frame(out, y + (i + 0.5) * step - length / 2, KERB, QUARTER * side.sign)
                    vehicles.bicycle(kit, place)
                _strip(side.walk).claim(y, length + 0.6)
            else:
                vehicles.bicycle(kit, Frame(x, y, KERB, dice.whole(0, 1) * math.pi + dice.between(-0.1, 0.1)))
    for _ in range(dice.whole(0, 2)):
        if dice.chance(0.5) and (y := _strip(side.edge).fit(2.3, 5, 24)) is not None:
            yaw = dice.whole(0, 1) * math.pi + dice.between(-0.15, 0.15)
            vehicles.motorcycle(kit, Frame(x, y, KERB, yaw), dice.choose("motorcycle", "scooter"))


def _kind_of_car(kit: Kit) -> str:
    return kit.dice.choose("sedan", "sedan", "hatchback", "hatchback", "suv", "van")


def _parked(kit: Kit, street: Street, side: Side) -> None:
    """Cars along the kerb, sometimes a motorcycle between them, if there is a parking lane."""
    if not side.parking:
        return
    dice, strip = kit.dice, _strip(side.parked)
    x = side.sign * (street.kerb(side.sign) - 1.05)
    full = dice.between(0.3, 0.9)
    y = dice.between(-12, -6)
    while y < street.seen(_CARS_SEEN) - 5:
        kind = _kind_of_car(kit)
        length = vehicles.car_length(kind)
        if dice.chance(0.12):
            yaw = QUARTER * side.sign + dice.between(-0.2, 0.2)
            if strip.claim(y + 0.6, 1.2):
                vehicles.motorcycle(kit, Frame(x, y + 0.6, 0, yaw), dice.choose("motorcycle", "scooter"))
            y += 1.8
            continue
        # The view past the nearest car must stay free.
        if dice.chance(full) and (y > 3.5 or side.sign < 0) and strip.claim(y + length / 2, length, 0.2):
            turned = math.pi if dice.chance(0.1) else 0.0
            place = Frame(x, y + length / 2, 0, _heading(side) + turned + dice.between(-0.02, 0.02))
            vehicles.car(kit, place, kind)
        y += length + dice.between(0.6, 1.6)


def _traffic(kit: Kit, street: Street, side: Side) -> None:
    """Cars, buses, motorcycles and bicycles with riders in the lanes."""
    dice = kit.dice
    busy = dice.between(0.15, 0.8)
    for index, strip in enumerate(side.traffic):
        outer = index == side.lanes - 1
        middle, yaw = street.lane_x(side.sign, index), _heading(side)
        low = 7.5 if side.sign > 0 else 4.0
        if outer and dice.chance(0.42) and (y := strip.fit(2.6, low, 24)) is not None:
            x = middle + side.sign * dice.between(0.2, 0.7)
            vehicles.bicycle(kit, Frame(x, y, 0, yaw))
            people.rider(kit, Frame(x, y, 0, yaw), motor=False)
        if dice.chance(0.3) and (y := strip.fit(2.8, low, 26)) is not None:
            x = middle + dice.between(-0.5, 0.5)
            vehicles.motorcycle(kit, Frame(x, y, 0, yaw), dice.choose("motorcycle", "motorcycle", "scooter"))
            people.rider(kit, Frame(x, y, 0, yaw), motor=True)
        if dice.chance(0.2):
            length = vehicles.bus_length(kit)
            if (y := strip.fit(length, low + 2.5, 50, gap=1.5)) is not None:
                vehicles.bus(kit, Frame(middle, y, 0, yaw), length)
        y = low + dice.between(0, 8)
        while y < street.seen(_CARS_SEEN) - 5:
            kind = _kind_of_car(kit)
            length = vehicles.car_length(kind)
            if dice.chance(busy) and strip.claim(y + length / 2, length, 1.2):
                x = middle + dice.between(-0.2, 0.2)
                vehicles.car(kit, Frame(x, y + length / 2, 0, yaw + dice.between(-0.02, 0.02)), kind)
            y += length + dice.between(1.5, 12)


def _walkers(kit: Kit, street: Street, side: Side) -> None:
    """People on the pavement, alone and in pairs, most walk along it."""
    dice, walk = kit.dice, _strip(side.walk)
    inner, outer = street.kerb(side.sign) + 1.5, street.front(side.sign) - 0.7
    for _ in range(dice.whole(0, 6)):
        y = walk.fit(1.1, 4.5, 40)
        if y is None:
            continue
        yaw = (math.pi if dice.chance(0.5) else 0.0) + dice.between(-0.4, 0.4)
        if dice.chance(0.15):
            yaw = dice.between(0, 2 * math.pi)
        pair = outer - inner > 1.0 and dice.chance(0.3)
        x = dice.between(inner, max(outer - (0.8 if pair else 0.0), inner))
        people.walker(kit, Frame(side.sign * x, y, KERB, yaw))
        if pair:
            people.walker(kit, Frame(side.sign * (x + 0.8), y + dice.between(-0.2, 0.2), KERB, yaw))


def _crossing(kit: Kit, street: Street, crossing: tuple[float, float]) -> None:
    """People on the zebra, and a vehicle on the cross street."""
    dice = kit.dice
    start, stop = crossing
    taken = Strip(dice)
    for _ in range(dice.whole(0, 4) if dice.chance(0.6) else 0):
        x = taken.fit(0.9, -street.kerb(-1), street.kerb(1))
        if x is not None:
            side = -1 if dice.chance(0.5) else 1
            y = start - 2.2 + dice.between(-1.0, 1.0)
            people.walker(kit, Frame(x, y, 0, side * QUARTER + dice.between(-0.2, 0.2)))
    across = Strip(dice)
    arms = [sign for sign in (-1, 1) if street.sides[sign].arm]
    low, high = (-24.0 if -1 in arms else 0.3 - street.kerb(-1)), (24.0 if 1 in arms else street.kerb(1) - 0.3)
    middle = (start + stop) / 2
    for _ in range(dice.whole(0, 2)):
        bus = dice.chance(0.25)
        kind = _kind_of_car(kit)
        length = vehicles.bus_length(kit) if bus else vehicles.car_length(kind)
        x = across.fit(length, low, high, gap=1.0)
        if x is None:
            continue
        # To the right (yaw -90 degrees) in the near lane, to the left in the far one.
        right = dice.chance(0.5)
        y = middle + (-1 if right else 1) * street.lane / 2
        place = Frame(x, y, 0, -QUARTER if right else QUARTER)
        if bus:
            vehicles.bus(kit, place, length)
        else:
            vehicles.car(kit, place, kind)
