"""The 16 SYNTHIA-Cityscapes classes, their colours, and the finer kinds of things that `streets` builds.

As Cityscapes does, poles of lamps, lights and signs are pole, whatever hangs there is not; trunks and lawns are
vegetation; a person on a bicycle or motorcycle is rider, what it sits on is not.
"""

from __future__ import annotations

from vtadapt.synthetic.kinds import Catalogue

CLASSES: tuple[str, ...] = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "sky",
    "person",
    "rider",
    "car",
    "bus",
    "motorcycle",
    "bicycle",
)

COLOURS: tuple[tuple[int, int, int], ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 60, 100),
    (0, 0, 230),
    (119, 11, 32),
)

STREETS = Catalogue(
    CLASSES,
    {
        "road": ("road", "marking"),
        "sidewalk": ("sidewalk", "kerb"),
        "building": ("house", "distant house"),
        "wall": ("garden wall",),
        "fence": ("fence", "railing"),
        "pole": ("post", "lamp post", "bollard"),
        "traffic light": ("traffic light",),
        "traffic sign": ("sign", "direction sign"),
        "vegetation": ("tree", "conifer", "bush", "hedge", "lawn"),
        "sky": ("sky",),
        "person": ("adult", "child"),
        "rider": ("rider",),
        "car": ("sedan", "hatchback", "suv", "van"),
        "bus": ("bus",),
        "motorcycle": ("motorcycle", "scooter"),
        "bicycle": ("bicycle",),
    },
)
