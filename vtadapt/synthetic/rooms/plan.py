"""The floor plan of a room: what stands where, which stretches of wall are taken, and where the next thing fits."""

from __future__ import annotations

import math

from vtadapt.synthetic.scene import Dice, Frame

Rect = tuple[float, float, float, float]


class Plan:
    """A room 0..width x 0..depth; `height` of the ceiling at its lowest, where walls meet it."""

    def __init__(self, dice: Dice, width: float, depth: float, height: float) -> None:
        """An empty room."""
        self.dice = dice
        self.width, self.depth, self.height = width, depth, height
        self.taken: list[Rect] = []
        self.slots: list[list[Rect]] = [[], [], [], []]

    def wall(self, index: int) -> Frame:
        """Wall 0..3 (south, east, north, west): origin at one end, local x along it, y into the room."""
        corner = ((0.0, 0.0), (self.width, 0.0), (self.width, self.depth), (0.0, self.depth))[index]
        return Frame(*corner, 0.0, index * math.pi / 2)

    def length(self, index: int) -> float:
        """Length of a wall in metres."""
        return self.width if index % 2 == 0 else self.depth

    def footprint(self, frame: Frame, width: float, depth: float) -> Rect:
        """Axis-aligned bounds (x0, y0, x1, y1) of a rectangle centred on the frame."""
        c, s = abs(math.cos(frame.yaw)), abs(math.sin(frame.yaw))
        x, y = (c * width + s * depth) / 2, (s * width + c * depth) / 2
        return (frame.x - x, frame.y - y, frame.x + x, frame.y + y)

    def free(self, rect: Rect, margin: float = 0.03) -> bool:
        """Whether the rectangle lies in the room and touches nothing."""
        x0, y0, x1, y1 = rect
        if x0 < -0.01 or y0 < -0.01 or x1 > self.width + 0.01 or y1 > self.depth + 0.01:
            return False
        return all(
            x0 >= b[2] + margin or x1 <= b[0] - margin or y0 >= b[3] + margin or y1 <= b[1] - margin for b in self.taken
        )

    def claim(self, frame: Frame, width: float, depth: float) -> bool:
        """Takes the rectangle centred on the frame if it is free."""
        rect = self.footprint(frame, width, depth)
        if not self.free(rect):
            return False
        self.taken.append(rect)
        return True

    def slot(self, wall: int, rect: Rect) -> bool:
        """Takes the stretch (from, low, to, high) of a wall if it is free."""
        if rect[0] < 0.04 or rect[2] > self.length(wall) - 0.04 or rect[3] > self.height:
            return False
        for other in self.slots[wall]:
            if rect[0] < other[2] + 0.04 and rect[2] > other[0] - 0.04 and rect[1] < other[3] and rect[3] > other[1]:
                return False
        self.slots[wall].append(rect)
        return True

    def against_wall(
        self, size: tuple[float, float, float], wall: int | None = None, gap: float = 0.02
    ) -> Frame | None:
        """A free place for a thing (w, d, h) with its back to a wall (any if None): its centre, or None."""
        w, d, h = size
        for _ in range(10):
            index = self.dice.whole(0, 3) if wall is None else wall
            spare = self.length(index) - w - 0.1
            if spare < 0:
                continue
            along = 0.05 + w / 2 + spare * self.dice.unit()
            frame = self.wall(index).at(along, d / 2 + gap)
            if not self.free(self.footprint(frame, w, d)):
                continue
            if self.slot(index, (along - w / 2, 0.0, along + w / 2, h)):
                self.taken.append(self.footprint(frame, w, d))
                return frame
        return None

    def on_wall(self, size: tuple[float, float], low: float, high: float, wall: int | None = None) -> Frame | None:
        """A free place on a wall for a thing (w, h) with its middle at `low`..`high`: its centre, or None."""
        w, h = size
        for _ in range(12):
            index = self.dice.whole(0, 3) if wall is None else wall
            along = self.dice.between(w / 2, max(w / 2, self.length(index) - w / 2))
            middle = self.dice.between(low, high)
            if self.slot(index, (along - w / 2, middle - h / 2, along + w / 2, middle + h / 2)):
                return self.wall(index).at(along, 0.0, middle)
        return None

    def in_the_open(self, width: float, depth: float) -> Frame | None:
        """A free place away from the walls, turned by a quarter or slightly off, or None after twelve tries."""
        for _ in range(12):
            yaw = self.dice.whole(0, 3) * math.pi / 2 + (self.dice.between(-0.3, 0.3) if self.dice.chance(0.4) else 0.0)
            x = self.width * self.dice.between(0.2, 0.8)
            frame = Frame(x, self.depth * self.dice.between(0.2, 0.8), 0.0, yaw)
            if self.claim(frame, width, depth):
                return frame
        return None
