from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.viz.pixels import LONG, SDNE, colour_of, frame_is_paper, middle, where
from vtadapt.viz.matrices.evolution import evolution
from vtadapt.viz.matrices.heatmap import heatmap, heatmaps
from vtadapt.viz.matrices.matrix import INKS, UNMEASURED, ink_on, number_text, scale_of
from vtadapt.viz.matrices.page import MARGIN, filled, one_line, plain_look, text_width


@pytest.mark.parametrize(
    "names",
    [
        ["depth"],
        SDNE,
        LONG[:6],
        pytest.param(LONG, marks=pytest.mark.slow),
        pytest.param([f"t{i}" for i in range(20)], marks=pytest.mark.slow),
    ],
)
def test_every_size_is_a_whole_picture(names):
    count = len(names)
    values = np.random.default_rng(count).uniform(-1, 1, (count, count))
    page = heatmap(
        values,
        names,
        error=abs(values) / 9,
        marked=values < 0,
        title="A title " * 30,
        footer="A long line in small print " * 20,
    )
    assert page.dtype == np.uint8 and page.ndim == 3 and page.shape[2] == 3 and page.flags.writeable
    assert max(page.shape) < 2000
    assert frame_is_paper(page)


def test_rows_are_sources_and_columns_targets():
    values = np.full((3, 3), 0.2)
    values[0, 2] = 0.6
    page = heatmap(values, ["a", "b", "c"])
    (row, column), (rows, columns) = middle(where(page, colour_of(0.6))), middle(where(page, colour_of(0.2)))
    assert row < rows - 50 and column > columns + 50


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([[0.2, 0.5], [0.3, 0.7]], 0, 1),  # 0 to 1, whatever the values
        ([[0.2, 0.5], [0.3, 2.0]], 0, 2),
        ([[0.2, 0.5], [-0.8, 0.4]], -0.8, 0.8),
        ([[0.2, 0.5], [-0.1, 0.9]], -0.9, 0.9),
        ([[0.0, 0.0], [0.0, 0.0]], 0, 1),
        ([[np.nan, np.nan]], 0, 1),
    ],
)
def test_the_scale_starts_at_zero_or_is_symmetric_about_it(values, low, high):
    scale = scale_of([np.array(values)])
    assert (scale.low, scale.high, scale.extend) == (low, high, "neither")


@pytest.mark.parametrize(
    ("values", "limits", "found"),
    [
        ([0.2, 0.5], (0, 0.5), (0, 0.5, "neither")),
        ([0.2, 0.6], (0, 0.5), (0, 0.5, "max")),
        ([0.1, 0.6], (0.2, 0.5), (0.2, 0.5, "both")),
        ([-0.2, 0.4], (0, 0.5), (-0.5, 0.5, "neither")),
        ([-0.8, 0.4], (-0.1, 0.5), (-0.5, 0.5, "min")),
    ],
)
def test_limits_are_kept_and_what_lies_beyond_is_said(values, limits, found):
    scale = scale_of([np.array([values])], limits)
    assert (scale.low, scale.high, scale.extend) == pytest.approx(found)


def test_zero_is_one_colour_and_help_is_blue_on_both_scales():
    unsigned, signed = (scale_of([np.array([[low, 1.0]])]).mappable() for low in (0.0, -1.0))
    for value in (0.0, 0.3, 0.8, 1.0):
        np.testing.assert_allclose(unsigned.to_rgba(value), signed.to_rgba(value), atol=0.02)
    red, _, blue, _ = signed.to_rgba(0.7)
    assert blue > red + 0.3
    red, _, blue, _ = signed.to_rgba(-0.7)
    assert red > blue + 0.3


def test_help_and_harm_differ_for_readers_without_red_or_green_receptors():
    # Machado et al. 2009, severity 1, on linear light.
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    signed = scale_of([np.array([[-1.0, 1.0]])]).mappable()
    for seen in (protan, deutan):
        for value in (0.3, 0.6, 0.9):
            both = np.array([signed.to_rgba(value)[:3], signed.to_rgba(-value)[:3]]) ** 2.2
            help_seen, harm_seen = np.clip(both @ np.array(seen).T, 0, 1) ** (1 / 2.2)
            assert np.abs(help_seen - harm_seen).max() > 0.2


def test_a_cell_without_a_number_is_grey_with_a_dash_and_a_line_says_so():
    whole = heatmap([[0.9, 0.1], [0.2, 0.8]], ["a", "b"])
    gap = heatmap([[0.9, None], [0.2, 0.8]], ["a", "b"])
    assert where(whole, UNMEASURED).sum() < 50
    grey = where(gap, UNMEASURED)
    assert grey.sum() > 100 * 100
    rows, columns = np.nonzero(grey[: len(whole) - MARGIN])
    cell = gap[rows.min() : rows.max(), columns.min() : columns.max()]
    assert np.ptp(rows) > 100 and np.ptp(columns) > 100
    assert (cell.max(-1) < 110).any()  # the dash
    assert gap.shape[0] > whole.shape[0]
    assert not where(heatmap([[0.9, np.inf], [0.2, 0.8]], ["a", "b"]), (255, 0, 0)).any()


def ink_of(page: np.ndarray, value: float) -> np.ndarray:
    """Where there is dark ink within the smallest box around all cells of a value."""
    painted = where(page, colour_of(value))
    rows, columns = (np.nonzero(painted.sum(axis) > 40)[0] for axis in (1, 0))  # the colour bar has fewer
    return where(page[rows[0] : rows[-1], columns[0] : columns[-1]], INKS[0])


def test_marks_frame_their_cells_only_and_are_explained():
    values = np.full((2, 2), 0.1)
    plain = heatmap(values, ["a", "b"])
    marked = heatmap(values, ["a", "b"], marked=[[False, True], [False, False]])
    for page, frames in (plain, (0, 0, 0, 0)), (marked, (0, 1, 0, 0)):
        ink = ink_of(page, 0.1)
        quarters = [part.sum() for half in np.array_split(ink, 2) for part in np.array_split(half, 2, axis=1)]
        assert [count > quarters[0] + 150 for count in quarters] == [bool(frame) for frame in frames]
    assert marked.shape[0] > plain.shape[0]
    np.testing.assert_array_equal(plain, heatmap(values, ["a", "b"], marked=np.zeros((2, 2), bool)))
    np.testing.assert_array_equal(plain, heatmap(values, ["a", "b"], marked=[[None, 0], [0, 0]]))


def test_errors_stand_below_their_values():
    values = np.array([[0.5]])
    plain, small = heatmap(values, ["a"]), heatmap(values, ["a"], error=[[0.03]])
    alone, both = (np.nonzero(ink_of(page, 0.5))[0] / len(ink_of(page, 0.5)) for page in (plain, small))
    assert alone.min() > 0.4 and alone.max() < 0.6
    assert 0.2 < both.min() < 0.4 and 0.65 < both.max() < 0.8
    np.testing.assert_array_equal(heatmap(values, ["a"], error=[[None]]), plain)


@pytest.mark.parametrize("value", np.linspace(-1, 1, 21))
def test_the_ink_can_be_read_on_every_cell(value):
    colour = np.array(scale_of([np.array([[-1.0, 1.0]])]).mappable().to_rgba(value)[:3])

    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    a, b = sorted([luminance(ink_on(colour)), luminance(colour)])
    assert (b + 0.05) / (a + 0.05) >= 4  # WCAG asks 3 of large text and 4.5 of small


@pytest.mark.parametrize(
    ("value", "bound", "least", "text"),
    [
        (0.946, 1.0, False, "0.95"),
        (-0.004, 1.0, False, "0.00"),
        (-0.946, 1.0, False, "-0.95"),
        (0.0041, 1.0, True, "0.004"),
        (0.0, 1.0, True, "0.00"),
        (0.1234, 0.4, False, "0.123"),
        (12.34, 40, False, "12.3"),
        (0.00123, 0.004, False, "1.2e-3"),
        (123456.0, 2e5, False, "1.2e5"),
    ],
)
def test_numbers_are_short(value, bound, least, text):
    assert number_text(value, bound, least=least) == text


def test_values_are_left_out_where_a_cell_has_no_room():
    def inked(count):
        page = heatmaps([("x", np.full((count, count), 0.1))], [f"t{i}" for i in range(count)])
        cells = where(page, colour_of(0.1))
        rows, columns = np.nonzero(cells)
        return where(page, INKS[0])[rows.min() : rows.max(), columns.min() : columns.max() - 60].any()

    assert inked(4) and not inked(14)


def test_small_multiples_share_one_scale():
    one = heatmaps([("first", [[0.4]]), ("second", [[1.6]])], ["a"])
    assert where(one, colour_of(0.4, 0, 1.6)).sum() > 3000
    assert where(one, colour_of(1.6, 0, 1.6)).sum() > 3000
    assert not where(one, colour_of(0.4)).sum() > 3000
    assert frame_is_paper(one)


@pytest.mark.slow
def test_many_small_multiples_fill_rows():
    panels = [(f"stage 3 block {i}", np.eye(4)) for i in range(13)]
    pages = [heatmaps(panels[:count], SDNE, title="t") for count in (1, 4, 9)]
    assert all(page.shape[1] < 1800 and frame_is_paper(page) for page in pages)
    assert pages[0].shape[1] < pages[1].shape[1] and 2 * pages[1].shape[0] < pages[2].shape[0]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: heatmap(np.eye(3), ["a", "b"]), r"matrix must be .* found \(3, 3\) for 2 names"),
        (lambda: heatmap(np.zeros((0, 0)), []), "T >= 1"),
        (lambda: heatmap(np.eye(2), ["a", "b"], error=np.eye(3)), "error must be"),
        (lambda: heatmap(np.eye(2), ["a", "b"], marked=[True, False]), "marked must be"),
        (lambda: heatmap(np.eye(2), ["a", "b"], limits=(1, 0)), "limits"),
        (lambda: heatmap(np.eye(2), ["a", "b"], limits=(0, np.inf)), "limits"),
        (lambda: heatmaps([], ["a"]), "panels"),
        (lambda: heatmaps([("x", np.eye(2))], ["a"]), "matrix 'x'"),
        (lambda: evolution([], np.zeros((0, 1, 1)), ["a"]), "n >= 1"),
        (lambda: evolution([1, 2], np.zeros((1, 1, 1)), ["a"]), "matrices must be"),
        (lambda: evolution([2, 1], np.zeros((2, 1, 1)), ["a"]), "rise"),
        (lambda: evolution([1, np.nan], np.zeros((2, 1, 1)), ["a"]), "rise"),
    ],
)
def test_what_does_not_fit_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_names_are_taken_literally():
    page = heatmap(np.eye(3), ["$x^2$ and $\\frac$", "line\nbreak", "日本"], title="$\\alpha$ 日本", footer="{}%\\n")
    assert frame_is_paper(page)


def test_text_is_broken_and_a_very_long_name_is_cut_in_its_middle():
    with plain_look():
        assert text_width("mm", 20) > 1.8 * text_width("m", 20) > text_width("m", 10) > 0 == text_width(" ", 10)
        text = "one two three four five six " * 5
        lines = filled(text, 14, 150).splitlines()
        assert len(lines) > 3 and max(text_width(line, 14) for line in lines) <= 165
        assert " ".join(lines).split() == text.split()
    cut = one_line("the_same_start_" * 5 + "and\nend_1")
    assert len(cut) == 40 and cut.startswith("the_same_start_") and cut.endswith("and end_1") and "…" in cut
    assert one_line(LONG[0]) == LONG[0]
    assert filled("", 14, 100) == ""


def test_a_dollar_sign_starts_no_formula():
    with plain_look():
        plain, formula = text_width("$x^2$", 20), text_width("x", 20)
    assert plain > 3 * formula


def test_a_users_settings_of_matplotlib_are_neither_used_nor_changed():
    import matplotlib

    page = heatmap(np.eye(2), ["a", "b"])
    with matplotlib.rc_context({"font.family": "monospace", "text.hinting": "no_autohint", "font.size": 40}):
        np.testing.assert_array_equal(heatmap(np.eye(2), ["a", "b"]), page)
        assert matplotlib.rcParams["font.size"] == 40


def test_matplotlib_is_imported_late_and_never_pyplot():
    code = (
        "import sys, vtadapt.viz.matrices.evolution as e; assert 'matplotlib' not in sys.modules; "
        "e.heatmaps([('a', [[1.0]])], ['a']); e.evolution([1], [[[1.0]]], ['a']); "
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
