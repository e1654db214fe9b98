"""How a matrix came about over training, as a picture."""

from __future__ import annotations

import numpy as np
import pytest

from tests.viz.pixels import LONG, colour_of, frame_is_paper, where
from vtadapt.viz.matrices.evolution import LINES, evolution


def course(count: int, tasks: int = 4) -> np.ndarray:
    return np.random.default_rng(count).uniform(0, 1, (count, tasks, tasks))


@pytest.mark.parametrize(("count", "tasks"), [(1, 4), (8, 1), (8, 4), pytest.param(40, 9, marks=pytest.mark.slow)])
def test_the_course_of_training_is_a_whole_picture(count, tasks):
    names = LONG[:tasks]
    page = evolution(np.arange(count) * 60, course(count, tasks), names, title="t", footer="f")
    assert page.dtype == np.uint8 and page.shape[2] == 3
    assert max(page.shape) < 2200
    assert frame_is_paper(page)


def test_a_line_is_in_its_targets_plot_and_rises_with_its_values():
    values = np.full((5, 2, 2), np.nan)
    values[:, 1, 0] = np.linspace(0.1, 0.9, 5)  # from the second task onto the first
    page = evolution(range(5), values, ["a", "b"])
    line = where(page, LINES[1])
    line[: np.nonzero(line.any(1))[0].min() + 20] = False  # the key
    rows, columns = np.nonzero(line)
    assert columns.max() < page.shape[1] / 2
    assert rows[columns < columns.mean()].mean() > rows[columns > columns.mean()].mean() + 20
    assert np.ptp(columns) > 150


def test_a_gap_breaks_a_line_and_a_lonely_point_is_still_seen():
    values = np.full((5, 1, 1), 0.5)
    values[1:4] = np.nan
    whole, gap = evolution(range(5), np.full((5, 1, 1), 0.5), ["a"]), evolution(range(5), values, ["a"])
    assert 0 < where(gap, LINES[0]).sum() < where(whole, LINES[0]).sum() - 200
    empty = evolution(range(5), np.full((5, 1, 1), np.nan), ["a"])
    assert where(gap, LINES[0]).sum() > where(empty, LINES[0]).sum()


def test_up_to_six_moments_are_shown_the_first_and_the_last_among_them():
    steps = np.arange(50)
    values = np.full((50, 1, 1), 0.3)
    values[0], values[-1] = 0.8, 0.9
    page = evolution(steps, values, ["a"])
    assert where(page, colour_of(0.8)).sum() > 2000
    assert where(page, colour_of(0.9)).sum() > 2000
    assert where(page, colour_of(0.3)).sum() == pytest.approx(4 * where(page, colour_of(0.8)).sum(), rel=0.1)
