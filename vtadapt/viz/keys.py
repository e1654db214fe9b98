"""What explains the colours of a picture: names of classes beside their colours, and bars with values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from vtadapt.tasks.spec import Colour
from vtadapt.viz.style import INK, MUTED, PAPER, line_height, typeset


def legend(names: Sequence[str], colours: Sequence[Colour], width: int, *, size: int = 15) -> np.ndarray:
    """Draw one colour chip and name per class, in aligned columns, at most ``width`` pixels wide: (H, width, 3).

    Pass only the classes that occur; ``size`` is that of the text in pixels. Raises ValueError where names and
    colours differ in number.
    """
    if len(names) != len(colours):
        raise ValueError(f"names and colours must be as many, found {len(names)} and {len(colours)}")
    return _legend(tuple(names), tuple(tuple(int(c) for c in colour) for colour in colours), width, size).copy()


@functools.lru_cache(maxsize=32)
def _legend(names: tuple[str, ...], colours: tuple[tuple[int, ...], ...], width: int, size: int) -> np.ndarray:
    """Draw a legend, once for all panels of a run."""
    chip, gap = size, size // 2
    texts = [typeset(name, size, max(width - chip - gap, 1), 1) for name in names]
    cell = chip + gap + max((text.width for text in texts), default=0) + 18
    columns = max(1, (width + 18) // cell)
    step = line_height(size) + 5
    count = max(1, -(-len(names) // columns))
    canvas = Image.new("RGB", (max(width, 1), count * step), PAPER)
    for i, (text, colour) in enumerate(zip(texts, colours, strict=True)):
        left, top = i % columns * cell, i // columns * step
        y = top + (step - chip) // 2
        ImageDraw.Draw(canvas).rectangle((left, y, left + chip - 1, y + chip - 1), fill=colour)
        text.draw(canvas, left + chip + gap, top + (step - line_height(size)) // 2, INK)
    return np.array(canvas)


def colour_bar(
    colours: np.ndarray | Callable[[np.ndarray], np.ndarray],
    lo: float,
    hi: float,
    units: str = "",
    *,
    width: int = 320,
    size: int = 13,
) -> np.ndarray:
    """Draw the scale of a coloured picture with its values: (H, width, 3).

    ``colours`` is an array (N, 3) uint8 from lowest to highest, or a function from values (1, N) in ``lo``..``hi`` to
    (1, N, 3) uint8, e.g. the ``colour`` of a task.
    """
    thickness, width = size, max(width, 60)
    values = np.linspace(lo, hi, width, dtype=np.float32)[None]
    if callable(colours):
        bar = np.asarray(colours(values), dtype=np.uint8).reshape(1, width, 3)
    else:
        bar = colours[np.rint(np.linspace(0, len(colours) - 1, width)).astype(int)][None]
    canvas = Image.new("RGB", (width, thickness + 5 + line_height(size)), PAPER)
    canvas.paste(Image.fromarray(np.repeat(bar, thickness, axis=0)), (0, 0))
    count = 5 if width >= 300 else 3 if width >= 160 else 2
    for i, value in enumerate(np.linspace(lo, hi, count)):
        last = i == count - 1
        text = typeset(f"{value:.3g}" + (f" {units}" if last and units else ""), size, width, 1)
        x = i * (width - 1) / (count - 1)
        left = 0 if i == 0 else width - text.width if last else round(x - text.width / 2)
        text.draw(canvas, left, thickness + 5, MUTED)
    return np.array(canvas)
