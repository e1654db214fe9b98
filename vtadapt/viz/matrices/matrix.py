"""How a matrix of tasks is drawn into axes: colours of numbers, cells, and what is written in them.

Rows are sources and columns targets, everywhere. Colours run from orange-red (harm) over near-white (0) to blue
(help), which readers with any of the common kinds of colour blindness tell apart; a matrix without negative numbers
uses the upper half, so that a number has one colour in both. ``heatmap`` puts pictures together from this.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.tasks.spec import Colour
from vtadapt.viz.matrices.page import ratio, text_width
from vtadapt.viz.style import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

UNMEASURED: Colour = (176, 180, 186)
INKS: tuple[Colour, Colour] = ((20, 24, 30), (255, 255, 255))
FRAME: dict[str, Any] = {"fill": False, "linewidth": 1.4, "linestyle": (0, (3, 2.2))}  # of marked cells


@dataclass(frozen=True)
class Block:
    """One matrix to draw, checked: float64 (T, T), and what goes with it."""

    caption: str
    values: np.ndarray
    error: np.ndarray | None = None
    marked: np.ndarray | None = None


@dataclass(frozen=True)
class Scale:
    """Values to colours: from ``low`` to ``high``; ``extend`` says at which ends values lie beyond."""

    low: float
    high: float
    extend: str

    def mappable(self) -> ScalarMappable:
        """Return the map as matplotlib has it."""
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize

        table = colormaps["RdBu"](np.linspace(0.5 if self.low >= 0 else 0.0, 1.0, 256))
        return ScalarMappable(Normalize(self.low, self.high, clip=True), ListedColormap(table))


def scale_of(matrices: Sequence[np.ndarray], limits: tuple[float, float] | None = None) -> Scale:
    """Choose the scale of matrices that are drawn together; ``limits`` as in ``heatmap``."""
    values = np.concatenate([m[np.isfinite(m)] for m in matrices])
    least, most = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if limits is not None:
        low, high = float(limits[0]), float(limits[1])
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"limits must be two finite numbers, the lower first, found {limits}")
        if low < 0 or least < 0:
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    elif least < 0:
        high = max(-least, most)
        low = -high
    else:
        low, high = 0.0, max(most, 1.0)
    beyond = least < low, most > high
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    return Scale(low, high, extend)


def draw_cells(ax: Axes, block: Block, cell: float, scale: Scale) -> None:
    """Fill axes with the cells of a block, about ``cell`` pixels each: their colours, values, errors and marks.

    A number is left out where it would be too small to be read.
    """
    from matplotlib.patches import Rectangle

    colours = scale.mappable().to_rgba(np.nan_to_num(block.values))[..., :3]
    colours[np.isnan(block.values)] = ratio(UNMEASURED)
    ax.pcolormesh(colours, edgecolors=[ratio(PAPER)], linewidth=2)
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    values = {place: number_text(value, scale.high) for place, value in _known(block.values)}
    errors = {}
    if block.error is not None:
        known = _known(np.where(np.isnan(block.values), np.nan, abs(block.error)))
        errors = {place: "±" + number_text(value, scale.high, least=True) for place, value in known}
    size, small = _fitting(values.values(), 0.2, cell), _fitting(errors.values(), 0.13, cell)
    inset = max(4.5 / cell, 0.055)
    for s, t in np.ndindex(block.values.shape):
        ink = ink_on(colours[s, t])
        middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": ink, "in_layout": False}
        lift = 0.13 if (s, t) in errors and size and small else 0.0
        if (s, t) not in values:
            ax.text(t + 0.5, s + 0.5, "–", fontsize=max(size, 9), **middle)
        elif size:
            ax.text(t + 0.5, s + 0.5 - lift, values[s, t], fontsize=size, **middle)
        if lift:
            ax.text(t + 0.5, s + 0.69, errors[s, t], fontsize=small, **middle)
        if block.marked is not None and block.marked[s, t]:
            side = 1 - 2 * inset
            ax.add_patch(Rectangle((t + inset, s + inset), side, side, edgecolor=ink, **FRAME))


def _known(values: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """The numbers of a matrix that are there, with their places."""
    return [(place, float(value)) for place, value in np.ndenumerate(values) if not np.isnan(value)]


def _fitting(texts: Iterable[str], share: float, cell: float) -> float:
    """Return the size of type, at most this share of a cell, at which all texts fit into it; 0 if below 9."""
    size = min(max(share * cell, 9 if share < 0.2 else 11), 105 * share)
    longest = max(texts, key=len, default="")
    size = min(size, size * (cell - 8) / max(text_width(longest, size), 1))
    return size if size >= 9 else 0


def number_text(value: float, bound: float, *, least: bool = False) -> str:
    """Write a number of a picture whose numbers reach ``bound``: two to three digits; ``least`` shows one if tiny."""
    decimals = 2 - math.floor(math.log10(bound))
    if not 0 <= decimals <= 4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    text = f"{value:.{min(decimals, 3)}f}"
    if float(text) == 0:
        return f"{value:.1g}".replace("e-0", "e-") if least and value else text.removeprefix("-")
    return text


def ink_on(colour: np.ndarray) -> tuple[float, float, float]:
    """Return the ink, dark or white, with the higher contrast (WCAG 2 relative luminance) on a colour 0..1."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    # Contrast is (lighter + 0.05) / (darker + 0.05): for these two inks both are the same at a luminance of 0.2.
    return ratio(INKS[0] if linear @ (0.2126, 0.7152, 0.0722) >= 0.2 else INKS[1])
