from __future__ import annotations

import numpy as np
import pytest

from tests.data.conftest import TASKS
from vtadapt.data.prepare.convert_sample import process_sample, resize_label, resize_rgb
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError


def test_pictures_are_averaged_and_labels_are_picked() -> None:
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize_rgb(stripes, (4, 4))[1:3, 1:3].astype(int) - 100).max() <= 1
    label = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    np.testing.assert_array_equal(resize_label(label, TASKS["semseg"], (4, 4)), label[1::2, 1::2])
    assert resize_label(label, TASKS["semseg"], (8, 8)) is label


@pytest.mark.parametrize("soft", [False, True])
def test_thin_boundaries_survive_shrinking_and_missing_stays(soft: bool) -> None:
    edges = np.zeros((40, 50), np.float32 if soft else np.uint8)
    edges[:, 13] = 0.75 if soft else 1
    edges[30:, 20:] = np.nan if soft else 255
    small = resize_label(edges, TASKS["edges"], (16, 20))
    np.testing.assert_array_equal(small[:, 5], edges[0, 13])
    missing = np.isnan(small) if soft else small == 255
    assert missing[12:, 8:].all()
    assert not missing[:12].any()
    assert (np.nan_to_num(small[:12], nan=-1) > 0).sum() == 12
    assert resize_label(edges, TASKS["edges"], (80, 100)).shape == (80, 100)


def test_only_the_tasks_asked_for_come_out() -> None:
    recipe = load_recipe("camvid")
    arrays = {"image": np.zeros((16, 16, 3), np.uint8), "semseg": np.eye(16, dtype=np.uint8), "other": np.zeros(3)}
    assert set(process_sample(arrays, recipe, ["edges"], None, "x")) == {"image", "edges"}
    assert set(process_sample(arrays, recipe, ["semseg"], (8, 8), "x")) == {"image", "semseg"}
    with pytest.raises(DataError, match=r"x, semseg: label of size \(16, 16\), its image is \(8, 16\)"):
        process_sample({**arrays, "image": np.zeros((8, 16, 3), np.uint8)}, recipe, ["semseg"], None, "x")
