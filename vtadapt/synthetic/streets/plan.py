"""The plan of a street: its lanes, pavements and crossing, and strips along it on which things claim their length.

The street runs along +y, the camera stands on the right-hand side (x > 0) at y = 0 and looks along it. Strips lie side
by side across the street, so what stands on different ones cannot touch; what stands on one claims a stretch of y.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vtadapt.synthetic.scene import Dice

BEHIND = -22.0  # metres; what stands behind the camera still throws shadows
KERB = 0.12
CORNER = 3.0  # from the cross street to the corner house
LANE_DEPTH = 2.1  # of a parking lane


class Strip:
    """A line along the street; stretches of it are taken."""

    def __init__(self, dice: Dice) -> None:
        """A free strip."""
        self.dice = dice
        self.taken: list[tuple[float, float]] = []

    def claim(self, middle: float, length: float, gap: float = 0.0) -> bool:
        """Takes `length` metres around `middle` if they and `gap` metres on both sides are free."""
        low, high = middle - length / 2, middle + length / 2
        if any(low - gap < b and high + gap > a for a, b in self.taken):
            return False
        self.taken.append((low, high))
        return True

    def fit(self, length: float, low: float, high: float, gap: float = 0.3) -> float | None:
        """Takes a free stretch somewhere in low..high: its middle, or None after eight tries."""
        if high - low < length:
            return None
        for _ in range(8):
            middle = self.dice.between(low + length / 2, high - length / 2)
            if self.claim(middle, length, gap):
                return middle
        return None


@dataclass
class Side:
    """One side of the street; `sign` is -1 for the left and 1 for the right. Widths in metres."""

    sign: int
    lanes: int
    parking: bool
    pavement: float
    arm: bool  # whether the cross street leaves on this side
    traffic: list[Strip] = field(default_factory=list)
    parked: Strip | None = None
    edge: Strip | None = None  # next to the kerb: poles, trees, bicycles
    walk: Strip | None = None
    air: Strip | None = None  # above `edge`: lamps, crowns and whatever else is tall


class Street:
    """Numbers of one street, drawn from `dice`; both sides with their strips."""

    def __init__(self, dice: Dice) -> None:
        """An empty street."""
        self.dice = dice
        lanes = 2 if dice.chance(0.3) else 1
        self.lane = dice.between(3.1, 3.6)
        self.end = dice.between(55, 150)
        self.crossing: tuple[float, float] | None = None
        if dice.chance(0.72):
            start = dice.between(11, 38)
            self.crossing = (start, start + 2 * self.lane + dice.between(0, 2))
        both = dice.unit()
        arms = {-1: both < 0.75, 1: both > 0.25}
        self.sides = {
            sign: Side(sign, lanes, dice.chance(0.5), dice.between(2.8, 5.0), arms[sign] and self.crossing is not None)
            for sign in (-1, 1)
        }
        for side in self.sides.values():
            side.traffic = [Strip(dice) for _ in range(side.lanes)]
            side.parked, side.edge, side.walk, side.air = (Strip(dice) for _ in range(4))
            if self.crossing:
                start, stop = self.crossing
                middle, length = (start + stop) / 2, stop - start
                for strip in (side.parked, side.edge, side.walk):
                    # Before the crossing the zebra ends, so nothing is parked there; on the far side there is one, too.
                    strip.claim(middle, length + (10.0 if strip is side.parked else 0.6 if side.arm else 0.0))
                for strip in side.traffic:
                    strip.claim(middle, length + 9.0)
        # The camera and what it needs to see past.
        self.sides[1].traffic[0].claim(1.0, 11.0)

    def seen(self, limit: float) -> float:
        """The last y up to which things stand along the street: `limit`, or before its end."""
        return min(limit, self.end - 3)

    def lane_x(self, sign: int, index: int) -> float:
        """The middle of a lane, counted from the middle of the street."""
        return sign * (index + 0.5) * self.lane

    def kerb(self, sign: int) -> float:
        """Distance of the kerb from the middle of the street."""
        side = self.sides[sign]
        return side.lanes * self.lane + (LANE_DEPTH if side.parking else 0.25)

    def front(self, sign: int) -> float:
        """Distance of the houses from the middle of the street."""
        return self.kerb(sign) + self.sides[sign].pavement

    def blocks(self, sign: int) -> list[tuple[float, float]]:
        """Stretches of y along which houses stand on a side."""
        if self.sides[sign].arm and self.crossing:
            start, stop = self.crossing
            return [(BEHIND, start - CORNER), (stop + CORNER, self.end)]
        return [(BEHIND, self.end)]

    def slabs(self, sign: int) -> list[tuple[float, float]]:
        """Stretches of y along which there is a pavement on a side."""
        if self.sides[sign].arm and self.crossing:
            start, stop = self.crossing
            return [(BEHIND, start), (stop, self.end)]
        return [(BEHIND, self.end)]
