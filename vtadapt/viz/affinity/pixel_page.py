"""A page laid out in pixels and drawn by matplotlib: text that is measured first, axes where one wants them.

matplotlib is imported when the first page is made, and only through its object API: no window, no global figure, and
none of the settings of a user's matplotlibrc.
"""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.tasks.spec import Colour
from vtadapt.viz.style import INK, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 72  # a point of matplotlib is then a pixel


@contextlib.contextmanager
def plain_look() -> Iterator[None]:
    """Draw with matplotlib's own defaults, and let a letter that its font lacks be a box rather than a warning."""
    import matplotlib.style

    with matplotlib.style.context("default"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def ratio(colour: Colour) -> tuple[float, float, float]:
    """Return a colour 0..255 as matplotlib wants it, 0..1."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def line_step(size: float) -> int:
    """Pixels from one line of text to the next."""
    return round(1.35 * size)


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> int:
    """Pixels that one line of text takes."""
    from matplotlib.font_manager import FontProperties

    width, _, _ = _ruler().get_text_width_height_descent(text, FontProperties(size=size), False)
    return math.ceil(width)


@functools.cache
def _ruler() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)


def wrapped(text: str, size: float, width: int) -> list[str]:
    """Break text at spaces into lines of at most ``width`` pixels; a longer word is cut short in its middle."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size) > width:
                lines.append(shortened(line, size, width))
                line = word
            else:
                line = longer
        lines.append(shortened(line, size, width))
    return lines


def shortened(text: str, size: float, width: int) -> str:
    """Cut one line out of its middle to fit ``width`` pixels: names that differ do so at their ends."""
    text = " ".join(text.split())
    kept = len(text)
    short = text
    while kept > 1 and text_width(short, size) > width:
        kept -= 1
        short = f"{text[: kept - kept // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return short


class Page:
    """A page of a given size; places count in pixels from the top left corner."""

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=ratio(PAPER))
        self._canvas = FigureCanvasAgg(self.figure)

    def text(self, x: float, y: float, text: str, size: float, **how: Any) -> None:
        """Write text with its anchor at (x, y), by default the left end of its top; ``how`` as for Figure.text."""
        how = {"ha": "left", "va": "top", "color": ratio(INK), "parse_math": False, **how}
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, **how)

    def lines(self, x: float, y: float, lines: list[str], size: float, colour: Colour) -> float:
        """Write lines below each other and return where the next would start."""
        for line in lines:
            self.text(x, y, line, size, color=ratio(colour))
            y += line_step(size)
        return y

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes that cover this box."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)

    def picture(self) -> np.ndarray:
        """Draw everything: (H, W, 3) uint8 RGB."""
        self._canvas.draw()
        return np.ascontiguousarray(np.asarray(self._canvas.buffer_rgba())[..., :3])
