"""Tiles cover a picture, overlap, lie on the network's tokens and count 1 together at every pixel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtadapt.errors import UsageError
from vtadapt.tasks import TASKS
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sizing.grid import Axis
from vtadapt.workflows.sizing.size import Sizing, units_of

UNITS = (128, 32)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2000), st.integers(4, 40), st.sampled_from([1, 2, 14, 16, 32]))
def test_tiles_of_a_side(length: int, tile: int, unit: int) -> None:
    axis = Axis(length, tile * unit, unit)
    spans, weights = axis.spans, axis.weights
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(begin % unit == 0 for begin, _ in spans)
    assert all(end - begin == tile * unit for begin, end in spans[:-1])
    assert tile * unit - unit < spans[-1][1] - spans[-1][0] <= tile * unit or len(spans) == 1
    pairs = list(zip(spans, spans[1:], strict=False))
    assert all(end - begin >= max(1, round(tile / 4)) * unit - unit for (_, end), (begin, _) in pairs)
    total = torch.zeros(length)
    for (begin, end), weight in zip(spans, weights, strict=True):
        assert weight.shape == (end - begin,)
        assert bool((weight >= 0).all())
        total[begin:end] += weight
    assert torch.allclose(total, torch.ones(length), atol=1e-6)


def test_the_outer_quarters_of_an_overlap_are_one_tiles_alone() -> None:
    axis = Axis(512, 256, 32)
    (_, first_end), (second, _) = axis.spans[:2]
    shared = first_end - second
    assert shared >= 64
    assert (axis.weights[0][-(shared // 4) :] == 0).all()
    assert (axis.weights[1][: shared // 4] == 0).all()
    middle = axis.weights[0][second + shared // 4 : first_end - shared // 4]
    assert bool((middle.diff() < 0).all())


@pytest.mark.parametrize(
    ("size", "tile", "own", "run", "tiles"),
    [
        ("auto", "auto", (3000, 4000), (111, 148), 1),
        ("native", "auto", (3000, 4000), (3000, 4000), 8 * 11),  # of 512 pixels, at multiples of 128
        ("native", "auto", (360, 480), (360, 480), 1),
        ("native", "none", (3000, 4000), (3000, 4000), 1),
        ("native", "256", (360, 480), (360, 480), 6),
        ("600x800", "256x800", (3000, 4000), (600, 800), 3),
        ("native", "2000", (360, 480), (360, 480), 1),
    ],
)
def test_plans(size: str, tile: str, own: tuple[int, int], run: tuple[int, int], tiles: int) -> None:
    plan = Sizing(size, tile).plan(own, (128, 128), UNITS)
    assert plan.report == {"run_size": list(run), "tiles": tiles}


def test_tiles_are_not_smaller_than_what_the_network_was_trained_on() -> None:
    plan = Sizing("native", "auto").plan((2048, 4096), (512, 1024), UNITS)
    assert plan.pieces == (512, 1024)


@pytest.mark.parametrize("text", ["", "x", "0", "-3", "64x", "1x2x3", "99999", "auto2", "1.5"])
def test_tiles_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="tile"):
        Sizing("native", text)


def test_tiles_that_are_too_small() -> None:
    with pytest.raises(UsageError, match=r"tile '96'.*128 pixels"):
        Sizing("native", "96").plan((500, 500), (128, 128), UNITS)


@pytest.mark.parametrize(("tile", "unit"), [("128", 32), ("511", 32), ("512", 128), ("1024", 128), ("2048x500", 32)])
def test_tiles_begin_with_whole_windows_where_they_hold_enough(tile: str, unit: int) -> None:
    grid = Sizing("native", tile).plan((2500, 2500), (128, 128), UNITS).grid
    assert grid is not None
    assert (grid.rows.unit, grid.columns.unit) == (unit, unit)


@pytest.mark.parametrize("method", [*METHODS])
def test_every_network_says_where_tiles_begin(method: str) -> None:
    settings = TrainSettings(data="rooms", method=method, weights="random")
    units = units_of(build_model(settings, {"depth": TASKS["depth"], "edges": TASKS["edges"]}))
    assert units == ((128, 32) if settings.encoder == "swin_lite" else units[-1:])
    assert units[-1] >= 4
