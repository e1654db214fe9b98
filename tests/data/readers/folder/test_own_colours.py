"""Label pictures in colours: exact ones, smoothed ones, and JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.own import OwnSet

GROUND, PLANT, SKY = (120, 90, 60), (60, 160, 60), (90, 120, 220)
COLOURS = {"ground": list(GROUND), "plant": list(PLANT), "sky": list(SKY)}
TASK = {"kind": "classes", "classes": list(COLOURS)}


def drawn(size: tuple[int, int] = (12, 16)) -> tuple[np.ndarray, np.ndarray]:
    """Colours and ids: ground, a plant on the left, sky above."""
    ids = np.zeros(size, np.uint8)
    ids[:, : size[1] // 2] = 1
    ids[: size[0] // 4] = 2
    return np.array([GROUND, PLANT, SKY], np.uint8)[ids], ids


def save(path: Path, array: np.ndarray, **options: Any) -> None:
    Image.fromarray(array).save(path, **options)


def test_colours_of_the_files_by_class(tmp_path):
    own = OwnSet(tmp_path, TASK, {"colours": COLOURS})
    colours, ids = drawn()
    np.testing.assert_array_equal(own.fill(save, colours).found()[0], ids)


def test_several_colours_of_a_class_and_of_none(tmp_path):
    how = {"colours": {"ground": [list(GROUND), list(SKY)], "plant": list(PLANT), None: [[0, 0, 0], [1, 1, 1]]}}
    own = OwnSet(tmp_path, TASK, how)
    colours, ids = drawn()
    colours[3, 3], colours[4, 4] = 0, 1
    expected = np.where(ids == 1, 1, 0)
    expected[3, 3] = expected[4, 4] = 255
    np.testing.assert_array_equal(own.fill(save, colours).found()[0], expected)


def test_colours_of_the_task_may_be_given_by_class(tmp_path):
    own = OwnSet(tmp_path, {"kind": "classes", "colours": COLOURS}, {"read": "colours"})
    colours, ids = drawn()
    np.testing.assert_array_equal(own.fill(save, colours).found()[0], ids)


def test_unknown_colours_are_counted_and_named(tmp_path):
    own = OwnSet(tmp_path, TASK, {"colours": COLOURS})
    colours, _ = drawn()
    colours[5, :7], colours[6, :3] = (1, 2, 3), (250, 0, 0)
    own.fill(save, colours)
    own.refused("labels/0.png", "2 colours of no class, [1, 2, 3] (7 pixels), [250, 0, 0] (3 pixels)", "void_colours")


def smoothed() -> np.ndarray:
    """Edges as programs that draw smooth them."""
    large = Image.fromarray(drawn((96, 128))[0])
    rotated = large.rotate(17, Image.Resampling.NEAREST, fillcolor=GROUND)
    return np.asarray(rotated.resize((32, 24), Image.Resampling.BILINEAR))


def test_smoothed_edges_are_told_from_forgotten_classes(tmp_path):
    own = OwnSet(tmp_path, TASK, {"colours": COLOURS}).fill(save, smoothed())
    own.refused("smoothed edges", "'tolerance: 32' with 'others: void'")


def test_mixtures_are_void_or_the_nearest_class(tmp_path):
    mixed = smoothed()
    exact = np.stack([(mixed == colour).all(axis=2) for colour in (GROUND, PLANT, SKY)])
    for others in ("void", "nearest"):
        how = {"colours": COLOURS, "others": others}
        found = OwnSet(tmp_path / others, TASK, how).fill(save, mixed).found()[0]
        for id_ in range(3):
            assert (found[exact[id_]] == id_).all()
        rest = found[~exact.any(axis=0)]
        assert rest.size > 20
        assert (rest == 255).all() if others == "void" else (rest < 3).all()


def test_within_the_tolerance_a_pixel_is_the_class(tmp_path):
    colours, ids = drawn()
    noisy = (colours.astype(int) + np.random.default_rng(0).integers(-5, 6, colours.shape)).astype(np.uint8)
    own = OwnSet(tmp_path, TASK, {"colours": COLOURS, "tolerance": 5}).fill(save, noisy)
    np.testing.assert_array_equal(own.found()[0], ids)
    own.recipe["options"]["labels"]["x"]["tolerance"] = 1
    own.refused("of no class")


def test_jpeg_is_refused_until_it_is_tolerated(tmp_path):
    colours, ids = drawn((48, 64))
    how = {"colours": COLOURS}
    own = OwnSet(tmp_path, TASK, how, suffix=".jpg").fill(lambda path, a: save(path, a, quality=90), colours)
    own.refused("labels/0.jpg", "JPEG", "tolerance: 32")
    own.recipe["options"]["labels"]["x"] |= {"tolerance": 40, "others": "void"}
    found = own.found()[0]
    known = found != 255
    assert known.mean() > 0.9
    np.testing.assert_array_equal(found[known], ids[known])


def test_black_and_white_of_one_bit(tmp_path):
    task = {"kind": "classes", "classes": ["no", "yes"]}
    own = OwnSet(tmp_path, task, {"colours": {"no": [0, 0, 0], "yes": [255, 255, 255]}})
    mask = np.eye(12, 16, dtype=bool)
    np.testing.assert_array_equal(own.fill(lambda p, a: Image.fromarray(a).save(p), mask).found()[0], mask)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"colours": {"grund": [1, 2, 3]}}, "Did you mean 'ground'"),
        ({"colours": {"ground": [1, 2, 3], "plant": [1, 2, 3]}}, "colour [1, 2, 3] stands for two classes"),
        ({"colours": {"ground": [1, 2, 300]}}, "less than or equal to 255"),
        ({"colours": COLOURS, "void": [3]}, "colours are no ids"),
        ({"tolerance": 3}, "'tolerance' goes with 'colours'"),
        ({"colours": COLOURS, "others": "unlabelled"}, "is for annotations"),
        ({"colours": COLOURS, "read": "grey"}, "exclude each other"),
    ],
)
def test_what_a_recipe_cannot_say_of_colours(tmp_path, how, words):
    own = OwnSet(tmp_path, TASK, how).fill(save, drawn()[0])
    own.refused(words)


def test_task_colours_must_name_each_class(tmp_path):
    own = OwnSet(tmp_path, {**TASK, "colours": {"ground": [1, 2, 3]}}, {"read": "colours"}).fill(save, drawn()[0])
    own.refused("has none for class 'plant'")
