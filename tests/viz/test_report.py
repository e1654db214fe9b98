"""Markup that cannot be broken by names, charts that stay in their frame, and the page around them."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtadapt.viz.panels import Cell
from vtadapt.viz.report.charts import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, bars, line_chart, matrix
from vtadapt.viz.report.markup import VOID, Markup, escaped, number, picture, table, tag
from vtadapt.viz.report.page import Section, page
from vtadapt.viz.video_strips import name_strip, strips_below


class Reader(HTMLParser):
    """Collects text, attributes and whatever is not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.attributes = "", []  # type: ignore[var-annotated]
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    found = Reader(tag("p", text, title=text))
    assert found.open == []
    assert found.text == text
    assert found.attributes == [("p", {"title": text})]


def test_elements() -> None:
    assert tag("p", "a < b", None, tag("b", 1), class_="x", data_y=2, hidden=True, id=None) == (
        '<p class="x" data-y="2" hidden>a &lt; b<b>1</b></p>'
    )
    assert tag("br") == "<br>"
    assert escaped(Markup("<b>")) == "<b>"
    assert escaped('"') == "&quot;"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.31172, "0.3117"), (24.211, "24.21"), (1.0, "1.000"), (-0.0526, "-0.05260"), (12345.6, "12346"), (0, "0")]
    + [(1.2e-5, "1.20e-05"), (3e7, "3.00e+07"), (None, "-"), (math.nan, "-"), (math.inf, "-")],
)
def test_numbers(value: float | None, wanted: str) -> None:
    assert number(value) == wanted


@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.floats(-1e9, 1e9, allow_subnormal=False)),
        max_size=30,
        unique_by=lambda p: p[0],
    )
)
@settings(max_examples=150, deadline=None)
def test_lines_stay_in_their_frame(points: list[tuple[float, float]]) -> None:
    chart = line_chart("loss <x>", [Line("a", sorted(points), marked=True), Line("b", [(1, math.nan)])])
    assert Reader(chart).open == []
    assert ("<svg" in chart) == bool(points)
    for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', chart):
        assert LEFT - 0.1 <= float(x) <= WIDTH - RIGHT + 0.1
        assert TOP - 0.1 <= float(y) <= HEIGHT
    assert chart.count("<circle") == len(points)


def test_a_line_in_words_and_its_place() -> None:
    chart = line_chart("loss", [Line("depth", [(0, 1.0), (50, 0.5), (100, 0.0)], marked=True)])
    assert 'role="img" aria-label="loss over step: depth from 1.000 at 0 to 0 at 100"' in chart
    places = [(float(x), float(y)) for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', chart)]
    assert [x for x, _ in places] == pytest.approx([LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT])
    assert all(a[1] < b[1] for a, b in pairwise(places))  # falls: y runs downwards
    assert "<li>" not in chart
    assert line_chart("x", [Line("a", [(0, 1)]), Line("b", [(0, 2)])]).count("<li>") == 2


def test_bars_are_as_long_as_their_values() -> None:
    found = bars("IoU", [("a", 0.25), ("<b>", 0.75), ("c", 1.5)], head=("class", "iou"), chips={"a": (1, 2, 3)})
    assert re.findall(r"width:([\d.]+)%", found) == ["100.0", "75.0", "25.0"]
    assert "background:rgb(1,2,3)" in found
    assert "&lt;b&gt;" in found


def test_a_matrix_is_a_table_with_heads() -> None:
    values = [[1.0, 0.5], [-0.25, None]]
    found = matrix("A", ["s<", "t"], values, error=[[0, 0.012], [None, None]], marked=[[False, True], [False, False]])
    assert found.count('scope="row"') == 2
    assert found.count('scope="col"') == 3
    assert "0.500 ~<small>±0.012</small>" in found
    shades = re.findall(r"rgba\((\d+),\d+,\d+,([\d.]+)\)", found)
    assert shades == [
        ("0", "0.60"),
        ("0", "0.60"),
        ("213", "0.30"),
    ]  # blue, blue (the largest beside the diagonal), red
    assert '<td class="none">-</td>' in found


def test_pictures_are_small_and_labels_keep_their_colours() -> None:
    colours = np.array([[0, 90, 181], [230, 97, 0]], np.uint8)
    rgb = colours[np.random.default_rng(0).integers(0, 2, (500, 1000))]
    import base64
    import io

    from PIL import Image

    for smooth, kind in ((False, "png"), (True, "jpeg")):
        found = picture(Cell(rgb, smooth=smooth), 'a "b"', side=300, width=150)
        _, attributes = Reader(found).attributes[0]
        assert (attributes["alt"], attributes["width"], attributes["height"]) == ('a "b"', "150", "75")
        head, _, data = attributes["src"].partition(",")
        assert head == f"data:image/{kind};base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (300, 150)
            if not smooth:
                assert {c for _, c in image.getcolors(10)} == {tuple(c) for c in colours.tolist()}  # type: ignore


def test_the_page() -> None:
    text = page("a & b", "c <d>", [Section("x", "One", [tag("p", "1"), None])], "end")
    found = Reader(text)
    assert found.open == []
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "Content-Security-Policy" in text
    assert '<a href="#x">One</a>' in text
    assert text.count("prefers-color-scheme: dark") + text.count("prefers-color-scheme:dark") == 2
    assert table(["a", "b"], [(1, 2)], label="l", numbers=(1,)).count('class="num"') == 2


def test_strips_of_a_video() -> None:
    above = name_strip(["image", "a very long name of a task"], 20)
    assert above.shape[1:] == (40, 3)
    assert name_strip(["x"], 1).shape[1] == 1
    assert strips_below([], 30).shape == (0, 30, 3)
    one = strips_below([lambda width: np.zeros((5, width, 3), np.uint8)], 30)
    assert (one.shape[1], int((one == 0).all(2).sum())) == (30, 5 * 18)
