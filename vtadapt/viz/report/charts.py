"""Small charts for a web page: where the parts of lines, bars and matrices lie; ``templates/macros.html`` draws them.

Everything takes its colours from the page (``currentColor`` and the classes ``c0`` ... ``c6``), so that a chart is
right on light and on dark paper; bars and matrices are tables that a screen reader can read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from vtadapt.digits import amount
from vtadapt.viz.report.page import number

Points = Sequence[tuple[float, float]]

COLOURS = 7  # classes c0 to c6 of the stylesheet
HELP, HARM = "0,114,178", "213,94,0"  # blue and orange-red, as in the heat maps


@dataclass(frozen=True)
class Line:
    """A line to draw: its name, rising points (x, y), and whether each point is marked."""

    name: str
    points: Points
    marked: bool = False


@dataclass(frozen=True)
class Stroke:
    """A line in its place: the classes of its look, and its points as x, y (units of the chart) and words."""

    name: str
    look: str
    spots: Sequence[tuple[float, float, str]]
    marked: bool


@dataclass(frozen=True)
class Chart:
    """Lines over steps with their axes; ticks are (place, text), ``words`` say where each line starts and ends.

    A chart without a number has no strokes. One that was to show several lines has a key, even if only one has points.
    A page scales it: its units are only its own.
    """

    title: str
    y_name: str
    strokes: Sequence[Stroke]
    key: bool = False
    x_ticks: Sequence[tuple[float, str]] = ()
    y_ticks: Sequence[tuple[float, str]] = ()
    words: str = ""
    width: ClassVar[int] = 360
    height: ClassVar[int] = 200
    left: ClassVar[int] = 46  # left, right, top and bottom of the axes
    right: ClassVar[int] = 350
    top: ClassVar[int] = 10
    bottom: ClassVar[int] = 166


def line_chart(title: str, lines: Sequence[Line], *, y_name: str = "") -> Chart:
    """Return a chart of lines over steps; points that are not finite are left out, and lines without any point."""
    drawn = [(i, Line(line.name, _finite(line.points), line.marked)) for i, line in enumerate(lines)]
    drawn = [(i, line) for i, line in drawn if line.points]
    points = [point for _, line in drawn for point in line.points]
    if not points:
        return Chart(title, y_name, ())
    x_ticks, x = _axis([p[0] for p in points], Chart.right - Chart.left, 4, whole=True)
    y_ticks, y = _axis([p[1] for p in points], Chart.bottom - Chart.top, 4)

    def across(value: float) -> float:
        return round(Chart.left + x(value), 1)

    def up(value: float) -> float:
        return round(Chart.bottom - y(value), 1)

    strokes = []
    for i, line in drawn:
        spots = [(across(a), up(b), f"{a:g}: {number(b)}") for a, b in line.points]
        dashed = " dashed" if i // COLOURS % 2 else ""
        strokes.append(Stroke(line.name, f"c{i % COLOURS}{dashed}", spots, line.marked or len(spots) == 1))
    return Chart(
        title,
        y_name,
        strokes,
        len(lines) > 1,
        [(across(value), _tick(value)) for value in x_ticks],
        [(up(value), _tick(value)) for value in y_ticks],
        "; ".join(_in_words(line) for _, line in drawn),
    )


@dataclass(frozen=True)
class Bars:
    """Shares 0..1 with a bar each, largest first and None last; ``chips`` are the colours of some of the names."""

    title: str
    head: tuple[str, str]
    rows: Sequence[tuple[str, float | None]]
    chips: Mapping[str, Sequence[int]]


def bars(
    title: str, rows: Sequence[tuple[str, float | None]], *, head: tuple[str, str], chips: Mapping[str, Sequence[int]]
) -> Bars:
    """Return the bars of shares in their order."""
    return Bars(title, head, sorted(rows, key=lambda row: math.inf if row[1] is None else -row[1]), chips)


@dataclass(frozen=True)
class MatrixCell:
    """A cell of a matrix: its number and its error as text, whether it has a frame, its colour and how strong."""

    text: str
    error: str
    marked: bool
    colour: str
    alpha: float


@dataclass(frozen=True)
class Matrix:
    """A matrix of tasks, sources down and targets across: per row the source and its cells, None without a number."""

    title: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[MatrixCell | None]]]
    footer: str


def matrix(
    title: str,
    names: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    error: Sequence[Sequence[float | None]] | None = None,
    marked: Sequence[Sequence[bool]] | None = None,
    footer: str = "",
) -> Matrix:
    """Return a matrix (T, T), sources down and targets across: blue helps, orange harms.

    The strongest colour is that of the largest number off the diagonal. Cells that are ``marked`` have a frame.
    """
    size = range(len(names))
    others = [abs(v) for s in size for t in size if s != t and (v := values[s][t]) is not None]
    bound = max(others, default=0.0) or 1.0

    def cell(s: int, t: int) -> MatrixCell | None:
        value, deviation = values[s][t], error[s][t] if error else None
        if value is None:
            return None
        return MatrixCell(
            f"{value:.3f}" if bound >= 0.01 else f"{value:.1e}",
            amount(deviation, 2) if deviation else "",
            bool(marked and marked[s][t]),
            HELP if value >= 0 else HARM,
            round(0.6 * min(1.0, abs(value) / bound), 2),
        )

    return Matrix(title, names, [(names[s], [cell(s, t) for t in size]) for s in size], footer)


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
