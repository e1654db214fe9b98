"""The 13 NYU classes, their colours, and the finer kinds of things that `rooms` builds.

Kinds follow NYUv2's own 894 -> 13 map where a choice had to be made: doors and columns are wall, curtains and blinds
window, pillows, lamps, mirrors and boxes objects, rugs floor, desks table, night stands and wall shelves furniture.
Armchairs are built like small sofas and count as sofa; computer monitors count as tv.
"""

from __future__ import annotations

from vtadapt.synthetic.kinds import Catalogue

CLASSES: tuple[str, ...] = (
    "bed",
    "books",
    "ceiling",
    "chair",
    "floor",
    "furniture",
    "objects",
    "picture",
    "sofa",
    "table",
    "tv",
    "wall",
    "window",
)

COLOURS: tuple[tuple[int, int, int], ...] = (
    (0, 90, 181),
    (230, 97, 0),
    (225, 225, 225),
    (212, 17, 89),
    (120, 94, 60),
    (160, 110, 200),
    (250, 220, 60),
    (0, 158, 115),
    (100, 20, 60),
    (140, 200, 60),
    (20, 20, 20),
    (130, 140, 150),
    (120, 205, 250),
)

_KINDS_OF: dict[str, tuple[str, ...]] = {
    "bed": ("double bed", "single bed", "bunk bed"),
    "books": ("row of books", "stack of books", "open book"),
    "ceiling": ("ceiling", "beam"),
    "chair": ("dining chair", "office chair", "stool", "bench"),
    "floor": ("floor", "rug"),
    "furniture": (
        "bookshelf",
        "wardrobe",
        "dresser",
        "cabinet",
        "sideboard",
        "nightstand",
        "tv stand",
        "wall shelf",
    ),
    "objects": (
        "floor lamp",
        "table lamp",
        "ceiling lamp",
        "wall lamp",
        "plant",
        "box",
        "bin",
        "cushion",
        "vase",
        "bottle",
        "ball",
        "mug",
        "bowl",
        "basket",
        "mirror",
        "laptop",
        "radiator",
        "capsule",
    ),
    "picture": ("picture", "poster"),
    "sofa": ("sofa", "corner sofa", "armchair"),
    "table": ("dining table", "round table", "coffee table", "desk", "side table"),
    "tv": ("tv", "monitor"),
    "wall": ("wall", "column", "door", "skirting board"),
    "window": ("window", "curtain", "blind"),
}

ROOMS = Catalogue(CLASSES, _KINDS_OF)
KINDS: tuple[str, ...] = ROOMS.kinds
KIND_CLASS: tuple[int, ...] = ROOMS.kind_class
KIND_ID: dict[str, int] = ROOMS.kind_id
STRUCTURE: tuple[int, ...] = tuple(CLASSES.index(name) for name in ("ceiling", "floor", "wall"))
