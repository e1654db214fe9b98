"""What stands above and below the cells of a video's frames; drawn once, since it is the same in all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vtadapt.viz.style import PAPER, line_height, typeset

SIZE = 15  # of the names, in pixels
PAD = 6


def frame_strips(
    names: Sequence[str], strips: Sequence[Callable[[int], np.ndarray]], cell_width: int
) -> tuple[np.ndarray, np.ndarray]:
    """What stands above and below cells that stand side by side: their names, and ``strips`` as wide as all of them."""
    return name_strip(names, cell_width), strips_below(strips, len(names) * cell_width)


def name_strip(names: Sequence[str], cell_width: int) -> np.ndarray:
    """Return the names of cells that stand side by side, each ``cell_width`` wide: (H, N x cell_width, 3) uint8 RGB."""
    height = line_height(SIZE) + 2 * PAD
    strip = np.empty((height, cell_width * len(names), 3), np.uint8)
    strip[:] = PAPER
    for i, name in enumerate(names):
        room = max(cell_width - 2 * PAD, 1)
        text = np.asarray(typeset(name, SIZE, room, 1).image())[: height - PAD, :room]
        left = i * cell_width + min(PAD, cell_width - 1)
        part = strip[PAD : PAD + text.shape[0], left : (i + 1) * cell_width]
        part[:, : text.shape[1]] = text[:, : part.shape[1]]
    return strip


def strips_below(strips: Sequence[Callable[[int], np.ndarray]], width: int) -> np.ndarray:
    """Return strips (functions from a width to a picture, as for ``panel``) below each other: (H, width, 3).

    H is 0 where there is none.
    """
    parts = [np.empty((0, width, 3), np.uint8)]
    for strip in strips:
        picture = strip(max(width - 2 * PAD, 1))
        part = np.empty((picture.shape[0] + 2 * PAD, width, 3), np.uint8)
        part[:] = PAPER
        left = min(PAD, width - 1)
        room = width - left
        part[PAD:-PAD, left : left + picture.shape[1]] = picture[:, :room]
        parts.append(part)
    return np.concatenate(parts, axis=0)
