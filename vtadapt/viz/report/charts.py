"""Small charts for a web page: lines over steps as SVG, bars and matrices as tables that a screen reader can read.

Everything takes its colours from the page (``currentColor`` and the classes ``c0`` ... ``c6``), so that a chart is
right on light and on dark paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vtadapt.viz.report.markup import Markup, join, number, scrolled, tag

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 360, 200  # of a chart, in its own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
COLOURS = 7  # classes c0 to c6 of the page
HELP, HARM = "0,114,178", "213,94,0"  # blue and orange-red, as in the heat maps


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, rising points (x, y), and whether each point is marked."""

    name: str
    points: Points
    marked: bool = False


def line_chart(title: str, lines: Sequence[Line], *, x_name: str = "step", y_name: str = "", note: str = "") -> Markup:
    """Return a figure with one chart: axes, grid, a line each, and a key where there are several.

    Points that are not finite are left out; with no point at all the figure says so. ``note`` stands below.
    """
    lines = [Line(line.name, _finite(line.points), line.marked) for line in lines]
    points = [point for line in lines for point in line.points]
    caption = tag("figcaption", tag("b", title), f" {y_name}" if y_name else None)
    if not points:
        return tag("figure", caption, tag("p", "No number was recorded.", class_="note"), class_="chart")
    x_ticks, x = _axis([p[0] for p in points], WIDTH - LEFT - RIGHT, 4, whole=True)
    y_ticks, y = _axis([p[1] for p in points], HEIGHT - TOP - BOTTOM, 4)
    bottom = HEIGHT - BOTTOM
    parts = []
    for value in y_ticks:
        at = bottom - y(value)
        parts.append(tag("path", d=f"M{LEFT} {at:.1f}H{WIDTH - RIGHT}", class_="grid"))
        parts.append(tag("text", _tick(value), x=LEFT - 5, y=f"{at + 4:.1f}", text_anchor="end"))
    for value in x_ticks:
        at = LEFT + x(value)
        parts.append(tag("text", _tick(value), x=f"{at:.1f}", y=bottom + 15, text_anchor="middle"))
    parts.append(tag("path", d=f"M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}", class_="axis"))
    parts.append(tag("text", x_name, x=(LEFT + WIDTH - RIGHT) // 2, y=HEIGHT - 4, text_anchor="middle"))
    for i, line in enumerate(lines):
        spots = [(LEFT + x(a), bottom - y(b)) for a, b in line.points]
        parts.append(_drawn(line, spots, i))
    words = f"{title} over {x_name}: " + "; ".join(_in_words(line) for line in lines if line.points)
    drawing = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words)
    below = tag("p", note, class_="note") if note else None
    return tag("figure", caption, key(lines) if len(lines) > 1 else None, drawing, below, class_="chart")


def key(lines: Sequence[Line]) -> Markup:
    """Return the names of lines beside their colours."""
    entries = [
        tag("li", tag("i", class_=f"c{i % COLOURS}{_dash(i)}"), line.name)
        for i, line in enumerate(lines)
        if line.points
    ]
    return tag("ul", *entries, class_="key")


def bars(
    title: str, rows: Sequence[tuple[str, float | None]], *, head: tuple[str, str], chips: Mapping[str, Sequence[int]]
) -> Markup:
    """Return a table of shares 0..1, largest first, each with a bar; ``chips`` are the colours of some of the names.

    A share that is None stands last, as a dash without a bar.
    """
    body = []
    for name, value in sorted(rows, key=lambda row: math.inf if row[1] is None else -row[1]):
        chip = None
        if name in chips:
            chip = tag("i", class_="chip", style=f"background:rgb({','.join(str(int(c)) for c in chips[name])})")
        shown, bar = "-", None
        if value is not None:
            shown, width = f"{value:.3f}", 100 * min(max(value, 0.0), 1.0)
            bar = tag("i", class_="bar", style=f"width:{width:.1f}%")
        cells = tag("td", shown, class_="num"), tag("td", bar, class_="bars", aria_hidden="true")
        body.append(tag("tr", tag("th", chip, name, scope="row"), *cells))
    top = tag("tr", tag("th", head[0], scope="col"), tag("th", head[1], scope="col", class_="num"), tag("td"))
    content = tag("table", tag("thead", top), tag("tbody", *body), class_="wide")
    return tag("figure", tag("figcaption", tag("b", title)), scrolled(content, title), class_="chart")


def matrix(
    title: str,
    names: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    error: Sequence[Sequence[float | None]] | None = None,
    marked: Sequence[Sequence[bool]] | None = None,
    footer: str = "",
) -> Markup:
    """Return a matrix (T, T), sources down and targets across, as a table: blue helps, orange harms.

    The strongest colour is that of the largest number off the diagonal. ``error`` is set behind +-, cells that are
    ``marked`` have a dashed frame and a "~".
    """
    size = range(len(names))
    others = [abs(v) for s in size for t in size if s != t and (v := values[s][t]) is not None]
    bound = max(others, default=0.0) or 1.0
    rows = []
    for s in size:
        cells = [
            _cell(values[s][t], error[s][t] if error else None, bool(marked and marked[s][t]), bound) for t in size
        ]
        rows.append(tag("tr", tag("th", names[s], scope="row"), *cells))
    corner = tag("th", "source ↓  target →", scope="col", class_="corner")
    top = tag("tr", corner, *(tag("th", name, scope="col") for name in names))
    content = tag("table", tag("thead", top), tag("tbody", *rows), class_="matrix")
    below = tag("p", footer, class_="note") if footer else None
    return tag("figure", tag("figcaption", tag("b", title)), scrolled(content, title), below)


def _cell(value: float | None, error: float | None, mark: bool, bound: float) -> Markup:
    if value is None:
        return tag("td", "-", class_="none")
    share = min(1.0, abs(value) / bound)
    small = tag("small", f"±{error:.2g}") if error else None
    return tag(
        "td",
        join([f"{value:.3f}" if bound >= 0.01 else f"{value:.1e}", " ~" if mark else None]),
        small,
        class_="marked" if mark else None,
        style=f"background:rgba({HELP if value >= 0 else HARM},{0.6 * share:.2f})",
    )


def _drawn(line: Line, spots: Sequence[tuple[float, float]], index: int) -> Markup:
    """The path of a line, and its points where they are marked or stand alone."""
    look = f"c{index % COLOURS}{_dash(index)}"
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in spots)
    parts = [tag("path", d=f"M{path}", class_="line")] if len(spots) > 1 else []
    if line.marked or len(spots) == 1:
        for (a, b), (step, value) in zip(spots, line.points, strict=True):
            words = tag("title", f"{line.name}, {step:g}: {number(value)}")
            parts.append(tag("circle", words, cx=f"{a:.1f}", cy=f"{b:.1f}", r=3.2))
    return tag("g", *parts, class_=look)


def _dash(index: int) -> str:
    return " dashed" if index // COLOURS % 2 else ""


def _finite(points: Points) -> Points:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _in_words(line: Line) -> str:
    (x0, y0), (x1, y1) = line.points[0], line.points[-1]
    return f"{line.name} from {number(y0)} at {x0:g} to {number(y1)} at {x1:g}"


class _Place:
    """Where a value lies on an axis of a length."""

    def __init__(self, low: float, high: float, length: float) -> None:
        self.low, self.scale = low, length / (high - low)

    def __call__(self, value: float) -> float:
        return (value - self.low) * self.scale


def _axis(values: Sequence[float], length: float, count: int, *, whole: bool = False) -> tuple[list[float], _Place]:
    """Return about ``count`` round numbers, and where values lie; an axis of steps ends where the steps do."""
    low, high = min(values), max(values)
    if low == high:
        room = 1.0 if whole else abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    elif not whole:
        room = 0.06 * (high - low)
        low, high = low - room, high + room
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= raw * 0.999)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step - 1e-9)
    ticks = [(first + i) * step for i in range(64) if (first + i) * step <= high + 1e-9 * step]
    return ticks, _Place(low, high, length)


def _tick(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.3g}"
