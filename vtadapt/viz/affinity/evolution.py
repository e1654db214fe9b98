"""The lines of a matrix over training: a plot per target, a line per source, and the key to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.tasks.spec import Colour
from vtadapt.viz.affinity.matrix import MARGIN, Scale, ticks
from vtadapt.viz.affinity.pixel_page import Page, line_step, ratio, shortened, text_width
from vtadapt.viz.style import MUTED, PAPER, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL, NAME = 13, 15  # sizes of type
SIDE = 56  # left of the plots
PLOT = 230, 150  # least width, and height, of one plot
GAP = 26, 34
# The colours of Okabe and Ito (2008) that show on light and on dark paper, then the same with dashes and with dots.
LINES: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (128, 128, 128),
)
DASHES: tuple[Any, ...] = ("solid", (0, (4, 1.6)), (0, (1.2, 1.4)))


@dataclass(frozen=True)
class Course:
    """The lines of ``evolution``: steps (n,), matrices (n, T, T), and how the plots are laid out."""

    steps: np.ndarray
    matrices: np.ndarray
    names: tuple[str, ...]

    @property
    def columns(self) -> int:
        """Plots in a row: up to five, or what leaves the fewest places of the last row empty."""
        count = len(self.names)
        return count if count <= 5 else min((5, 4, 3), key=lambda columns: (-count % columns, -columns))

    @property
    def width(self) -> int:
        """Least pixels of a row of plots with the numbers at its left."""
        return SIDE + self.columns * PLOT[0] + (self.columns - 1) * GAP[0]

    def key(self, width: int) -> list[list[tuple[int, int, str]]]:
        """Return the lines of the key to the colours: (left, number of the source, name) for each entry."""
        rows: list[list[tuple[int, int, str]]] = [[]]
        left = 0
        for i, name in enumerate(self.names):
            name = shortened(name, SMALL, 280)
            if rows[-1] and left + 36 + text_width(name, SMALL) > width:
                rows.append([])
                left = 0
            rows[-1].append((left, i, name))
            left += 36 + text_width(name, SMALL) + 24
        return rows

    def height(self, width: int) -> int:
        """Pixels of key and plots, with the room below them."""
        rows = -(-len(self.names) // self.columns)
        plots = rows * (PLOT[1] + line_step(NAME) + 4) + (rows - 1) * GAP[1]
        return (len(self.key(width)) + 1) * (line_step(SMALL) + 2) + 10 + plots + 48 + 26


def draw_course(page: Page, top: float, course: Course, scale: Scale) -> None:
    """Draw the key to the sources and one plot per target."""
    page.text(MARGIN, top, "A line per source; the thick one is the target itself.", SMALL, color=ratio(MUTED))
    for row in course.key(page.width - 2 * MARGIN):
        top += line_step(SMALL) + 2
        for left, source, name in row:
            ax = page.axes(MARGIN + left, top, 28, line_step(SMALL))
            ax.axis("off")
            ax.set_ylim(-1, 0.7)
            ax.plot([0, 1], [0, 0], **_line(source))
            page.text(MARGIN + left + 36, top, name, SMALL)
    top += line_step(SMALL) + 12
    above = line_step(NAME) + 4
    room = (page.width - 2 * MARGIN - SIDE - (course.columns - 1) * GAP[0]) // course.columns
    wide = min(room, 2 * PLOT[1])
    for target, name in enumerate(course.names):
        row_number, column = divmod(target, course.columns)
        left = MARGIN + SIDE + column * (wide + GAP[0])
        y = top + row_number * (PLOT[1] + above + GAP[1])
        page.text(left, y, shortened(f"target {name}", NAME, round(0.87 * wide)), NAME, weight="bold")  # bold is wider
        ax = page.axes(left, y + above, wide, PLOT[1])
        _draw_lines(ax, course, target, scale)
        ax.tick_params(labelleft=column == 0, labelbottom=target + course.columns >= len(course.names))
        if column == 0:
            ax.set_ylabel("affinity", fontsize=12, color=ratio(MUTED))
            ax.yaxis.set_label_coords(-42 / wide, 0.5)
        if target + course.columns >= len(course.names):
            ax.set_xlabel("step", fontsize=12, color=ratio(MUTED), labelpad=2)


def _line(source: int) -> dict[str, Any]:
    """Return colour and dashes of a source's line."""
    colour, dash = LINES[source % len(LINES)], DASHES[source // len(LINES) % len(DASHES)]
    return {"color": ratio(colour), "linestyle": dash, "linewidth": 1.8}


def _draw_lines(ax: Axes, course: Course, target: int, scale: Scale) -> None:
    """Draw the column of one target over the steps: a line per source, gaps where there is no number."""
    ax.set_facecolor(ratio(PAPER))
    for source in range(len(course.names)):
        values = course.matrices[:, source, target]
        known = np.isfinite(np.concatenate([[np.nan], values, [np.nan]]))
        alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])  # points that no line reaches
        own = source == target
        style = {**_line(source), "linewidth": 3.2 if own else 1.8, "zorder": 4 if own else 3}
        ax.plot(course.steps, values, marker="o", markersize=5, markevery=alone.tolist(), **style)
    known_values = course.matrices[np.isfinite(course.matrices)]
    low = max(scale.low, known_values.min(initial=0.0))  # a signed scale may reach far below the lowest line
    pad = 0.05 * (scale.high - low)
    ends = course.steps[[0, -1]] if len(course.steps) > 1 else course.steps[[0, 0]] + (-1, 1)
    room = 0.03 * (ends[1] - ends[0])
    ax.set(xlim=(ends[0] - room, ends[1] + room), ylim=(low - pad, scale.high + pad))
    if len(course.steps) > 1:
        ax.xaxis.set_major_locator(ticks(3, whole=True))
    else:
        ax.set_xticks(course.steps)
    ax.yaxis.set_major_locator(ticks(4))
    ax.ticklabel_format(style="plain", useOffset=False, axis="x")
    ax.grid(color=ratio(RULE), linewidth=1)
    if scale.low < 0:
        ax.axhline(0, color=ratio(MUTED), linewidth=1)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set(visible=side in ("left", "bottom"), color=ratio(MUTED))
    ax.tick_params(labelsize=11, length=3, color=ratio(MUTED), labelcolor=ratio(MUTED))
