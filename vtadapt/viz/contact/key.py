"""What explains the colours of a contact sheet: classes, scales, a sphere for directions, and what is missing.

Every function draws on paper of at most the given width and returns (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from vtadapt.tasks.colour.void import striped
from vtadapt.tasks.spec import Colour
from vtadapt.viz.arranged import beside, in_line, stacked
from vtadapt.viz.keys import colour_bar, legend
from vtadapt.viz.style import INK, MUTED, PAPER, Text, line_height, typeset

Paint = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) float32 unit vectors, or (1, N) values -> uint8 RGB of that height and width."""

SIZE = 15  # of text, in pixels
FORBIDDEN: Colour = (255, 0, 200)  # values that must not be; no map and no palette comes near it
ALARM: Colour = (214, 24, 34)
BAR_WIDTH = 420
SPHERE = 150
CLASSES = 40  # in a legend
DIRECTIONS: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("faces up", "floor, table top", (0, -1, 0)),
    ("faces down", "ceiling", (0, 1, 0)),
    ("faces you", "wall straight ahead", (0, 0, -1)),
    ("faces right", "wall at the left", (1, 0, 0)),
    ("faces left", "wall at the right", (-1, 0, 0)),
    ("faces away", "never seen", (0, 0, 1)),
)
"""Words, examples and vectors, in axes with +x right, +y down, +z away from the camera."""

_NAMED: dict[str, Colour] = {
    "black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (220, 20, 30), "green": (0, 150, 40),
    "blue": (20, 40, 210), "yellow": (250, 230, 40), "orange": (245, 140, 30), "purple": (128, 0, 128),
    "pink": (255, 130, 140), "light green": (128, 255, 128), "light blue": (130, 190, 255), "teal": (0, 128, 128),
    "cyan": (60, 220, 230), "olive": (128, 128, 0), "brown": (120, 70, 30), "lavender": (128, 128, 255),
    "magenta": (240, 40, 220), "dark green": (0, 80, 20), "dark blue": (10, 20, 100), "dark red": (110, 0, 10),
    "light grey": (205, 205, 205), "dark grey": (60, 60, 60), "beige": (225, 210, 170),
}  # fmt: skip


def colour_word(colour: Sequence[int]) -> str:
    """The nearest of 24 common names (CIE 1976 colour difference), such as ``light green``."""
    every = np.array([colour, *_NAMED.values()], dtype=np.float32)[None] / np.float32(255)
    lab = cv2.cvtColor(every, cv2.COLOR_RGB2LAB)[0]
    return list(_NAMED)[int(np.square(lab[1:] - lab[0]).sum(axis=-1).argmin())]


def heading(text: str, width: int, colour: Colour = INK, size: int = SIZE) -> np.ndarray:
    """A line or several of text."""
    return np.array(typeset(text, size, width, 4).image(colour))


def class_key(title: str, classes: Sequence[tuple[str, Colour]], hidden: int, width: int) -> np.ndarray:
    """Colour and name of classes, the first 40 of them.

    Args:
        title: said above.
        classes: name and colour, the most frequent first.
        hidden: how many more there are that ``classes`` does not hold.
        width: in pixels.
    """
    shown = list(classes[:CLASSES])
    parts = [heading(title, width)]
    if shown:
        parts.append(legend([n for n, _ in shown], [c for _, c in shown], width, size=SIZE))
    if rest := hidden + len(classes) - len(shown):
        parts.append(heading(f"and {rest} more", width, MUTED))
    return stacked(parts, 1)


def scale_key(title: str, paint: Paint, limits: tuple[float, float], units: str) -> np.ndarray:
    """A colour bar with its values."""
    bar = colour_bar(paint, *limits, units, width=BAR_WIDTH, size=SIZE)
    return stacked([heading(title, BAR_WIDTH), bar], 1)


def sign_key(*, missing: bool, forbidden: bool, width: int) -> np.ndarray:
    """What the hatching and the forbidden colour mean, of those that occur."""
    signs = [(striped(SIZE, 3 * SIZE, 4), "no label here (missing, void)")] if missing else []
    if forbidden:
        block = np.full((SIZE, 3 * SIZE, 3), FORBIDDEN, np.uint8)
        signs.append((block, "values that must not be (not finite, not unit, no class)"))
    return beside([in_line([chip, heading(words, width)], 8) for chip, words in signs], width)


def direction_key(title: str, paint: Paint, width: int) -> np.ndarray:
    """A sphere in the colours of the surface it shows, and the colours of floor, ceiling and walls in words.

    Args:
        title: said above.
        paint: colours unit vectors (H, W, 3), +x right, +y down, +z away from the camera.
        width: in pixels.
    """
    vectors = np.array([vector for _, _, vector in DIRECTIONS], dtype=np.float32)
    colours = [tuple(int(c) for c in colour) for colour in paint(vectors[None])[0]]
    words = [
        f"{colour_word(colour)}: {direction} ({example})"
        for colour, (direction, example, _) in zip(colours, DIRECTIONS, strict=True)
    ]
    chips = legend(words, [(r, g, b) for r, g, b in colours], 360, size=SIZE)
    return stacked([heading(title, width), in_line([_sphere(paint), chips], 24)], 1)


def _sphere(paint: Paint) -> np.ndarray:
    """The half of a sphere that is seen, with the directions written around it."""
    texts = {name: typeset(name, SIZE - 2, 200, 1) for name, _, _ in DIRECTIONS}
    side = max(texts["faces left"].width, texts["faces right"].width) + 8
    line = line_height(SIZE - 2) + 4
    width, height = SPHERE + 2 * side, SPHERE + 2 * line
    y, x = (np.mgrid[:SPHERE, :SPHERE].astype(np.float32) + 0.5) / (SPHERE / 2) - 1
    inside = x * x + y * y < 1
    z = -np.sqrt(np.clip(1 - x * x - y * y, 0, None))
    vectors = np.where(inside[..., None], np.stack([x, y, z], axis=-1), np.array([0, 0, -1], np.float32))
    page = np.full((height, width, 3), PAPER, np.uint8)
    page[line : line + SPHERE, side : side + SPHERE][inside] = paint(vectors)[inside]
    canvas = Image.fromarray(page)
    middle = (width // 2, height // 2)
    _write(canvas, texts["faces up"], middle[0], line // 2, INK)
    _write(canvas, texts["faces down"], middle[0], height - line // 2, INK)
    _write(canvas, texts["faces left"], (side - 8) // 2, middle[1], INK)
    _write(canvas, texts["faces right"], width - (side - 8) // 2, middle[1], INK)
    _write(canvas, texts["faces you"], *middle, INK)
    return np.array(canvas)


def _write(canvas: Image.Image, text: Text, x: int, y: int, colour: Colour) -> None:
    """Write one line with its middle at (x, y)."""
    text.draw(canvas, x - text.width // 2, y - text.height // 2, colour)


def framed(rgb: np.ndarray, words: str) -> np.ndarray:
    """A copy of a picture with a thick red frame, and ``words`` in white on red along its lower edge."""
    height, width = rgb.shape[:2]
    canvas = Image.fromarray(rgb)
    draw = ImageDraw.Draw(canvas)
    text = typeset(words, 14, width - 16, 3)
    band = text.height + 8
    draw.rectangle((0, height - band, width - 1, height - 1), fill=ALARM)
    draw.rectangle((0, 0, width - 1, height - 1), outline=ALARM, width=5)
    text.draw(canvas, 8, height - band + 3, (255, 255, 255))
    return np.array(canvas)
