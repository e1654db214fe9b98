"""Heat, differences and outlines are where the tokens are."""

from __future__ import annotations

import numpy as np
import pytest

from vtadapt.viz.attention import (
    DIVERGING,
    HEAT,
    OUTLINE,
    TokenMap,
    attention_panel,
    difference,
    dimmed,
    divided,
    heat,
    marked,
    outlined,
    spread,
)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_spread_gives_each_pixel_the_value_of_its_token():
    tokens = np.array([[1.0, 2, 3], [4, 5, 6]])
    found = spread(tokens, (4.0, 2.0), (8, 6), (8, 6))
    assert np.array_equal(found, tokens.repeat(4, 0).repeat(2, 1))
    half = spread(tokens, (4.0, 2.0), (8, 6), (4, 12))
    assert np.array_equal(half, tokens.repeat(2, 0).repeat(4, 1))


def test_spread_cuts_the_last_tokens_where_the_photograph_ends():
    found = spread(np.arange(3.0)[None], (10.0, 7.0), (5, 16), (5, 16))
    assert found[0].tolist() == [0.0] * 7 + [1.0] * 7 + [2.0] * 2
    # Tokens of 7.4 pixels: a pixel belongs to the token that its centre lies in.
    assert spread(np.arange(3.0)[None], (1.0, 7.4), (1, 16), (1, 16))[0].tolist() == [0.0] * 7 + [1.0] * 8 + [2.0]


def test_heat_leaves_the_dimmed_photograph_where_there_is_no_value():
    rgb, values = photo(4, 6), np.full((4, 6), np.nan)
    values[1, 2], values[2, 3] = 2.0, 0.0
    page = heat(rgb, values, 2.0, alpha=1.0)
    known = np.isfinite(values)
    assert np.array_equal(page[~known], dimmed(rgb)[~known])
    assert page[1, 2].tolist() == HEAT[-1].tolist()
    assert page[2, 3].tolist() == HEAT[0].tolist()
    assert np.array_equal(heat(rgb, np.ones((4, 6)), 2.0, alpha=0.0), dimmed(rgb))


def test_differences_diverge_from_the_middle():
    page = difference(photo(1, 4), np.array([[-3.0, 0.0, 3.0, np.nan]]), 3.0, alpha=1.0)
    assert page[0, :3].tolist() == [DIVERGING[0].tolist(), DIVERGING[127].tolist(), DIVERGING[-1].tolist()]
    assert len(set(DIVERGING[127].tolist())) == 1  # no hue at zero
    blue, red = DIVERGING[0].astype(int), DIVERGING[-1].astype(int)
    assert blue[2] > blue[0] + 100
    assert red[0] > red[2] + 100
    flat = difference(photo(1, 2), np.zeros((1, 2)), 0.0, alpha=1.0)
    assert (flat == DIVERGING[127]).all()


def test_the_outline_is_the_inner_border_of_the_region():
    inside = np.zeros((20, 30), bool)
    inside[5:15, :12] = True  # at the picture's edge, where it is closed as well
    page = outlined(np.zeros((20, 30, 3), np.uint8), inside, width=2)
    drawn = (page == OUTLINE).all(-1)
    core = np.zeros_like(inside)
    core[7:13, 2:10] = True
    assert np.array_equal(drawn, inside & ~core)


def test_an_outline_may_have_several_pieces():
    inside = np.zeros((10, 30), bool)
    inside[:, :5] = inside[:, 20:] = True
    drawn = (outlined(np.zeros((10, 30, 3), np.uint8), inside, width=1) == OUTLINE).all(-1)
    assert not drawn[:, 5:20].any()
    assert drawn[:, [0, 4, 20, 29]].all()
    assert not drawn[1:-1, [1, 3, 21, 28]].any()


def test_divided_draws_between_regions():
    regions = np.zeros((12, 20), int)
    regions[:, 8:] = 5
    drawn = (divided(np.zeros((12, 20, 3), np.uint8), regions) == OUTLINE).all(-1)
    wanted = np.zeros((12, 20), bool)
    wanted[[0, 1, -2, -1]] = wanted[:, [0, 1, 7, 8, -2, -1]] = True
    assert np.array_equal(drawn, wanted)


def test_the_mark_is_around_the_pixel_and_leaves_the_rest_alone():
    rgb = photo(80, 90)
    page = marked(rgb, 40.0, 30.0)
    rows, columns = np.nonzero((page != rgb).any(-1))
    assert abs(rows.mean() - 30) < 0.5
    assert abs(columns.mean() - 40) < 0.5
    assert np.ptp(rows) < 20
    assert marked(rgb, 0.0, 79.0).shape == rgb.shape


@pytest.mark.parametrize(("height", "width"), [(128, 128), (33, 517), (517, 33), (1, 1), (1200, 1600)])
@pytest.mark.parametrize("query", [None, (0, 0)])
def test_a_panel_of_any_size(height: int, width: int, query: tuple[int, int] | None):
    rows, columns = max(1, height // 16), max(1, width // 16)
    reach = np.zeros((rows, columns), bool)
    reach[0, 0] = True

    def tokens(seed: int) -> TokenMap:
        values = np.random.default_rng(seed).random((rows, columns))
        regions = np.arange(rows * columns).reshape(rows, columns) // 4
        return TokenMap(values, (height / rows, width / columns), None if query is None else reach, regions)

    page = attention_panel(
        photo(height, width), tokens(0), {"depth": tokens(1), "edges": tokens(2)}, title="t", query=query
    )
    assert page.dtype == np.uint8
    assert 320 <= page.shape[1] < 2800


def test_a_panel_shows_the_bright_token_and_the_difference():
    rgb = np.full((256, 256, 3), (7, 120, 45), np.uint8)
    flat, spot = np.zeros((4, 4)), np.zeros((4, 4))
    spot[1, 2] = 4.0
    page = attention_panel(rgb, TokenMap(flat, (64, 64)), {"depth": TokenMap(spot, (64, 64))}, alpha=1.0)

    def box(colour: np.ndarray) -> tuple[int, int]:
        rows, columns = np.nonzero((page == colour).all(-1))
        blocks = [(r, c) for r, c in zip(rows, columns, strict=True) if (page[r : r + 60, c : c + 60] == colour).all()]
        return min(blocks)

    bright = box(HEAT[-1])
    red = box(DIVERGING[-1])
    top, left = np.argwhere((page == rgb[0, 0]).all(-1)).min(0)  # of the photograph; the task's map is the third
    assert bright[0] - top == 64
    assert (bright[1] - left - 64 * 2) % 2 == 0
    gutter = (bright[1] - left - 64 * 2 - 2 * 256) / 2
    assert 8 <= gutter <= 24
    assert red[1] == bright[1]  # below
    assert red[0] > bright[0] + 256
