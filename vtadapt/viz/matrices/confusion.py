"""A confusion matrix as a picture: what each class is taken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vtadapt.viz.matrices.page import (
    NOTE,
    add_legend,
    filled,
    new_figure,
    one_line,
    picture,
    plain_look,
    ratio,
    text_width,
)
from vtadapt.viz.style import INK, MUTED, PAPER

WRITTEN = 24  # classes up to which cells have numbers
DARK = 0.55  # share from which on numbers are white


def confusion_picture(counts: NDArray[np.integer], names: Sequence[str], title: str, footer: str) -> NDArray[np.uint8]:
    """Draw a matrix of pixels (K, K), truth down and prediction across, as shares of each row: (H, W, 3) uint8 RGB.

    Rows of classes without a pixel are left out, and so are columns of those that are never predicted either.
    """
    counts = np.asarray(counts)
    rows, columns = np.flatnonzero(counts.sum(1)), np.flatnonzero(counts.sum(1) + counts.sum(0))
    rows, columns = (each if len(rows) else np.arange(len(counts)) for each in (rows, columns))
    shares = counts[np.ix_(rows, columns)] / np.maximum(counts[rows].sum(1, keepdims=True), 1)
    cell = min(max(round(900 / max(len(columns), 1)), 9), 64)
    with plain_look():
        size = min(max(round(cell * 0.32), 7), 13)
        down, across = ([one_line(names[int(i)]) for i in each] for each in (rows, columns))
        room = max((text_width(label, size) for label in (*down, *across)), default=0)
        figure = new_figure(room + cell * len(columns) + 150, room + cell * len(rows) + 120, title, compress=True)
        ax = figure.subplots()
        ax.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="equal", interpolation="nearest")
        ax.set_xticks(range(len(columns)), across, rotation=90, fontsize=size)
        ax.set_yticks(range(len(rows)), down, fontsize=size)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.tick_params(length=0)
        ax.set_xlabel("prediction", fontsize=size + 1, color=ratio(MUTED), loc="left")
        ax.set_ylabel("truth", fontsize=size + 1, color=ratio(MUTED))
        ax.spines[:].set_visible(False)
        if len(columns) <= WRITTEN:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    colour = ratio(PAPER if share > DARK else INK)
                    ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=size, color=colour)
        text = filled(footer, NOTE, figure.bbox.width)
        if text:
            add_legend(figure, "outside lower left", NOTE, handles=[], title=text.strip())
        return picture(figure)
