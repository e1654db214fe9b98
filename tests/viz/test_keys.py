from __future__ import annotations

import numpy as np
import pytest

from vtadapt.tasks.colour.palette import class_palette
from vtadapt.viz.attention import HEAT
from vtadapt.viz.keys import colour_bar, legend

RED = (201, 13, 57)


def is_picture(page: np.ndarray) -> bool:
    return page.dtype == np.uint8 and page.ndim == 3 and page.shape[2] == 3 and page.flags.writeable


def extent(page: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the box around all pixels of a colour."""
    rows, columns = np.nonzero((page == colour).all(-1))
    return rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1


def test_legend_shows_each_colour_once_at_the_given_width():
    names = [f"class {i}" for i in range(13)]
    picture = legend(names, class_palette(13), 400)
    assert picture.shape[1] == 400
    for colour in class_palette(13):
        assert extent(picture, colour)[2:] == (15, 15)
    assert legend(names, class_palette(13), 2000).shape[0] < picture.shape[0]


def test_legend_survives_no_classes_and_no_room():
    assert is_picture(legend([], [], 100))
    assert is_picture(legend(["a long name"], [RED], 10))
    with pytest.raises(ValueError, match="found 1 and 0"):
        legend(["a"], [], 100)


def test_colour_bar_runs_from_lowest_to_highest():
    np.testing.assert_array_equal(colour_bar(HEAT, 0.8, 6.2, "m", width=256)[0], HEAT)
    seen = []

    def paint(values: np.ndarray) -> np.ndarray:
        seen.append(values)
        return np.zeros((*values.shape, 3), np.uint8)

    assert (colour_bar(paint, 1, 2, width=100)[0] == 0).all()
    assert seen[0].shape == (1, 100)
    assert (seen[0][0, 0], seen[0][0, -1]) == (1, 2)
