"""Pictures put together on paper: below each other, side by side, and in as many lines as it takes.

Every function takes and returns (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtadapt.viz.style import PAPER


def stacked(parts: Sequence[np.ndarray], width: int, gap: int = 6) -> np.ndarray:
    """Pictures below each other, flush left, on paper ``width`` wide (or as wide as the widest)."""
    width = max([width, *(part.shape[1] for part in parts)])
    height = sum(part.shape[0] for part in parts) + gap * (len(parts) - 1)
    page = np.full((max(height, 1), width, 3), PAPER, np.uint8)
    top = 0
    for part in parts:
        page[top : top + part.shape[0], : part.shape[1]] = part
        top += part.shape[0] + gap
    return page


def beside(parts: Sequence[np.ndarray], width: int, gap: int = 36) -> np.ndarray:
    """Pictures side by side as far as ``width`` goes, then in further lines."""
    lines: list[list[np.ndarray]] = []
    left = 0
    for part in parts:
        if not lines or left + part.shape[1] > width:
            lines.append([])
            left = 0
        lines[-1].append(part)
        left += part.shape[1] + gap
    return stacked([in_line(line, gap) for line in lines], width, 18)


def in_line(parts: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Pictures side by side, level at their tops."""
    height, across = max(p.shape[0] for p in parts), sum(p.shape[1] for p in parts) + gap * (len(parts) - 1)
    page = np.full((height, across, 3), PAPER, np.uint8)
    left = 0
    for part in parts:
        page[: part.shape[0], left : left + part.shape[1]] = part
        left += part.shape[1] + gap
    return page
