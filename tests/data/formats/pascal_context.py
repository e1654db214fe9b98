"""PASCAL-Context as ASTMT and ATRC share it (``PASCAL_MT``, ``PASCALContext``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from tests.data.formats.facing import facing_normals

SIZE = (30, 40)
# What PASCAL-Part calls the parts of a person, with the position of the part in ASTMT's 6.
PART_NAMES = {"head": 1, "leye": 1, "neck": 2, "torso": 2, "luarm": 3, "rhand": 4, "ruleg": 5, "lfoot": 6}
WALL, PERSON, GRASS = 440, 284, 187  # of the 459 classes; NYUv2 has no grass
PEOPLE, BICYCLE = 15, 2  # of the 20 classes of VOC


def write_pascal_context(root: Path, counts: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Write the tree; every third sample has no person, and every second has its classes in ``semseg/VOC12``."""
    random = np.random.default_rng(3)
    folders = ("JPEGImages", "ImageSets/Context", "ImageSets/Parts", "semseg/VOC12", "semseg/pascal-context")
    folders += ("human_parts", "normals_distill", "sal_distill", "pascal-context/trainval")
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    truth, number = {}, 0
    for split, count in counts.items():
        names = [f"2008_{number + i:06d}" for i in range(count)]
        (root / "ImageSets" / "Context" / f"{split}.txt").write_text("\n".join(names))
        for i, name in enumerate(names, start=number):
            truth[name] = _write(root, name, i, random)
        number += count
    return truth


def _write(root: Path, name: str, i: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg")
    semseg = random.choice(np.array([*range(21), 255], np.uint8), SIZE)
    palette = Image.fromarray(semseg).convert("P")
    palette.putpalette([v // 3 for v in range(768)])
    palette.save(root / "semseg" / ("VOC12" if i % 2 else "pascal-context") / f"{name}.png")
    normals = facing_normals(random, *SIZE)
    coded = np.rint(255 * (1 - normals) / 2).astype(np.uint8)  # +x left, +y up, +z towards the camera
    Image.fromarray(coded).save(root / "normals_distill" / f"{name}.png")
    saliency = random.integers(0, 256, SIZE, dtype=np.uint8)
    Image.fromarray(saliency).save(root / "sal_distill" / f"{name}.png")
    context = np.full(SIZE, WALL, np.uint16)
    context[:, 20:], context[25:] = PERSON, GRASS
    scipy.io.savemat(root / "pascal-context" / "trainval" / f"{name}.mat", {"LabelMap": context}, do_compression=True)
    return {
        "semseg": semseg,
        "human_parts": write_parts(root / "human_parts" / f"{name}.mat", people=i % 3),
        "normals": np.where((context == GRASS)[..., None], 0, normals),
        "saliency": saliency,
        "context": context,
    }


def write_parts(path: Path, people: int, names: Sequence[str] = tuple(PART_NAMES)) -> np.ndarray:
    """An annotation of PASCAL-Part: a bicycle with a wheel, and people, a stripe a part; returns the label map."""
    label = np.zeros(SIZE, np.uint8)
    objects = [_object("bicycle", BICYCLE, [("fwheel", np.ones(SIZE, np.uint8))])]
    for person in range(people):
        parts = []
        for k, name in enumerate(names):
            mask = np.zeros(SIZE, np.uint8)
            mask[3 * k : 3 * k + 3, 10 * person : 10 * person + 8] = 1
            label[mask == 1] = PART_NAMES.get(name, 0)
            parts.append((name, mask))
        objects.append(_object("person", PEOPLE, parts))
    if people:
        objects.append(_object("person", PEOPLE, []))  # one whose parts nobody drew
    fields = [("class", object), ("class_ind", object), ("mask", object), ("parts", object)]
    anno = {"imname": path.stem, "objects": np.array([objects], dtype=fields)}
    scipy.io.savemat(path, {"anno": anno}, do_compression=True)
    return label if people else np.full(SIZE, 255, np.uint8)


def _object(kind: str, number: int, parts: list[tuple[str, np.ndarray]]) -> tuple[object, ...]:
    drawn = np.array([parts], dtype=[("part_name", object), ("mask", object)]) if parts else np.zeros((0, 0))
    return kind, float(number), np.ones(SIZE, np.uint8), drawn
