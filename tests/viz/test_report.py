"""Templates that no name can break, charts that stay in their frame, and the page around them."""

from __future__ import annotations

import base64
import importlib.resources
import io
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from PIL import Image

from vtadapt.viz.panels import Cell
from vtadapt.viz.report.charts import Chart, Line, bars, line_chart, matrix
from vtadapt.viz.report.page import environment, number
from vtadapt.viz.report.report import SECTIONS
from vtadapt.viz.video_strips import name_strip, strips_below

VOID = {"br", "img", "link", "meta"}


def drawn(macro: str, *values: object) -> str:
    """What a macro of the page makes of values."""
    template = f'{{% from "macros.html" import {macro} %}}{{{{ {macro}(*values) }}}}'
    return environment().from_string(template).render(values=values)


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


@given(
    st.text(
        st.characters(exclude_characters="\r\0", exclude_categories=["Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"])
    )
)
@settings(max_examples=100, deadline=None)
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    found = Reader(drawn("bars", bars(text, [], head=("class", "iou"), chips={})))
    assert found.open == []
    assert found.text.count(text) >= 1
    assert [attributes["aria-label"] for tag, attributes in found.attributes if tag == "div"] == [text]


def test_templates_are_part_of_the_package() -> None:
    folder = importlib.resources.files("vtadapt.viz.report") / "templates"
    names = {entry.name for entry in folder.iterdir()}
    assert names == {"page.html", "macros.html", "style.css", "theme.js", *(f"{id}.html" for id in SECTIONS)}
    assert all(environment().get_template(name) for name in names)


def test_what_a_template_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="sections"):
        environment().get_template("page.html").render(document={"name": "", "data": "", "tasks": {}})


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
    chart = drawn("line_chart", line_chart("loss <x>", [Line("a", sorted(points), True), Line("b", [(1, math.nan)])]))
    assert Reader(chart).open == []
    assert ("<svg" in chart) == bool(points)
    for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', chart):
        assert Chart.left - 0.1 <= float(x) <= Chart.right + 0.1
        assert Chart.top - 0.1 <= float(y) <= Chart.bottom + 0.1
    assert chart.count("<circle") == len(points)


def test_a_line_in_words_and_its_place() -> None:
    chart = drawn("line_chart", line_chart("loss", [Line("depth", [(0, 1.0), (50, 0.5), (100, 0.0)], marked=True)]))
    assert 'role="img" aria-label="loss over step: depth from 1.000 at 0 to 0 at 100"' in chart
    places = [(float(x), float(y)) for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', chart)]
    assert [x for x, _ in places] == pytest.approx([Chart.left, (Chart.left + Chart.right) / 2, Chart.right])
    assert all(a[1] < b[1] for a, b in pairwise(places))  # falls: y runs downwards
    assert "<li>" not in chart
    two = line_chart("x", [Line("a", [(0, 1)]), Line("b", [(0, 2)])])
    assert drawn("line_chart", two).count("<li>") == 2


def test_a_source_keeps_its_colour_and_its_name_where_it_is_alone() -> None:
    chart = line_chart("target a", [Line("a", []), Line("b", [(0, 1), (9, 2)])])
    assert [(stroke.name, stroke.look) for stroke in chart.strokes] == [("b", "c1")]
    assert '<li><i class="c1"></i>b</li>' in drawn("line_chart", chart)


def test_bars_are_as_long_as_their_values() -> None:
    rows = [("a", 0.25), ("none", None), ("<b>", 0.75), ("c", 1.5)]
    found = drawn("bars", bars("IoU", rows, head=("class", "iou"), chips={"a": (1, 2, 3)}))
    assert re.findall(r"width:([\d.]+)%", found) == ["100.0", "75.0", "25.0"]
    assert "background:rgb(1,2,3)" in found
    assert "&lt;b&gt;" in found
    assert found.count('class="bar"') == 3
    assert found.index(">a<") < found.index("none") < found.index(">-<")


def test_a_matrix_is_a_table_with_heads() -> None:
    values = [[1.0, 0.5], [-0.25, None]]
    errors, marked = [[0, 0.012], [None, None]], [[False, True], [False, False]]
    found = drawn("matrix", matrix("A", ["s<", "t"], values, error=errors, marked=marked))
    assert found.count('scope="row"') == 2
    assert found.count('scope="col"') == 3
    assert "0.500 ~<small>±0.012</small>" in found
    shades = re.findall(r"rgba\((\d+),\d+,\d+,([\d.]+)\)", found)
    assert shades == [
        ("0", "0.6"),
        ("0", "0.6"),
        ("213", "0.3"),
    ]  # blue, blue (the largest beside the diagonal), red
    assert '<td class="none">-</td>' in found


def test_pictures_are_small_and_labels_keep_their_colours() -> None:
    colours = np.array([[0, 90, 181], [230, 97, 0]], np.uint8)
    rgb = colours[np.random.default_rng(0).integers(0, 2, (500, 1000))]
    for smooth, kind in ((False, "png"), (True, "jpeg")):
        found = drawn("picture", Cell(rgb, smooth=smooth), 'a "b"', 300, 150)
        _, attributes = Reader(found).attributes[0]
        assert (attributes["alt"], attributes["width"], attributes["height"]) == ('a "b"', "150", "75")
        head, _, data = attributes["src"].partition(",")
        assert head == f"data:image/{kind};base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (300, 150)
            if not smooth:
                assert {c for _, c in image.getcolors(10)} == {tuple(c) for c in colours.tolist()}  # type: ignore


def test_strips_of_a_video() -> None:
    above = name_strip(["image", "a very long name of a task"], 20)
    assert above.shape[1:] == (40, 3)
    assert name_strip(["x"], 1).shape[1] == 1
    assert strips_below([], 30).shape == (0, 30, 3)
    one = strips_below([lambda width: np.zeros((5, width, 3), np.uint8)], 30)
    assert (one.shape[1], int((one == 0).all(2).sum())) == (30, 5 * 18)
