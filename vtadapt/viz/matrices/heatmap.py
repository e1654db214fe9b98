"""Matrices of task affinities as pictures: a heat map, and many on one scale.

Rows are sources and columns targets, everywhere. Every picture is (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.viz.matrices.matrix import FRAME, UNMEASURED, Block, Scale, draw_cells, scale_of
from vtadapt.viz.matrices.page import (
    NOTE,
    PAD,
    add_legend,
    filled,
    new_figure,
    one_line,
    picture,
    plain_look,
    ratio,
    text_width,
)
from vtadapt.viz.style import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def heatmap(
    matrix: Any,
    names: Sequence[str],
    *,
    error: Any = None,
    marked: Any = None,
    title: str = "",
    footer: str = "",
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw one matrix (T, T), sources down and targets across, with its values: (H, W, 3) uint8 RGB.

    ``names`` are the T task names. ``error`` (T, T) is written as +- below the value, in small print; ``marked``
    (T, T, True where a value is not told apart from noise) frames a cell with dashes, and a line below says so. A
    value that is None or NaN is an empty grey cell with a dash. ``limits`` are the ends of the scale: by default 0 to
    1, or to the largest value if that is more; with a negative value in the matrix (or a negative limit) the scale is
    symmetric about 0 and reaches the larger of the two limits, by default the largest value. What lies beyond gets
    the colour of the end, and the bar a tip.

    Raises ValueError for a shape that does not fit, and for limits that are no range.
    """
    block = Block("", numbers_of(matrix, names, "matrix"))
    if error is not None:
        block = replace(block, error=numbers_of(error, names, "error"))
    if marked is not None:
        block = replace(block, marked=numbers_of(marked, names, "marked") == 1)
    cell = min(max(round(860 / len(names)), 56), 116)
    return _picture([block], names, cell, title, footer, scale_of([block.values], limits))


def heatmaps(
    panels: Sequence[tuple[str, Any]],
    names: Sequence[str],
    *,
    title: str = "",
    footer: str = "",
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw several matrices (T, T), each with a caption, small and on one colour scale: (H, W, 3) uint8 RGB.

    ``panels`` are pairs of caption and matrix, e.g. one per block of the network, in reading order; the rest is as in
    ``heatmap``. Values are written where the cells are large enough, up to about twelve tasks. Raises ValueError where
    there is no panel, and as ``heatmap`` does.
    """
    if not panels:
        raise ValueError("panels must hold at least one pair of caption and matrix, found none")
    blocks = [Block(caption, numbers_of(matrix, names, f"matrix {caption!r}")) for caption, matrix in panels]
    cell = min(max(round(330 / len(names)), 15), 72)
    return _picture(blocks, names, cell, title, footer, scale_of([b.values for b in blocks], limits))


def numbers_of(matrix: Any, names: Sequence[str], what: str) -> np.ndarray:
    """Return a matrix as float64 (T, T), NaN where there is no number; ValueError for another shape."""
    values = np.asarray(matrix, dtype=np.float64)
    if not names or values.shape != (len(names), len(names)):
        raise ValueError(f"{what} must be (T, T) for T >= 1 names, found {values.shape} for {len(names)} names")
    return np.where(np.isfinite(values), values, np.nan)


def _picture(
    blocks: Sequence[Block], names: Sequence[str], cell: int, title: str, footer: str, scale: Scale
) -> np.ndarray:
    """Draw blocks in reading order, in rows of about a page's width, with one colour bar."""
    from matplotlib.ticker import MaxNLocator

    count, span = len(blocks), cell * len(names)
    columns = max(1, min(count, 3 if count in (3, 5, 6, 9) else 4, 1500 // (span + 2 * PAD)))
    rows = -(-count // columns)
    with plain_look():
        size = min(max(round(cell * 0.17), 10), 17)
        labels = [one_line(name) for name in names]
        room = max(text_width(label, size) for label in labels)
        turned = room > cell - 6
        above = (room if turned else size) + 5 * size
        width = 3 * size + room + columns * (span + 2 * PAD) + 90
        figure = new_figure(width, rows * (above + span + 2 * PAD) + 60, title, compress=True)
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for ax, block in zip(axes, blocks, strict=False):
            draw_cells(ax, block, cell, scale)
            _name(ax, labels, size, turned, first=ax.get_subplotspec().is_first_col())
            ax.set_title(filled(block.caption, size + 1, span), loc="left", fontsize=size + 1, fontweight="bold")
        for ax in axes[count:]:
            ax.remove()
        bar = figure.colorbar(scale.mappable(), ax=axes[:count], extend=scale.extend, aspect=28, pad=0.02)
        bar.locator = MaxNLocator(6 if span > 200 else 3, steps=[1, 2, 2.5, 5, 10])
        bar.update_ticks()
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=12, length=3, color=ratio(MUTED), labelcolor=ratio(MUTED))
        _explain(figure, blocks, footer)
        return picture(figure)


def _name(ax: Axes, labels: Sequence[str], size: float, turned: bool, *, first: bool) -> None:
    """Write the tasks around the cells: targets above, sources at the left of the first matrix of a row."""
    middles = np.arange(len(labels)) + 0.5
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xticks(middles, labels, fontsize=size, rotation=90 if turned else 0)
    ax.set_yticks(middles, labels if first else [""] * len(labels), fontsize=size)
    ax.tick_params(length=0, pad=6)
    ax.set_xlabel("target", fontsize=size, color=ratio(MUTED), loc="left", labelpad=6)
    if first:
        ax.set_ylabel("source", fontsize=size, color=ratio(MUTED))


def _explain(figure: Figure, blocks: Sequence[Block], footer: str) -> None:
    """Say below the matrices what they were measured on, and what is seen in them."""
    from matplotlib.patches import Patch

    text = filled(footer, NOTE, figure.bbox.width)
    if any(block.error is not None and np.isfinite(block.values + block.error).any() for block in blocks):
        text += "\nSmall print: standard error."
    samples = []
    if any(block.marked is not None and block.marked.any() for block in blocks):
        samples.append(Patch(label="not told apart from noise", edgecolor=ratio(INK), **FRAME))
    if any(np.isnan(block.values).any() for block in blocks):
        samples.append(Patch(label="not measured", facecolor=ratio(UNMEASURED)))
    if text or samples:
        add_legend(figure, "outside lower left", NOTE, handles=samples, title=text.strip())
