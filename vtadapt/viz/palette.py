"""The look of every picture: class colours, perceptual maps for numbers, themes and type; and arrays made RGB.

Every picture in ``vtadapt.viz`` is a numpy array (H, W, 3), uint8, RGB.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# Colour of a pixel without a value: a neutral grey that no colour map below contains.
MISSING: Colour = (128, 128, 128)

# The maps offered by name, all of them readable without a legend of hues; twilight is for angles, which wrap around.
COLOUR_MAPS: dict[str, int] = {
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "inferno": cv2.COLORMAP_INFERNO,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
    "twilight": cv2.COLORMAP_TWILIGHT,
}

# The first classes get these, chosen by eye for a calm picture; later ones are computed to differ from all before.
_CHOSEN = bytes.fromhex(
    "4269b2 ee9339 4c9e58 ca4347 995caa 61c3cc f0d05c de82b3 875a42 a3ca62 2c3e5c fabba0 1c7576 9eb0dc 802052 6e7426"
)

# Signs that the built-in font lacks and that captions use.
_SPELLED = {"–": "-", "—": "-", "−": "-", "×": "x", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≈": "~"}
_SPELLED |= {"↑": "(higher is better)", "↓": "(lower is better)"}
_SPELLED |= {"Δ": "Delta", "δ": "delta", "σ": "sigma", "θ": "theta", "µ": "u", "μ": "mu"}


@dataclass(frozen=True)
class Theme:
    """Colours of a page: paper, text in two strengths, a hairline, and the surface behind a picture too small."""

    paper: Colour
    ink: Colour
    muted: Colour
    rule: Colour
    matte: Colour


THEMES: dict[str, Theme] = {
    "light": Theme(
        paper=(255, 255, 255), ink=(24, 28, 34), muted=(102, 110, 120), rule=(222, 226, 231), matte=(239, 241, 244)
    ),
    "dark": Theme(
        paper=(22, 24, 28), ink=(236, 238, 241), muted=(150, 157, 166), rule=(54, 58, 65), matte=(38, 41, 47)
    ),
}


def theme_of(background: str) -> Theme:
    """Return the theme named ``light`` or ``dark``; ValueError for another name."""
    if background not in THEMES:
        raise ValueError(f"background must be one of {', '.join(THEMES)}, found {background!r}")
    return THEMES[background]


def class_palette(count: int) -> tuple[Colour, ...]:
    """Return ``count`` distinct RGB colours, always the same; a longer palette starts with the shorter one.

    The first 16 are chosen by hand, each later one is the candidate farthest (CIE 1976 colour difference) from all
    colours before it, among those neither nearly black, nearly white nor neon. ``count`` is 0..255: 255 means "ignore".
    """
    if not 0 <= count <= 255:
        raise ValueError(f"count must be 0..255 (255 is the ignored label), found {count}")
    return _extended()[:count]


def colour_table(name: str = "viridis") -> np.ndarray:
    """Return the 256 colours of a map in ``COLOUR_MAPS`` as (256, 3) uint8 RGB, lowest value first."""
    if name not in COLOUR_MAPS:
        raise ValueError(f"colour map must be one of {', '.join(COLOUR_MAPS)}, found {name!r}")
    bgr = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], COLOUR_MAPS[name])  # (256, 1, 3)
    return np.ascontiguousarray(bgr[:, 0, ::-1])


def colour_values(
    values: Any,
    *,
    lo: float | None = None,
    hi: float | None = None,
    name: str = "viridis",
    valid: Any = None,
    missing: Colour = MISSING,
) -> np.ndarray:
    """Colour numbers (H, W) with a perceptual map and return (H, W, 3) uint8 RGB.

    ``lo`` and ``hi`` are the ends of the map, by default the extremes of the values shown; values beyond are clipped.
    Pixels that are not finite, or False in the mask ``valid`` (H, W), get the colour ``missing``.
    """
    numbers = _as_numpy(values).astype(np.float64)
    if numbers.ndim != 2:
        raise ValueError(f"values must be (H, W), found shape {numbers.shape}")
    shown = np.isfinite(numbers)
    if valid is not None:
        shown &= _as_numpy(valid).astype(bool)
    low = float(lo) if lo is not None else float(numbers[shown].min(initial=np.inf))
    high = float(hi) if hi is not None else float(numbers[shown].max(initial=-np.inf))
    span = high - low
    unit = np.where(shown, numbers - low, 0.0) / span if np.isfinite(span) and span > 0 else np.zeros_like(numbers)
    index = np.rint(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8)
    rgb = colour_table(name)[index]
    rgb[~shown] = missing
    return rgb


def colour_labels(labels: Any, colours: Any, *, ignored: Colour = MISSING) -> np.ndarray:
    """Colour class labels (H, W) with ``colours`` (K rows of RGB) and return (H, W, 3) uint8 RGB.

    Labels outside 0..K-1, such as 255, get the colour ``ignored``.
    """
    index = _as_numpy(labels).astype(np.int64)
    if index.ndim != 2:
        raise ValueError(f"labels must be (H, W), found shape {index.shape}")
    table = np.asarray([*(tuple(c) for c in colours), ignored], dtype=np.uint8)
    known = (index >= 0) & (index < len(table) - 1)
    return table[np.where(known, index, len(table) - 1)]


def to_rgb(image: Any) -> np.ndarray:
    """Return any picture-like array or tensor as (H, W, 3) uint8 RGB.

    Accepts (H, W), (H, W, 1 or 3) and (1 or 3, H, W); a picture (3, W, 3) is read as channels last. Booleans become
    black and white, floats are taken as 0..1 and clipped (not a number is 0), integers as 0..255 and clipped.
    """
    array = _as_numpy(image)
    if array.ndim == 3 and array.shape[-1] not in (1, 3) and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise ValueError(f"image must be (H, W), (H, W, 3) or (3, H, W) and not empty, found shape {array.shape}")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        array = np.rint(np.clip(np.nan_to_num(array.astype(np.float64), nan=0.0), 0.0, 1.0) * 255)
    array = np.clip(array, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def overlay(image: Any, rgb: Any, alpha: Any = 0.5) -> np.ndarray:
    """Lay the picture ``rgb`` over ``image`` (both as ``to_rgb`` takes them, of one size): (H, W, 3) uint8.

    ``alpha`` is the share of ``rgb``, one number or (H, W), in 0..1: 0 leaves the image, 1 shows ``rgb`` alone.
    """
    under, over = to_rgb(image), to_rgb(rgb)
    if under.shape != over.shape:
        raise ValueError(f"image and rgb must have one size, found {under.shape[:2]} and {over.shape[:2]}")
    share = _as_numpy(alpha).astype(np.float64)
    if share.shape not in ((), under.shape[:2]) or not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"alpha must be one number or (H, W) in 0..1, found shape {share.shape}")
    if share.ndim == 2:
        share = share[..., None]
    return np.rint(under * (1 - share) + over * share).astype(np.uint8)


def _as_numpy(values: Any) -> np.ndarray:
    """Return an array or a tensor from any device as numpy, without importing torch for those who do not use it."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.is_floating_point():
            values = values.float()  # numpy has no bfloat16
    return np.asarray(values)


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

    def image(self, colour: Colour, paper: Colour) -> Image.Image:
        """Draw the lines on paper just large enough."""
        canvas = Image.new("RGB", (max(self.width, 1), max(self.height, 1)), paper)
        self.draw(canvas, 0, 0, colour)
        return canvas


def typeset(text: str, size: int, width: int, lines: int) -> Text:
    """Break text at spaces into at most ``lines`` lines of ``width`` pixels; what does not fit ends in an ellipsis."""
    broken: list[str] = []
    for paragraph in _drawable(text).splitlines():
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


@functools.cache
def _extended() -> tuple[Colour, ...]:
    """Return the 255 class colours: the chosen ones, then farthest-point sampling of an RGB grid in CIE Lab."""
    levels = np.arange(8, 256, 16, dtype=np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(candidates)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    suitable = (lab[:, 0] >= 25) & (lab[:, 0] <= 88) & (chroma <= 72)  # not nearly black, nearly white or neon
    candidates, lab = candidates[suitable], lab[suitable]
    colours: list[Colour] = [(r, g, b) for r, g, b in zip(*[iter(_CHOSEN)] * 3, strict=True)]
    # Distances are whole numbers, so that rounding on another processor can change no choice.
    taken = _lab(np.array([*colours, (0, 0, 0), (255, 255, 255), MISSING], dtype=np.uint8))
    nearest = ((lab[:, None] - taken[None]) ** 2).sum(-1).min(1)
    while len(colours) < 255:
        best = int(nearest.argmax())
        r, g, b = candidates[best].tolist()
        colours.append((r, g, b))
        nearest = np.minimum(nearest, ((lab - lab[best]) ** 2).sum(-1))
    return tuple(colours)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """Return (K, 3) uint8 RGB as CIE L*a*b* (L 0..100) rounded to integers, int64."""
    unit = rgb.astype(np.float32)[None] / np.float32(255)
    return np.rint(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB)[0]).astype(np.int64)
