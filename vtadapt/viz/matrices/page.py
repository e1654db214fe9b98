"""How matplotlib is used here: a figure whose layout it makes itself, and the figure as an array.

matplotlib is imported when the first picture is made, and only through its object API: no window, no global figure, and
none of the settings of a user's matplotlibrc.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vtadapt.errors import printable
from vtadapt.tasks.spec import Colour
from vtadapt.viz.style import INK, MUTED, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 72  # a point of matplotlib is then a pixel
MARGIN = 28  # pixels around a picture
TITLE, NOTE = 20, 13  # sizes of type
PAD = 10  # pixels around axes and their names
MIN_WIDTH = 420  # of what a title and a note may use


@contextlib.contextmanager
def plain_look() -> Iterator[None]:
    """Draw with matplotlib's own defaults, and let a letter that its font lacks be a box rather than a warning.

    Names are data: a dollar sign in them starts no formula.
    """
    import matplotlib.style

    colours = {f"{key}color": ratio(INK) for key in ("text.", "axes.label", "xtick.label", "ytick.label")}
    with matplotlib.style.context(["default", {"text.parse_math": False, **colours}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def ratio(colour: Colour) -> tuple[float, float, float]:
    """Return a colour 0..255 as matplotlib wants it, 0..1."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def text_width(text: str, size: float) -> float:
    """Pixels that one line of text takes."""
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=size).get_extents().width) if text.strip() else 0.0


def one_line(name: str, most: int = 40) -> str:
    """Return a name on one line; a very long one is cut in its middle, as names that differ do so at their ends."""
    text = printable(" ".join(name.split()))
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"


def filled(text: str, size: float, width: float) -> str:
    """Break text into lines of about ``width`` pixels, by the mean width of a letter."""
    return "\n".join(textwrap.fill(line, max(8, int(width / (0.56 * size)))) for line in text.splitlines())


def new_figure(width: float, height: float, title: str, *, compress: bool = False) -> Figure:
    """Return an empty figure of about this size in pixels, below its title; ``compress`` for axes of one aspect."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width = max(width, MIN_WIDTH)
    title = filled(title, TITLE, width)
    height += 1.3 * TITLE * len(title.splitlines())
    layout = ConstrainedLayoutEngine(w_pad=PAD / DPI, h_pad=PAD / DPI, compress=compress)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=ratio(PAPER), layout=layout)
    if title:
        figure.suptitle(title, x=0, ha="left", fontsize=TITLE)
    return figure


def add_legend(figure: Figure, place: Any, size: float, **content: Any) -> None:
    """Write a legend outside of all axes; ``place`` and ``content`` are "loc" and other arguments of Figure.legend."""
    look: dict[str, Any] = {"frameon": False, "alignment": "left", "borderpad": 0, "borderaxespad": 0, **content}
    legend = figure.legend(loc=place, fontsize=size, title_fontsize=size, **look)
    legend.get_title().set_color(ratio(MUTED))


def picture(figure: Figure) -> np.ndarray:
    """Draw everything and a margin around it: (H, W, 3) uint8 RGB."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out; savefig would do so again
    for legend in figure.legends:  # else it would stay at the edge of the page while that is cut to what is drawn
        legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=MARGIN / DPI)
    return np.array(Image.open(buffer).convert("RGB"))
