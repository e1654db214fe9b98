"""The look of a drawn page: its colours, and text that is measured, broken and drawn.

Every picture in ``vtadapt.viz`` is a numpy array (H, W, 3), uint8, RGB.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vtadapt.errors import printable_lines
from vtadapt.tasks.spec import Colour

PAPER: Colour = (255, 255, 255)
INK: Colour = (24, 28, 34)
MUTED: Colour = (102, 110, 120)  # of small print
RULE: Colour = (222, 226, 231)  # of hairlines
MATTE: Colour = (239, 241, 244)  # behind a picture that does not fill its place

# Signs that the built-in font lacks and that captions use.
_SPELLED = {"–": "-", "—": "-", "−": "-", "×": "x", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≈": "~"}
_SPELLED |= {"↑": "(higher is better)", "↓": "(lower is better)"}
_SPELLED |= {"Δ": "Delta", "δ": "delta", "σ": "sigma", "θ": "theta", "µ": "u", "μ": "mu"}


@dataclass(frozen=True)
class Text:
    """Text broken into lines, ready to draw at a size in pixels."""

    lines: tuple[str, ...]
    size: int

    @property
    def height(self) -> int:
        """Pixels from the top of the first line to the bottom of the last."""
        return len(self.lines) * line_height(self.size)

    @property
    def width(self) -> int:
        """Pixels of the longest line."""
        return max((_width(line, self.size) for line in self.lines), default=0)

    def draw(self, canvas: Image.Image, left: int, top: int, colour: Colour) -> None:
        """Draw the lines, flush left, with the top left corner at (left, top)."""
        for i, line in enumerate(self.lines):
            place = (left, top + i * line_height(self.size))
            ImageDraw.Draw(canvas).text(place, line, fill=colour, font=_font(self.size))

    def image(self, colour: Colour = INK) -> Image.Image:
        """Draw the lines on paper just large enough."""
        canvas = Image.new("RGB", (max(self.width, 1), max(self.height, 1)), PAPER)
        self.draw(canvas, 0, 0, colour)
        return canvas


def typeset(text: str, size: int, width: int, lines: int) -> Text:
    """Break text at spaces into at most ``lines`` lines of ``width`` pixels; what does not fit ends in an ellipsis."""
    broken: list[str] = []
    for paragraph in _drawable(printable_lines(text)).splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and _width(longer, size) > width:
                broken.append(line)
                line = word
            else:
                line = longer
        broken.append(line)
    if len(broken) > lines:
        broken = [*broken[: lines - 1], " ".join(broken[lines - 1 :])]
    return Text(tuple(_shortened(line, size, width) for line in broken), size)


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return round(1.3 * size)


def _shortened(line: str, size: int, width: int) -> str:
    if _width(line, size) <= width:
        return line
    while line and _width(line + "…", size) > width:
        line = line[:-1]
    return line.rstrip() + "…"


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _width(line: str, size: int) -> int:
    return int(np.ceil(_font(size).getlength(line)))


def _drawable(text: str) -> str:
    """Replace what Pillow's built-in font lacks: accents are dropped, a few signs spelled; the rest shows as a box."""
    return "".join(char if char.isspace() or _has_glyph(char) else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    if char in _SPELLED:
        return _SPELLED[char]
    plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return plain or char


@functools.cache
def _has_glyph(char: str) -> bool:
    unassigned = chr(0x10FFFF)
    return bytes(_font(32).getmask(char)) != bytes(_font(32).getmask(unassigned))
