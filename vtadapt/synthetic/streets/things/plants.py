"""Trees, bushes, hedges and lawns, the crowns made of lumpy clumps. Each stands on its frame."""

from __future__ import annotations

import math

from vtadapt.synthetic.props import Kit
from vtadapt.synthetic.scene import Frame


def tree(kit: Kit, frame: Frame, height: float, radius: float, clear: float) -> None:
    """A broad-leaved tree; nothing but its trunk lies below `clear` metres, nothing farther than `radius` from it."""
    dice, build = kit.dice, kit.build
    build.begin("tree", frame)
    bark, leaves = kit.paint.any(), kit.paint.any()
    thick = dice.between(0.2, 0.38)
    top = clear + 0.5 * (height - clear)
    build.add("cylinder", (0, 0, top / 2), (thick, thick, top), bark)
    tall = height - clear
    wide = 2 * radius
    build.add("clump", (0, 0, clear + tall * 0.55), (wide * 0.82, wide * 0.82, tall * 0.9), leaves, _turn(kit))
    count = dice.whole(3, 5) if math.hypot(frame.x, frame.y) < 45 else 1
    start = dice.between(0, 2 * math.pi)
    for i in range(count):
        angle = start + i * 2 * math.pi / count
        size = dice.between(0.45, 0.6)
        out = radius * (1 - size) * 0.98
        z = clear + tall * dice.between(size * 0.45, 0.75)
        ball = (wide * size, wide * size, min(tall * 0.55, wide * size))
        build.add("clump", (out * math.cos(angle), out * math.sin(angle), z), ball, leaves, _turn(kit))


def _turn(kit: Kit) -> tuple[float, float, float]:
    return (0.0, 0.0, kit.dice.between(0, 2 * math.pi))


def conifer(kit: Kit, frame: Frame, height: float, radius: float) -> None:
    """A conifer of stacked cones; some are poplars of one tall clump."""
    dice, build = kit.dice, kit.build
    build.begin("conifer", frame)
    bark, leaves = kit.paint.any(), kit.paint.any()
    build.add("cylinder", (0, 0, height / 6), (0.25, 0.25, height / 3), bark)
    if dice.chance(0.4):
        build.add("clump", (0, 0, height * 0.55), (radius * 1.6, radius * 1.6, height * 0.9), leaves)
        return
    count = dice.whole(2, 4)
    for i in range(count):
        low = 0.12 + 0.7 * i / count
        wide = 2 * radius * (1 - 0.75 * i / count)
        build.add("cone", (0, 0, height * (low + 0.2)), (wide, wide, height * 0.42), leaves)


def bush(kit: Kit, frame: Frame, size: float) -> None:
    """Two to four clumps on the ground within `size` metres."""
    dice, build = kit.dice, kit.build
    build.begin("bush", frame)
    leaves = kit.paint.any()
    for _ in range(dice.whole(2, 4)):
        wide, tall = size * dice.between(0.5, 0.7), size * dice.between(0.45, 0.8)
        x, y = (dice.between(-0.5, 0.5) * (size - wide) for _ in range(2))
        build.add("clump", (x, y, tall * 0.42), (wide, wide, tall), leaves, _turn(kit))


def hedge(kit: Kit, frame: Frame, length: float) -> None:
    """A clipped hedge along local x."""
    dice, build = kit.dice, kit.build
    build.begin("hedge", frame)
    leaves, h, d = kit.paint.any(), dice.between(0.9, 2.0), dice.between(0.6, 0.9)
    count = max(1, round(length / 2.4))
    for i in range(count):
        x = ((i + 0.5) / count - 0.5) * length
        high = h * dice.between(0.95, 1.06)
        build.add("cushion", (x, -d / 2, high / 2 - 0.1), (length / count * 1.1, d, high + 0.2), leaves)


def lawn(kit: Kit, frame: Frame, width: float, depth: float, raised: float = 0.02) -> None:
    """Grass behind the frame, `width` along local x and `depth` to -y."""
    kit.build.begin("lawn", frame)
    kit.build.box((0, -depth / 2, raised / 2 - 0.05), (width, depth, 0.1 + raised), kit.paint.any())
