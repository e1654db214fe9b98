"""Panels: grids of captioned pictures, legends, colour bars and contact sheets, and a safe way to save them.

Everything here is handed pictures that are already coloured (see ``palette``) and returns (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vtadapt.atomic import whole_file
from vtadapt.viz.palette import Colour, Text, Theme, colour_table, line_height, theme_of, to_rgb, typeset

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
    background: str = "light",
    strips: Sequence[Strip] = (),
) -> np.ndarray:
    """Draw a grid of cells and return the page, (H, W, 3) uint8 RGB.

    All cells of a panel are scaled to one height, ``cell_height`` or one chosen from the pictures (192 to 480 pixels;
    small pictures by a whole factor where possible), unless that makes them too wide; pictures of odd shapes are
    centred on a plain surface. ``None`` in a row is drawn as an empty place. ``strips`` are drawn below the grid:
    functions from a width in pixels to a picture, e.g. ``functools.partial(legend, names, colours)``.

    Raises ValueError where there is no cell, for more row titles than rows and for an unknown background.
    """
    theme = theme_of(background)
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
    grid = _grid(rows, height, base, theme)
    body = _with_heads(grid, heads, head_width, base, theme)
    return _page(body, title, footer, strips, base, theme)


def contact_sheet(
    cells: Sequence[Cell | None],
    *,
    columns: int | None = None,
    title: str = "",
    footer: str = "",
    cell_height: int = MIN_HEIGHT,
    background: str = "light",
) -> np.ndarray:
    """Lay out many cells in reading order, by default on a page about 3:2, and return it as ``panel`` does."""
    if columns is None:
        shown = [cell for cell in cells if cell is not None]
        width = np.median([_fit(cell, cell_height)[0] for cell in shown]) if shown else cell_height
        columns = round(float(np.sqrt(1.5 * len(cells) * cell_height / width)))
        columns = min(columns, int((PAGE_WIDTH - 2 * MARGIN) // width))
    columns = min(max(columns, 1), max(len(cells), 1))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return panel(rows, title=title, footer=footer, cell_height=cell_height, background=background)


def legend(
    names: Sequence[str], colours: Sequence[Colour], width: int, *, size: int = 15, background: str = "light"
) -> np.ndarray:
    """Draw one colour chip and name per class, in aligned columns, at most ``width`` pixels wide: (H, width, 3).

    Pass only the classes that occur; ``size`` is that of the text in pixels. Raises ValueError where names and
    colours differ in number.
    """
    if len(names) != len(colours):
        raise ValueError(f"names and colours must be as many, found {len(names)} and {len(colours)}")
    theme, chip, gap = theme_of(background), size, size // 2
    texts = [typeset(name, size, max(width - chip - gap, 1), 1) for name in names]
    cell = chip + gap + max((text.width for text in texts), default=0) + 18
    columns = max(1, (width + 18) // cell)
    step = line_height(size) + 5
    count = max(1, -(-len(names) // columns))
    canvas = Image.new("RGB", (max(width, 1), count * step), theme.paper)
    for i, (text, colour) in enumerate(zip(texts, colours, strict=True)):
        left, top = i % columns * cell, i // columns * step
        y = top + (step - chip) // 2
        ImageDraw.Draw(canvas).rectangle((left, y, left + chip - 1, y + chip - 1), fill=tuple(int(c) for c in colour))
        text.draw(canvas, left + chip + gap, top + (step - line_height(size)) // 2, theme.ink)
    return np.array(canvas)


def colour_bar(
    colours: str | np.ndarray | Callable[[np.ndarray], np.ndarray],
    lo: float,
    hi: float,
    units: str = "",
    *,
    width: int = 320,
    size: int = 13,
    background: str = "light",
) -> np.ndarray:
    """Draw the scale of a coloured picture with its values: (H, width, 3).

    ``colours`` is the name of a map of ``palette.COLOUR_MAPS``, an array (N, 3) uint8 from lowest to highest, or a
    function from values (1, N) in ``lo``..``hi`` to (1, N, 3) uint8, e.g. the ``colour`` of a task.
    """
    theme, thickness = theme_of(background), size
    width = max(width, 60)
    values = np.linspace(lo, hi, width, dtype=np.float32)[None]
    if callable(colours):
        bar = np.asarray(colours(values), dtype=np.uint8).reshape(1, width, 3)
    else:
        table = colour_table(colours) if isinstance(colours, str) else np.asarray(colours, dtype=np.uint8)
        bar = table[np.rint(np.linspace(0, len(table) - 1, width)).astype(int)][None]
    canvas = Image.new("RGB", (width, thickness + 5 + line_height(size)), theme.paper)
    canvas.paste(Image.fromarray(np.repeat(bar, thickness, axis=0)), (0, 0))
    count = 5 if width >= 300 else 3 if width >= 160 else 2
    for i, value in enumerate(np.linspace(lo, hi, count)):
        last = i == count - 1
        text = typeset(f"{value:.3g}" + (f" {units}" if last and units else ""), size, width, 1)
        x = i * (width - 1) / (count - 1)
        left = 0 if i == 0 else width - text.width if last else round(x - text.width / 2)
        text.draw(canvas, left, thickness + 5, theme.muted)
    return np.array(canvas)


def save_png(path: str | os.PathLike[str], rgb: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB to ``path`` and return it; the folder is made, a file there before is replaced.

    The picture is written beside it under a temporary name, flushed to the disk and renamed: ``path`` never holds half
    a picture. Raises DataError where the disk refuses.
    """
    target = Path(path)
    picture = Image.fromarray(Cell(rgb).rgb)
    with whole_file(target) as temporary:
        picture.save(temporary, format="PNG", compress_level=2)  # a third of the default's time, a little larger
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


def _grid(rows: Sequence[Sequence[Cell | None]], height: int, base: int, theme: Theme) -> list[_Row]:
    """Draw every row; columns are as wide as their widest picture, rows as high as their highest."""
    pictures = [[_scaled(cell, *_fit(cell, height)) if cell else None for cell in row] for row in rows]
    narrowest = 8 * base  # so that a caption fits above a thin picture
    widths = [narrowest] * max(len(row) for row in rows)
    for row in pictures:
        widths = [max(width, p.width if p else 0) for width, p in zip_longest(widths, row)]
    heights = [max((p.height for p in row if p), default=0) for row in pictures]
    return [
        _draw_row(list(zip(row, drawn, widths, strict=False)), high or max(heights), base, theme)
        for row, drawn, high in zip(rows, pictures, heights, strict=True)
    ]


def _draw_row(places: list[tuple[Cell | None, Image.Image | None, int]], height: int, base: int, theme: Theme) -> _Row:
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
    canvas = Image.new("RGB", (max(across, 1), above + height + below), theme.paper)
    left = 1
    for (_, picture, width), caption, note in zip(places, captions, notes, strict=True):
        frame = (left - 1, above - 1, left + width, above + height)
        ImageDraw.Draw(canvas).rectangle(frame, fill=theme.matte, outline=theme.rule)
        if picture is None:
            empty = typeset("no data", small, width, 1)
            empty.draw(canvas, left + (width - empty.width) // 2, above + (height - empty.height) // 2, theme.muted)
        else:
            corner = (left + (width - picture.width) // 2, above + (height - picture.height) // 2)
            canvas.paste(picture, corner)
        caption.draw(canvas, left, above - 6 - caption.height, theme.ink)
        note.draw(canvas, left, above + height + 5, theme.muted)
        left += width + gutter
    return _Row(canvas, above, height)


def _with_heads(grid: list[_Row], heads: list[Text], head_width: int, base: int, theme: Theme) -> Image.Image:
    """Put the rows below each other, each with its title at the left, level with the middle of the pictures."""
    gap = round(1.2 * base)
    width = head_width + max(row.canvas.width for row in grid)
    canvas = Image.new("RGB", (width, sum(row.canvas.height for row in grid) + gap * (len(grid) - 1)), theme.paper)
    top = 0
    for i, row in enumerate(grid):
        canvas.paste(row.canvas, (head_width, top))
        if i < len(heads):
            heads[i].draw(canvas, 0, top + row.top + max(0, (row.height - heads[i].height) // 2), theme.ink)
        top += row.canvas.height + gap
    return canvas


def _page(body: Image.Image, title: str, footer: str, strips: Sequence[Strip], base: int, theme: Theme) -> np.ndarray:
    """Put title, grid, strips and footer below each other, aligned at the left, with even margins."""
    width = max(body.width, MIN_WIDTH)
    parts = [body, *(Image.fromarray(to_rgb(strip(width))) for strip in strips)]
    if title:
        parts.insert(0, typeset(title, round(1.5 * base), width, 3).image(theme.ink, theme.paper))
    if footer:
        parts.append(typeset(footer, max(base - 3, 12), width, 6).image(theme.muted, theme.paper))
    width = max([width, *(part.width for part in parts)])
    height = sum(part.height for part in parts) + base * (len(parts) - 1)
    page = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), theme.paper)
    top = MARGIN
    for part in parts:
        page.paste(part, (MARGIN, top))
        top += part.height + base
    return np.array(page)
