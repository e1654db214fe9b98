"""How a matrix came about over training: a plot per target with a line per source, above matrices of some moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.tasks.spec import Colour
from vtadapt.viz.matrices import page
from vtadapt.viz.matrices.heatmap import heatmaps, numbers_of
from vtadapt.viz.matrices.matrix import Scale, scale_of
from vtadapt.viz.style import MUTED, PAPER, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL, NAME = 12, 15  # sizes of type
PLOT = 250, 180  # width and height of one plot with what stands around it
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


def evolution(
    steps: Any,
    matrices: Any,
    names: Sequence[str],
    *,
    title: str = "",
    footer: str = "",
) -> np.ndarray:
    """Draw how a matrix changed over training: (H, W, 3) uint8 RGB.

    ``steps`` (n,) are the moments, rising, and ``matrices`` (n, T, T) the matrix at each, None or NaN where there is no
    number, which leaves a gap. One plot per target shows one line per source, that of the target itself drawn
    thicker; all share their axes. Below stand up to six of the matrices, evenly spaced over the moments, the first
    and the last among them, on one colour scale. Raises ValueError for shapes that do not fit and for no moment.
    """
    moments = np.asarray(steps, dtype=np.float64).reshape(-1)
    stack = np.asarray(matrices, dtype=np.float64)
    wanted = (len(moments), len(names), len(names))
    if not len(moments) or not names or stack.shape != wanted:
        raise ValueError(f"matrices must be (n, T, T) with n >= 1 steps and T >= 1 names, found {stack.shape} {wanted}")
    if not np.isfinite(moments).all() or (np.diff(moments) <= 0).any():
        raise ValueError(f"steps must rise from one to the next, found {moments.tolist()}")
    scale = scale_of([numbers_of(matrix, names, "matrix") for matrix in stack])
    chosen = sorted({round(i) for i in np.linspace(0, len(moments) - 1, min(len(moments), 6))})
    panels = [(f"step {moments[i]:g}", stack[i]) for i in chosen]
    parts = [
        _lines(moments, stack, names, title, scale),
        heatmaps(panels, names, footer=footer, limits=(scale.low, scale.high))[page.MARGIN :],
    ]
    width = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in parts]
    return np.concatenate(padded)


def _lines(steps: np.ndarray, stack: np.ndarray, names: Sequence[str], title: str, scale: Scale) -> np.ndarray:
    """Draw a plot per target, up to five in a row, or as many as leave the fewest places of the last row empty."""
    from matplotlib.lines import Line2D

    count = len(names)
    columns = count if count <= 5 else min((5, 4, 3), key=lambda columns: (-count % columns, -columns))
    rows = -(-count // columns)
    with page.plain_look():
        samples = [Line2D([], [], label=page.one_line(name), **_style(source)) for source, name in enumerate(names)]
        key = max(page.text_width(str(sample.get_label()), SMALL) for sample in samples)
        figure = page.new_figure(columns * PLOT[0] + max(key + 60, 220), rows * PLOT[1] + 40, title)
        axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
        for target, ax in enumerate(axes[:count]):
            _draw_lines(ax, steps, stack[:, :, target], target, scale)
            ax.set_title(
                page.filled(f"target {names[target]}", 1.2 * NAME, PLOT[0] - 30),
                loc="left",
                fontsize=NAME,
                fontweight="bold",
            )
        for ax in axes[count:]:
            ax.remove()
        # One scale for all: a signed one may reach far below the lowest line.
        low = max(scale.low, stack[np.isfinite(stack)].min(initial=0.0))
        pad = 0.05 * (scale.high - low)
        axes[0].set_ylim(low - pad, scale.high + pad)
        figure.supxlabel("step", fontsize=SMALL, color=page.ratio(MUTED))
        figure.supylabel("affinity", fontsize=SMALL, color=page.ratio(MUTED))
        page.add_legend(
            figure, "outside right upper", SMALL, handles=samples, title="source (thick: the target itself)"
        )
        return page.picture(figure)


def _style(source: int) -> dict[str, Any]:
    """Return colour and dashes of a source's line."""
    colour, dashes = LINES[source % len(LINES)], DASHES[source // len(LINES) % len(DASHES)]
    return {"color": page.ratio(colour), "linestyle": dashes, "linewidth": 1.8, "zorder": 3}


def _draw_lines(ax: Axes, steps: np.ndarray, values: np.ndarray, target: int, scale: Scale) -> None:
    """Draw the values (n, T) of one target over the steps: a line per source, gaps where there is no number."""
    from matplotlib.ticker import MaxNLocator

    for source, line in enumerate(values.T):
        known = np.isfinite(np.concatenate([[np.nan], line, [np.nan]]))
        alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])  # points that no line reaches
        own = {"linewidth": 3.2, "zorder": 4} if source == target else {}
        style = {**_style(source), **own}
        ax.plot(steps, line, marker="o", markersize=5, markevery=alone.tolist(), **style)
    ends = steps[[0, -1]] if len(steps) > 1 else steps[[0, 0]] + (-1, 1)
    room = 0.03 * (ends[1] - ends[0])
    ax.set(xlim=(ends[0] - room, ends[1] + room), facecolor=page.ratio(PAPER))
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10], integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    ax.ticklabel_format(style="plain", useOffset=False, axis="x")
    ax.grid(color=page.ratio(RULE), linewidth=1)
    if scale.low < 0:
        ax.axhline(0, color=page.ratio(MUTED), linewidth=1)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(page.ratio(MUTED))
    ax.tick_params(labelsize=11, length=3, color=page.ratio(MUTED), labelcolor=page.ratio(MUTED))
