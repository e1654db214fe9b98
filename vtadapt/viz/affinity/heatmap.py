"""Matrices of task affinities as pictures: a heat map, many on one scale, and the course over training.

Rows are sources and columns targets, everywhere. Every picture is (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vtadapt.viz.affinity.evolution import Course, draw_course
from vtadapt.viz.affinity.matrix import (
    MARGIN,
    UNMEASURED,
    Block,
    Plan,
    Scale,
    draw_blocks,
    plan_blocks,
    plan_small,
    scale_of,
)
from vtadapt.viz.affinity.pixel_page import Page, line_step, plain_look, ratio, wrapped
from vtadapt.viz.style import INK, MUTED

MIN_WIDTH = 420  # of what a title and a note may use
TITLE, NOTE, FOOTER = 20, 13, 12  # sizes of type


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
    block = Block("", _numbers(matrix, names, "matrix"))
    if error is not None:
        block = replace(block, error=_numbers(error, names, "error"))
    if marked is not None:
        block = replace(block, marked=_numbers(marked, names, "marked") == 1)
    with plain_look():
        cell = min(max(round(860 / len(names)), 56), 116)
        plan = plan_blocks(names, cell, 1)
        return _picture([block], plan, _Head(title, footer), scale_of([block.values], limits))


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
    blocks = [Block(caption, _numbers(matrix, names, f"matrix {caption!r}")) for caption, matrix in panels]
    with plain_look():
        plan = plan_small(names, len(blocks))
        return _picture(blocks, plan, _Head(title, footer), scale_of([b.values for b in blocks], limits))


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
    chosen = sorted({round(i) for i in np.linspace(0, len(moments) - 1, min(len(moments), 6))})
    blocks = [Block(f"step {moments[i]:g}", _numbers(stack[i], names, "matrix")) for i in chosen]
    course = Course(moments, stack, tuple(names))
    with plain_look():
        scale = scale_of([_numbers(matrix, names, "matrix") for matrix in stack])
        return _picture(blocks, plan_small(names, len(blocks)), _Head(title, footer, course), scale)


def _numbers(matrix: Any, names: Sequence[str], what: str) -> np.ndarray:
    """Return a matrix as float64 (T, T), NaN where there is no number; ValueError for another shape."""
    values = np.asarray(matrix, dtype=np.float64)
    if not names or values.shape != (len(names), len(names)):
        raise ValueError(f"{what} must be (T, T) for T >= 1 names, found {values.shape} for {len(names)} names")
    return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True)
class _Head:
    """What stands around the matrices of a picture."""

    title: str
    footer: str
    course: Course | None = None


def _notes(blocks: Sequence[Block]) -> list[tuple[str, str]]:
    """Return the lines that explain what is seen: the kind of its sample, and the words."""
    notes = []
    if any(block.error is not None and np.isfinite(block.values + block.error).any() for block in blocks):
        notes.append(("", "Small print: standard error."))
    if any(block.marked is not None and block.marked.any() for block in blocks):
        notes.append(("frame", "Dashed frame: not told apart from noise."))
    if any(np.isnan(block.values).any() for block in blocks):
        notes.append(("grey", "Grey with a dash: not measured."))
    return notes


def _draw_note(page: Page, top: float, kind: str, words: str) -> None:
    """Write one such line, behind a sample of what it explains."""
    from matplotlib.patches import Rectangle

    if kind:
        ax = page.axes(MARGIN, top, 18, 14)
        ax.axis("off")
        ax.set(xlim=(0, 18), ylim=(0, 14))
        box = Rectangle((1, 1), 16, 12, facecolor=ratio(UNMEASURED), linewidth=0)
        if kind == "frame":
            box = Rectangle((1, 1), 16, 12, fill=False, edgecolor=ratio(INK), linewidth=1.4)
            box.set_linestyle((0, (3, 2.2)))
        ax.add_patch(box)
    page.text(MARGIN + (26 if kind else 0), top, words, NOTE, color=ratio(MUTED))


def _picture(blocks: Sequence[Block], plan: Plan, head: _Head, scale: Scale) -> np.ndarray:
    """Put title, lines, blocks, notes and footer below each other."""
    width = max(plan.width(len(blocks)), MIN_WIDTH, head.course.width if head.course else 0)
    title, footer = wrapped(head.title, TITLE, width), wrapped(head.footer, FOOTER, width)
    notes = _notes(blocks)
    top = MARGIN + len(title) * line_step(TITLE) + (12 if title else 0)
    middle = top + (head.course.height(width) if head.course else 0)
    below = middle + plan.height(blocks) + (18 if notes or footer else 0)
    end = below + len(notes) * line_step(NOTE) + (8 if notes and footer else 0)
    page = Page(width + 2 * MARGIN, end + len(footer) * line_step(FOOTER) + MARGIN)
    page.lines(MARGIN, MARGIN, title, TITLE, INK)
    if head.course:
        draw_course(page, top, head.course, scale)
    draw_blocks(page, middle, blocks, plan, scale)
    for i, (kind, words) in enumerate(notes):
        _draw_note(page, below + i * line_step(NOTE), kind, words)
    page.lines(MARGIN, end, footer, FOOTER, MUTED)
    return page.picture()
