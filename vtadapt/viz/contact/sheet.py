"""A contact sheet of a data set: rows are samples, columns the image and every task, with all that explains colours.

It is handed pictures that are already coloured, and functions that colour; it knows no task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vtadapt.tasks.colour.void import striped
from vtadapt.tasks.spec import Colour
from vtadapt.viz.arranged import beside, stacked
from vtadapt.viz.contact.key import (
    FORBIDDEN,
    SIZE,
    Paint,
    class_key,
    direction_key,
    framed,
    heading,
    scale_key,
    sign_key,
)
from vtadapt.viz.panels import MARGIN, MAX_WIDTH, Cell, panel, unlabelled
from vtadapt.viz.style import MATTE, PAPER

WIDTH = 2000  # of the page, in pixels
GUTTER = 18  # between columns, at most, as ``panels`` draws them
HEADS = 200  # room for the names of the samples
TALLEST = 320  # of a picture
NARROWEST = 150  # of a column, so that its heading can be read
ROOMY = 200  # the geometric mean of a picture's sides, below which columns are broken into several lines
TITLE = 24  # size of its text
CAP = 1.35  # times the usual aspect: pictures wider than that are drawn lower
PANORAMA = 8.0  # width over height, beyond which pictures are always drawn lower
LINE = 22  # characters of a sample's name in one line


@dataclass(frozen=True, eq=False)
class Shown:
    """One label of one sample.

    Attributes:
        rgb: (H, W, 3) uint8, coloured.
        missing: (H, W) bool, pixels without a label; they are striped.
        forbidden: (H, W) bool, pixels with values that must not be.
        note: in small print below.
        alarm: what is wrong with it; it then gets a red frame with these words.
    """

    rgb: np.ndarray
    missing: np.ndarray | None = None
    forbidden: np.ndarray | None = None
    note: str = ""
    alarm: str = ""


@dataclass(frozen=True, eq=False)
class Column:
    """The image, or a task: how it is headed, and what explains its colours.

    Attributes:
        name: of the task.
        about: units, range and the like, a line or two below the name.
        smooth: whether pictures may be scaled with interpolation.
        classes: names and colours of the classes that occur in the samples shown, the most frequent first.
        scale: colours of values, their limits and units.
        directions: colours of unit vectors, +x right, +y down, +z away from the camera.
    """

    name: str
    about: str = ""
    smooth: bool = False
    classes: Sequence[tuple[str, Colour]] = ()
    scale: tuple[Paint, tuple[float, float], str] | None = None
    directions: Paint | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """One sample: where it comes from, its name, and what it has for each column (None: no label)."""

    split: str
    name: str
    shown: Sequence[Shown | None]


def data_sheet(columns: Sequence[Column], rows: Sequence[Row], *, title: str = "", footer: str = "") -> np.ndarray:
    """Draw the sheet: (H, W, 3) uint8 RGB, about 2000 pixels wide at most.

    Pictures are scaled to one height; where many or wide columns would make them small they are broken into several
    lines per sample. Missing pixels are striped, those that must not be magenta.

    Raises:
        ValueError: no picture at all, or a row that has not one entry per column.
    """
    for row in rows:
        if len(row.shown) != len(columns):
            raise ValueError(f"sample {row.name!r} has {len(row.shown)} pictures for {len(columns)} columns")
    if not any(shown is not None for row in rows for shown in row.shown):
        raise ValueError("a contact sheet needs at least one picture")
    lines, height, widest = layout(columns, rows)
    cells: list[list[Cell]] = []
    titles: list[str] = []
    for number, row in enumerate(rows):
        for first, line in enumerate(lines):
            headed = number == 0 or len(lines) > 1
            cells.append([_cell(columns[j], row.shown[j], (height, widest), headed) for j in line])
            titles.append(_title(row) if first == 0 else "")
    page = panel(cells, row_titles=titles, footer=footer, cell_height=height)
    width = page.shape[1] - 2 * MARGIN
    # The keys stand above the pictures: six samples reach beyond a screen, and one has to know what floors look like.
    head = [heading(title, width, size=TITLE)] if title else []
    above = stacked([*head, keys(columns, rows, width)], width, 18)
    return stacked([_with_margins(above, page.shape[1]), page], page.shape[1], 0)


def _with_margins(picture: np.ndarray, width: int) -> np.ndarray:
    """The picture on paper of this width, with the page's margin above and at the left; below comes the next part's."""
    size = picture.shape[0] + MARGIN, max(width, picture.shape[1] + MARGIN), 3
    page = np.full(size, PAPER, np.uint8)
    page[MARGIN:, MARGIN : MARGIN + picture.shape[1]] = picture
    return page


def layout(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[list[list[int]], int, int]:
    """Which columns stand in which line of a sample, and the height and the greatest width of all pictures.

    The width is that of a picture a little wider than the usual ones: among photographs a panorama is drawn lower.
    """
    every = [s.rgb.shape[1] / s.rgb.shape[0] for row in rows for s in row.shown if s is not None]
    aspect = min(max(every), CAP * float(np.median(every)), PANORAMA)
    best: tuple[float, int, int] | None = None
    for count in range(1, len(columns) + 1):
        each = math.ceil(len(columns) / count)
        height = _height(aspect, each)
        room = height * math.sqrt(aspect)
        if best is None or room > best[0]:
            best = (room, each, height)
        if room >= ROOMY:
            break
    assert best is not None
    lines = [list(range(i, min(i + best[1], len(columns)))) for i in range(0, len(columns), best[1])]
    height = _whole(best[2], rows)
    return lines, height, min(math.ceil(aspect * height), MAX_WIDTH)


def _height(aspect: float, count: int) -> int:
    """The height at which ``count`` pictures of this aspect fit beside each other."""
    room = WIDTH - 2 * MARGIN - HEADS - GUTTER * count
    height = TALLEST
    while height > 16 and count * max(min(aspect * height, MAX_WIDTH), NARROWEST) > room:
        height -= 4
    return height


def _whole(height: int, rows: Sequence[Row]) -> int:
    """A multiple of the pictures' own height if all have one and it is much smaller: every pixel is then a square."""
    heights = {s.rgb.shape[0] for row in rows for s in row.shown if s is not None}
    own = heights.pop() if len(heights) == 1 else height
    return height // own * own if 2 * own <= height else height


def _cell(column: Column, shown: Shown | None, box: tuple[int, int], headed: bool) -> Cell:
    """The picture at its final size in a box (height, width), with what is missing or wrong drawn over it."""
    height, width = box
    caption = f"{column.name}\n{column.about}".rstrip() if headed else ""
    if shown is None:
        return Cell(unlabelled(height, max(NARROWEST, min(width, 2 * height)), SIZE), caption, smooth=False)
    rows, across = shown.rgb.shape[:2]
    scale = min(height / rows, width / across)
    size = max(1, round(across * scale)), max(1, round(rows * scale))
    method = Image.Resampling.LANCZOS if column.smooth else Image.Resampling.NEAREST
    picture = np.array(Image.fromarray(shown.rgb).resize(size, method))
    if shown.missing is not None:
        hidden = _resized(shown.missing, size)
        picture[hidden] = striped(size[1], size[0])[hidden]
    if shown.forbidden is not None:
        picture[_resized(shown.forbidden, size)] = FORBIDDEN
    if shown.alarm:
        picture = framed(picture, shown.alarm)
    whole = np.full((height, size[0], 3), MATTE, np.uint8)
    top = (height - size[1]) // 2
    whole[top : top + size[1]] = picture
    return Cell(whole, caption, shown.note, smooth=False)


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)).astype(bool)


def _title(row: Row) -> str:
    """Split and name; a long name is broken at its signs, and only its end is kept if it needs more than two lines."""
    lines = [""]
    for part in re.findall(r"[^/_.\- ]*[/_.\- ]?", row.name):
        if lines[-1] and len(lines[-1]) + len(part) > LINE:
            lines.append("")
        lines[-1] += part
    lines = [line[-LINE:] for line in lines]
    kept = lines if len(lines) <= 2 else ["…" + lines[-2][-LINE + 1 :], lines[-1]]
    return "\n".join([row.split, *kept])


def keys(columns: Sequence[Column], rows: Sequence[Row], width: int) -> np.ndarray:
    """All that explains the colours of what is shown."""
    blocks = [
        direction_key(f"{c.name}: colours of the directions", c.directions, width) for c in columns if c.directions
    ]
    blocks += [scale_key(c.name, *c.scale) for c in columns if c.scale]
    every = [shown for row in rows for shown in row.shown if shown is not None]
    missing = any(s.missing is not None and s.missing.any() for s in every)
    forbidden = any(s.forbidden is not None and s.forbidden.any() for s in every)
    parts = [sign_key(missing=missing, forbidden=forbidden, width=width)] if missing or forbidden else []
    parts += [beside(blocks, width)] if blocks else []
    parts += [
        class_key(f"{c.name}: classes in these samples, the most frequent first", c.classes, 0, width)
        for c in columns
        if c.classes
    ]
    return stacked(parts, width, 18)
