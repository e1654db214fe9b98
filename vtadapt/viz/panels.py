"""Panels: grids of captioned pictures with strips below them, and a safe way to save them.

Everything here is handed pictures that are already coloured and returns (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from vtadapt.atomic import whole_file
from vtadapt.errors import DataError
from vtadapt.tasks.colour.void import striped
from vtadapt.viz.style import INK, MATTE, MUTED, PAPER, RULE, Text, typeset

# Sizes in pixels. A cell without a given height stays between the first two; a page aims to stay under PAGE_WIDTH.
MIN_HEIGHT, MAX_HEIGHT = 192, 480
MAX_WIDTH = 640  # of a cell, or twice its height if that is more
PAGE_WIDTH = 2400
MIN_WIDTH = 320
MARGIN = 28

Strip = Callable[[int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a panel: ``rgb`` (H, W, 3) uint8, a caption above it and a note in small print below it.

    ``smooth`` says how it may be scaled: True for photographs (Lanczos), False for label maps (nearest pixel, so that
    no colour appears that was not there).
    """

    rgb: np.ndarray
    caption: str = ""
    note: str = ""
    smooth: bool = True

    def __post_init__(self) -> None:
        """Check the picture."""
        array = self.rgb
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
            raise ValueError(f"Cell.rgb must be (H, W, 3) uint8 and not empty, found {array.shape} {array.dtype}")


def panel(
    rows: Sequence[Sequence[Cell | None]],
    *,
    row_titles: Sequence[str] = (),
    title: str = "",
    footer: str = "",
    cell_height: int | None = None,
    strips: Sequence[Strip] = (),
) -> np.ndarray:
    """Draw a grid of cells and return the page, (H, W, 3) uint8 RGB.

    All cells of a panel are scaled to one height, ``cell_height`` or one chosen from the pictures (192 to 480 pixels;
    small pictures by a whole factor where possible), unless that makes them too wide; pictures of odd shapes are
    centred on a plain surface. ``None`` in a row is a place without a label. ``strips`` are drawn below the grid:
    functions from a width in pixels to a picture, e.g. ``functools.partial(legend, names, colours)``.

    Raises ValueError where there is no cell, and for more row titles than rows.
    """
    cells = [cell for row in rows for cell in row if cell is not None]
    if not cells:
        raise ValueError("rows must hold at least one Cell, found none")
    if len(row_titles) > len(rows):
        raise ValueError(f"row_titles must not outnumber the {len(rows)} rows, found {len(row_titles)}")
    if cell_height is not None and cell_height < 1:
        raise ValueError(f"cell_height must be at least 1 pixel, found {cell_height}")
    room = PAGE_WIDTH - 2 * MARGIN
    base = _type_size(cell_height or _common_height(rows, room))
    heads = [typeset(text, base, 12 * base, 3) for text in row_titles]
    head_width = max((head.width for head in heads), default=0) + (base if heads else 0)
    height = cell_height or _common_height(rows, room - head_width)
    grid = _grid(rows, height, base)
    body = _with_heads(grid, heads, head_width, base)
    return _page(body, title, footer, strips, base)


def save_panel(path: str | os.PathLike[str], rows: Sequence[Sequence[Cell | None]], **options: Any) -> Path:
    """Draw a panel and save it: :func:`panel`, then :func:`save_png`."""
    return save_png(path, panel(rows, **options))


def unlabelled(height: int, width: int, size: int) -> np.ndarray:
    """Return what stands in the place of a label that there is not: stripes and words of a size, (H, W, 3)."""
    canvas = Image.fromarray(striped(height, width))
    text = typeset("no label", size, width, 1)
    left, top = (width - text.width) // 2, (height - text.height) // 2
    box = (left - 8, top - 4, left + text.width + 7, top + text.height + 3)
    ImageDraw.Draw(canvas).rectangle(box, fill=PAPER)
    text.draw(canvas, left, top, MUTED)
    return np.array(canvas)


def save_png(path: str | os.PathLike[str], rgb: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB to ``path`` and return it; the folder is made, a file there before is replaced.

    The picture is written beside it under a temporary name, flushed to the disk and renamed: ``path`` never holds half
    a picture. Raises DataError where the disk refuses.
    """
    target = Path(path)
    picture = Cell(rgb).rgb
    with whole_file(target) as temporary:
        # In half the time of Pillow's encoder at its fastest, for a file that is a seventh larger.
        encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if not encoded[0]:
            raise DataError(f"{target}: a picture of {picture.shape[1]}x{picture.shape[0]} cannot be written as PNG")
        temporary.write_bytes(encoded[1].tobytes())
    return target


def _fit(cell: Cell, height: int) -> tuple[int, int]:
    """Return (width, height) of the picture in a cell of this height, its aspect ratio kept."""
    rows, columns = cell.rgb.shape[:2]
    scale = min(height / rows, max(MAX_WIDTH, 2 * height) / columns)
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def _common_height(rows: Sequence[Sequence[Cell | None]], room: int) -> int:
    """Choose the height of all cells: the tallest picture's, within limits and so that the widest row fits ``room``."""
    tallest = max(cell.rgb.shape[0] for row in rows for cell in row if cell is not None)
    height = min(tallest * -(-MIN_HEIGHT // tallest), MAX_HEIGHT)
    widest = max(sum(_fit(cell, height)[0] for cell in row if cell is not None) for row in rows)
    return height if widest <= room else max(MIN_HEIGHT, int(height * room / widest))


def _type_size(height: int) -> int:
    """Return the size of captions for cells of this height: 14 to 20 pixels."""
    return min(max(round(10 + height / 48), 14), 20)


def _scaled(cell: Cell, width: int, height: int) -> Image.Image:
    method = Image.Resampling.LANCZOS if cell.smooth else Image.Resampling.NEAREST
    return Image.fromarray(cell.rgb).resize((width, height), method)


@dataclass(frozen=True)
class _Row:
    """A drawn row of the grid, and where its pictures lie in it: top and height in pixels."""

    canvas: Image.Image
    top: int
    height: int


def _grid(rows: Sequence[Sequence[Cell | None]], height: int, base: int) -> list[_Row]:
    """Draw every row; columns are as wide as their widest picture, rows as high as their highest."""
    pictures = [[_scaled(cell, *_fit(cell, height)) if cell else None for cell in row] for row in rows]
    narrowest = 8 * base  # so that a caption fits above a thin picture
    widths = [narrowest] * max(len(row) for row in rows)
    for row in pictures:
        widths = [max(width, p.width if p else 0) for width, p in zip_longest(widths, row)]
    heights = [max((p.height for p in row if p), default=0) for row in pictures]
    return [
        _draw_row(list(zip(row, drawn, widths, strict=False)), high or max(heights), base)
        for row, drawn, high in zip(rows, pictures, heights, strict=True)
    ]


def _draw_row(places: list[tuple[Cell | None, Image.Image | None, int]], height: int, base: int) -> _Row:
    """Draw the places of a row, each a cell, its scaled picture and the width of its column."""
    gutter, small = base, max(base - 3, 12)
    captions = [typeset(cell.caption if cell else "", base, width, 2) for cell, _, width in places]
    notes = [typeset(cell.note if cell else "", small, width, 2) for cell, _, width in places]
    above = max((text.height for text in captions), default=0)
    above += 5 if above else 0
    below = max((text.height for text in notes), default=0)
    below += 4 if below else 0
    # One pixel of room around the pictures for a hairline, without which white pictures melt into white paper.
    above, below = above + 1, below + 1
    across = sum(width + gutter for _, _, width in places) - gutter + 2
    canvas = Image.new("RGB", (max(across, 1), above + height + below), PAPER)
    left = 1
    for (_, picture, width), caption, note in zip(places, captions, notes, strict=True):
        frame = (left - 1, above - 1, left + width, above + height)
        ImageDraw.Draw(canvas).rectangle(frame, fill=MATTE, outline=RULE)
        if picture is None:
            canvas.paste(Image.fromarray(unlabelled(height, width, small)), (left, above))
        else:
            corner = (left + (width - picture.width) // 2, above + (height - picture.height) // 2)
            canvas.paste(picture, corner)
        caption.draw(canvas, left, above - 6 - caption.height, INK)
        note.draw(canvas, left, above + height + 5, MUTED)
        left += width + gutter
    return _Row(canvas, above, height)


def _with_heads(grid: list[_Row], heads: list[Text], head_width: int, base: int) -> Image.Image:
    """Put the rows below each other, each with its title at the left, level with the middle of the pictures."""
    gap = round(1.2 * base)
    width = head_width + max(row.canvas.width for row in grid)
    canvas = Image.new("RGB", (width, sum(row.canvas.height for row in grid) + gap * (len(grid) - 1)), PAPER)
    top = 0
    for i, row in enumerate(grid):
        canvas.paste(row.canvas, (head_width, top))
        if i < len(heads):
            heads[i].draw(canvas, 0, top + row.top + max(0, (row.height - heads[i].height) // 2), INK)
        top += row.canvas.height + gap
    return canvas


def _page(body: Image.Image, title: str, footer: str, strips: Sequence[Strip], base: int) -> np.ndarray:
    """Put title, grid, strips and footer below each other, aligned at the left, with even margins."""
    width = max(body.width, MIN_WIDTH)
    parts = [body, *(Image.fromarray(strip(width)) for strip in strips)]
    if title:
        parts.insert(0, typeset(title, round(1.5 * base), width, 3).image())
    if footer:
        parts.append(typeset(footer, max(base - 3, 12), width, 6).image(MUTED))
    width = max([width, *(part.width for part in parts)])
    height = sum(part.height for part in parts) + base * (len(parts) - 1)
    page = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), PAPER)
    top = MARGIN
    for part in parts:
        page.paste(part, (MARGIN, top))
        top += part.height + base
    return np.array(page)
