"""Small things: books, lamps, plants, vessels, boxes. Each function builds one object standing at its frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vtadapt.synthetic.scene import Builder, Dice, Frame
from vtadapt.synthetic.textures import Paint


@dataclass(frozen=True)
class Kit:
    """What every construction needs: where parts go, chance, and materials."""

    build: Builder
    dice: Dice
    paint: Paint


def books_row(kit: Kit, frame: Frame, width: float, height: float, depth: float) -> None:
    """Upright books side by side from local x = 0 to `width`, spines to the front; none is higher than `height`."""
    dice, build = kit.dice, kit.build
    build.begin("row of books", frame)
    x = 0.0
    tall = dice.between(0.7, 0.95) * height
    few = [kit.paint.any() for _ in range(dice.whole(2, 6))]
    while True:
        thick = dice.between(0.025, 0.085)
        if x + thick > width:
            break
        high = tall * dice.between(0.75, 1.0)
        deep = depth * dice.between(0.8, 0.98)
        lean = dice.between(0.08, 0.2) if dice.chance(0.06) else 0.0
        build.box(
            (x + thick / 2, (deep - depth) / 2, high / 2),
            (thick * 0.94, deep, high),
            few[dice.whole(0, len(few) - 1)],
            (0, lean, 0),
        )
        x += thick + (high * math.sin(lean) if lean else 0.0)


def books_stack(kit: Kit, frame: Frame, most: int = 5) -> None:
    """Books lying on each other, each turned a little."""
    dice = kit.dice
    kit.build.begin("stack of books", frame)
    z = 0.0
    for _ in range(dice.whole(1, most)):
        thick = dice.between(0.025, 0.06)
        size = (dice.between(0.2, 0.32), dice.between(0.16, 0.24), thick)
        cover = kit.paint.picture() if dice.chance(0.3) else kit.paint.any()
        kit.build.box((0, 0, z + thick / 2), size, cover, (0, 0, dice.between(-0.4, 0.4)))
        z += thick


def book_open(kit: Kit, frame: Frame) -> None:
    """An open book, its halves slightly raised."""
    kit.build.begin("open book", frame)
    page = kit.paint.picture()
    half = kit.dice.between(0.14, 0.19)
    for side in (-1, 1):
        kit.build.box((side * half / 2, 0, 0.03), (half, half * 1.4, 0.02), page, (0, side * -0.15, 0))


def lamp(kit: Kit, frame: Frame, kind: str, height: float) -> None:
    """Foot, stem and shade; the shade often glows."""
    dice, build = kit.dice, kit.build
    build.begin(kind, frame)
    wide = min(0.5, max(0.18, height * dice.between(0.28, 0.7 if height < 1 else 0.34)))
    tall = wide * dice.between(0.55, 1.0)
    metal = kit.paint.any()
    shade = kit.paint.glowing(dice.between(0.3, 1.3)) if dice.chance(0.5) else kit.paint.any()
    build.add("cylinder", (0, 0, 0.012), (wide * 0.6, wide * 0.6, 0.024), metal)
    if height < 1 and dice.chance(0.5):
        build.add(
            dice.choose("vase", "sphere", "box"),
            (0, 0, (height - tall) / 2),
            (wide * 0.45, wide * 0.45, height - tall),
            metal,
        )
    else:
        build.add("cylinder", (0, 0, height / 2), (0.03, 0.03, height - 0.05), metal)
    build.add(dice.choose("frustum", "cylinder", "sphere"), (0, 0, height - tall / 2), (wide, wide, tall), shade)


def plant(kit: Kit, frame: Frame, height: float) -> None:
    """A pot with leaves: blades leaning outwards, or a bush of balls."""
    dice, build = kit.dice, kit.build
    build.begin("plant", frame)
    pot, leaf = kit.paint.any(), kit.paint.any()
    base = height * dice.between(0.2, 0.35)
    wide = base * dice.between(0.9, 1.3)
    build.add(dice.choose("bowl", "cylinder", "vase"), (0, 0, base / 2), (wide, wide, base), pot)
    if dice.chance(0.6):
        for _ in range(dice.whole(6, 11)):
            lean, turn = dice.between(0.15, 0.9), dice.between(0, 6.28)
            long = (height - base) * dice.between(0.7, 1.1)
            out = math.sin(lean) * long / 2
            centre = (out * math.cos(turn), out * math.sin(turn), base * 0.9 + math.cos(lean) * long / 2)
            build.add("cone", centre, (long * 0.07, long * 0.24, long), leaf, (0, lean, turn))
    else:
        build.rod((0, 0, base * 0.8), (0, 0, height * 0.7), 0.03, pot)
        for _ in range(dice.whole(2, 4)):
            r = (height - base) * dice.between(0.3, 0.5)
            build.add(
                "knob",
                (dice.between(-r, r) / 2, dice.between(-r, r) / 2, height - r * dice.between(0.4, 0.9)),
                (r, r, r),
                leaf,
            )


def box(kit: Kit, frame: Frame, size: tuple[float, float, float]) -> None:
    """A carton or case, sometimes with a lid."""
    kit.build.begin("box", frame)
    face = kit.paint.picture() if kit.dice.chance(0.15) else kit.paint.any()
    kit.build.box((0, 0, size[2] / 2), size, face)
    if kit.dice.chance(0.3):
        kit.build.box((0, 0, size[2]), (size[0] * 1.05, size[1] * 1.05, size[2] * 0.15), kit.paint.any())


def bin_(kit: Kit, frame: Frame) -> None:
    """A waste bin or a basket."""
    dice, paint = kit.dice, kit.paint.any()
    wide, high = dice.between(0.22, 0.4), dice.between(0.28, 0.55)
    if dice.chance(0.6):
        kit.build.begin("bin", frame)
        kit.build.add("cylinder", (0, 0, high / 2), (wide, wide, high), paint)
        kit.build.add("cylinder", (0, 0, high), (wide * 1.06, wide * 1.06, 0.04), kit.paint.any())
    else:
        kit.build.begin("basket", frame)
        kit.build.add("bowl", (0, 0, high / 2), (wide * 1.2, wide * 1.2, high), paint)


def ball(kit: Kit, frame: Frame) -> None:
    """A ball on the floor."""
    r = kit.dice.between(0.15, 0.35)
    kit.build.begin("ball", frame)
    kit.build.add("sphere", (0, 0, r / 2), (r, r, r), kit.paint.any())


def vessel(kit: Kit, frame: Frame) -> None:
    """A vase, bottle, mug, bowl, little box or capsule, as found on any surface."""
    dice, build, paint = kit.dice, kit.build, kit.paint.any()
    kind = dice.choose("vase", "bottle", "mug", "bowl", "vase", "box", "capsule")
    if kind == "box":
        box(kit, frame, (dice.between(0.1, 0.28), dice.between(0.08, 0.2), dice.between(0.06, 0.22)))
        return
    low, high, slim = {
        "vase": (0.18, 0.42, 0.55),
        "bottle": (0.22, 0.34, 0.32),
        "mug": (0.09, 0.12, 0.85),
        "bowl": (0.07, 0.13, 2.4),
        "capsule": (0.12, 0.3, 0.6),
    }[kind]
    tall = dice.between(low, high)
    wide = tall * slim * dice.between(0.85, 1.25)
    shape = {"mug": "cylinder"}.get(kind, kind)
    build.begin(kind, frame)
    build.add(shape, (0, 0, tall / 2), (wide, wide, tall), paint)
    if kind == "mug":
        build.box((wide * 0.6, 0, tall / 2), (wide * 0.3, 0.015, tall * 0.5), paint)


def laptop(kit: Kit, frame: Frame) -> None:
    """An open laptop that faces the front."""
    kit.build.begin("laptop", frame)
    body = kit.paint.any()
    kit.build.box((0, 0, 0.012), (0.34, 0.24, 0.024), body)
    kit.build.box((0, -0.15, 0.12), (0.34, 0.015, 0.23), body, (0.25, 0, 0))


def cushion(kit: Kit, frame: Frame, size: tuple[float, float, float], lean: float) -> None:
    """A pillow; `lean` radians backwards from upright (pi / 2 lies flat)."""
    kit.build.begin("cushion", frame)
    kit.build.add("cushion", (0, 0, 0), size, kit.paint.any(), (lean, 0, 0))


def something(kit: Kit, frame: Frame) -> None:
    """Whatever might stand on a shelf or table."""
    what = kit.dice.unit()
    if what < 0.34:
        books_stack(kit, frame)
    elif what < 0.42:
        plant(kit, frame, kit.dice.between(0.2, 0.42))
    elif what < 0.52:
        lamp(kit, frame, "table lamp", kit.dice.between(0.3, 0.55))
    else:
        vessel(kit, frame)


def scatter(kit: Kit, frame: Frame, area: tuple[float, float], most: int) -> None:
    """Up to `most` things on a surface `area` (width, depth) centred on the frame, in cells so that none overlap."""
    dice = kit.dice
    cells = max(1, int(area[0] / 0.32))
    for cell in range(cells):
        if most and dice.chance(0.6):
            x = (cell + 0.5) / cells * area[0] - area[0] / 2
            something(kit, frame.at(x, dice.between(-0.3, 0.3) * max(0.0, area[1] - 0.2), 0, dice.between(-0.5, 0.5)))
            most -= 1
