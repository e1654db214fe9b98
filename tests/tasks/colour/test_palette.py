"""The colours of classes without declared ones, and the stripes of pixels without a label."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtadapt.tasks import TASKS, make_task
from vtadapt.tasks.colour.palette import _lab, class_palette
from vtadapt.tasks.colour.void import STRIPES, hide, striped


def test_the_colours_are_fixed_and_distinct() -> None:
    # Golden: the first colours are part of every published picture.
    assert class_palette(4) == ((66, 105, 178), (238, 147, 57), (76, 158, 88), (202, 67, 71))
    assert class_palette(0) == ()
    assert len(set(class_palette(894))) == 894  # the longest list of a data set that there is
    assert len(class_palette(3000)) == 3000
    assert len(set(class_palette(3000))) == 2500


@pytest.mark.parametrize(("count", "least"), [(13, 25), (40, 20), (255, 10)])
def test_the_colours_are_far_apart_to_the_eye(count: int, least: float) -> None:
    lab = _lab(np.array(class_palette(count), dtype=np.uint8)).astype(float)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distance[~np.eye(count, dtype=bool)].min() >= least


def test_a_longer_palette_starts_with_the_shorter() -> None:
    assert class_palette(200)[:40] == class_palette(40)
    assert class_palette(40)[:10] == class_palette(10)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="found -1"):
        class_palette(-1)


def test_they_are_those_of_classes_without_colours() -> None:
    assert TASKS["semseg"].colours == class_palette(13)
    assert make_task("parts", "classes", num_classes=200).colours == class_palette(200)


TASK_OF_KIND = {
    "classes": make_task("parts", "classes", classes=["a"], colours=[[0, 0, 0]]),
    "distance": TASKS["depth"],
    "quantity": make_task("heat", "regression", channels=2),
    "unit_vector": TASKS["normals"],
    "boundary": TASKS["edges"],
}


def holed(name: str, hole: torch.Tensor) -> torch.Tensor:
    """A target of that kind, missing where ``hole`` (H, W)."""
    missing = {"classes": 255, "distance": 0.0, "quantity": float("nan"), "unit_vector": 0.0, "boundary": -1.0}[name]
    if name == "classes":
        return torch.where(hole, missing, 0)
    channels = {"quantity": 2, "unit_vector": 3}.get(name, 1)
    values = torch.ones(channels, *hole.shape) / (3**0.5 if name == "unit_vector" else 1)
    return torch.where(hole, missing, values)


@pytest.mark.parametrize("name", TASK_OF_KIND)
def test_a_pixel_without_a_label_looks_the_same_in_every_task(name: str) -> None:
    hole = torch.zeros(120, 90, dtype=torch.bool)
    hole[20:80, 10:60] = True
    picture = TASK_OF_KIND[name].colour(holed(name, hole))
    np.testing.assert_array_equal(picture[hole.numpy()], striped(120, 90)[hole.numpy()])
    outside = {tuple(c) for c in picture[~hole.numpy()].tolist()}
    assert not outside & set(STRIPES)
    nothing = TASK_OF_KIND[name].colour(holed(name, torch.ones(30, 40, dtype=torch.bool)))
    np.testing.assert_array_equal(nothing, striped(30, 40))


def test_stripes_are_as_wide_at_any_size_of_the_picture() -> None:
    for side, wanted in ((30, 1), (240, 4), (480, 8), (960, 16)):
        row = striped(side, side)[0, :, 0]
        assert int(np.flatnonzero(row != row[0])[0]) == wanted
    assert {tuple(c) for c in striped(5, 7, 2).reshape(-1, 3).tolist()} == set(STRIPES)
    whole = np.zeros((4, 4, 3), np.uint8)
    assert hide(whole, np.zeros((4, 4), bool)).sum() == 0
