"""Attention over a photograph: heat, differences, the outline of a window, and the panel of an adapted block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from PIL import Image

from vtadapt.tasks.spec import Colour
from vtadapt.viz.arranged import beside, stacked
from vtadapt.viz.keys import colour_bar
from vtadapt.viz.panels import Cell, panel
from vtadapt.viz.style import MUTED, typeset

OUTLINE: Colour = (80, 230, 255)  # cyan, which neither map contains
DIMMED = 0.55  # brightness of the grey photograph that colours are laid over
# Pictures are drawn at a size between these (height; width only bounds from above), so that outlines stay crisp.
MIN_HEIGHT, MAX_HEIGHT, MAX_WIDTH = 240, 480, 960
BAR_WIDTH = 360


def _diverging() -> np.ndarray:
    """Blue through almost white to red, evenly: (255, 3) uint8; the middle is zero."""
    ends = np.array([(18, 72, 160), (92, 156, 214), (244, 244, 244), (236, 128, 92), (166, 16, 38)], dtype=np.float64)
    places = np.linspace(0, len(ends) - 1, 255)
    return np.rint(np.stack([np.interp(places, range(len(ends)), channel) for channel in ends.T], -1)).astype(np.uint8)


HEAT = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1]  # (256, 3) RGB
DIVERGING = _diverging()


@dataclass(frozen=True, eq=False)
class TokenMap:
    """Numbers of a map of tokens, and where the tokens lie in the photograph.

    Attributes:
        values: (rows, columns); not a number where there is none.
        cell: height and width of a token in pixels of the photograph, not always whole.
        reach: (rows, columns) bool, the tokens that a query can see; None where there is no query. Nothing is drawn
            outside, its border is.
        regions: (rows, columns) of whole numbers, the same for tokens that look at each other; None where unknown.
    """

    values: np.ndarray
    cell: tuple[float, float]
    reach: np.ndarray | None = None
    regions: np.ndarray | None = None


def spread(tokens: np.ndarray, cell: tuple[float, float], photo: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Give each pixel of a picture the value of the token it lies in: (rows, columns) -> (H, W).

    Args:
        tokens: any values.
        cell: height and width of a token in pixels of the photograph.
        photo: (height, width) of the photograph.
        size: (H, W) of the picture, which shows the whole photograph at another size.
    """
    index = []
    for count, step, whole, pixels in zip(tokens.shape, cell, photo, size, strict=True):
        centres = (np.arange(pixels) + 0.5) * whole / pixels
        index.append(np.clip((centres / step).astype(np.int64), 0, count - 1))
    return tokens[np.ix_(*index)]


def dimmed(rgb: np.ndarray) -> np.ndarray:
    """The photograph in dark grey, so that every colour over it belongs to a map: (H, W, 3) uint8."""
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    return np.repeat(np.rint(grey[..., None] * DIMMED).astype(np.uint8), 3, axis=-1)


def heat(rgb: np.ndarray, values: np.ndarray, high: float, *, alpha: float = 0.6) -> np.ndarray:
    """Lay attention (H, W), from 0 to ``high``, over the dimmed photograph; nothing where it is not a number."""
    return _laid_over(rgb, values / (high or 1.0), HEAT, alpha)


def difference(rgb: np.ndarray, values: np.ndarray, limit: float, *, alpha: float = 0.6) -> np.ndarray:
    """Lay a difference (H, W) over the dimmed photograph: blue is less, red is more, ``limit`` the darkest of both."""
    return _laid_over(rgb, (values / (limit or 1.0) + 1) / 2, DIVERGING, alpha)


def _laid_over(rgb: np.ndarray, shares: np.ndarray, table: np.ndarray, alpha: float) -> np.ndarray:
    """Lay the colours of ``table`` at shares 0..1 (H, W) over the dimmed photograph, ``alpha`` of each pixel."""
    known = np.isfinite(shares)
    index = np.rint(np.clip(np.where(known, shares, 0.0), 0.0, 1.0) * (len(table) - 1)).astype(np.int64)
    alphas = np.where(known, alpha, 0.0)[..., None]
    return np.rint(dimmed(rgb) * (1 - alphas) + table[index] * alphas).astype(np.uint8)


def outlined(rgb: np.ndarray, inside: np.ndarray, colour: Colour = OUTLINE, width: int = 2) -> np.ndarray:
    """Draw the inner border of the region ``inside`` (H, W) bool, along the picture's edge too: (H, W, 3) uint8."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    core = cv2.erode(inside.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    out = rgb.copy()
    out[inside & (core == 0)] = colour
    return out


def divided(rgb: np.ndarray, regions: np.ndarray, colour: Colour = OUTLINE) -> np.ndarray:
    """Draw the borders between regions (H, W) of unequal numbers, and around them all: (H, W, 3) uint8."""
    down, right = regions[1:] != regions[:-1], regions[:, 1:] != regions[:, :-1]
    border = np.zeros(regions.shape, dtype=bool)
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    border[:2] = border[-2:] = border[:, :2] = border[:, -2:] = True
    out = rgb.copy()
    out[border] = colour
    return out


def marked(rgb: np.ndarray, x: float, y: float, colour: Colour = OUTLINE) -> np.ndarray:
    """Draw a ring and a dot, dark below bright, around a point of the picture: (H, W, 3) uint8."""
    out, centre = np.ascontiguousarray(rgb.copy()), (round(x), round(y))
    radius = max(6, round(min(rgb.shape[:2]) / 40))
    for paint, width in (((0, 0, 0), 3), (colour, 1)):
        cv2.circle(out, centre, radius, paint, width, cv2.LINE_AA)
    cv2.circle(out, centre, 1, colour, -1, cv2.LINE_AA)
    return out


def attention_panel(
    rgb: np.ndarray,
    regular: TokenMap,
    tasks: Mapping[str, TokenMap],
    *,
    title: str = "",
    words: Sequence[str] = ("attention", ""),
    alpha: float = 0.6,
    query: tuple[int, int] | None = None,
) -> np.ndarray:
    """Draw image | regular self-attention | one map per task, and below them each task less the regular one.

    Below image and regular attention stand the windows that attend, of the tasks and of the regular block.

    Args:
        rgb: (H, W, 3) uint8, the photograph.
        regular: attention of the frozen block.
        tasks: task -> its task-adapted attention in the same block; the maps' sizes are those of ``regular``.
        title: headline.
        words: what the numbers are, for the colour bar, and the small print.
        alpha: share of the colours over the photograph, 0..1.
        query: (x, y) pixel of the photograph that is asked about; it is marked.

    Returns:
        The page, (H, W, 3) uint8; all maps are on one scale, all differences on another.
    """
    found = attention_cells(rgb, regular, tasks, alpha=alpha, query=query)
    sources = (("windows (TAA)", next(iter(tasks.values()))), ("windows (regular)", regular))
    windows = [_windows(_at_drawing_size(rgb), rgb, each, caption) for caption, each in sources]
    rows: list[list[Cell | None]] = [[found.image, found.regular, *found.tasks], [*windows, *found.gaps]]
    return panel(rows, title=title, footer=words[1], strips=[lambda w: _bars(w, found.high, found.limit, words[0])])


@dataclass(frozen=True, eq=False)
class AttentionCells:
    """The pictures of a photograph and of where a block looks, see :func:`attention_cells`.

    Attributes:
        image: the photograph.
        regular: attention of the frozen block.
        tasks: that of each task.
        gaps: that of each task less the frozen block's.
        high: of the scale of all maps, from 0.
        limit: of the scale of all differences, from -limit.
    """

    image: Cell
    regular: Cell
    tasks: Sequence[Cell]
    gaps: Sequence[Cell]
    high: float
    limit: float


def attention_cells(
    rgb: np.ndarray,
    regular: TokenMap,
    tasks: Mapping[str, TokenMap],
    *,
    alpha: float = 0.6,
    query: tuple[int, int] | None = None,
) -> AttentionCells:
    """Draw the pictures of :func:`attention_panel`, whose arguments these are."""
    picture = _at_drawing_size(rgb)
    around = _pixels(regular, rgb, picture)
    drawn = {name: _pixels(each, rgb, picture) for name, each in tasks.items()}
    gaps = {name: _gap(values, around[0]) for name, (values, _) in drawn.items()}
    high = _largest([around[0], *(values for values, _ in drawn.values())])
    limit = _largest([np.abs(values) for values in gaps.values()])
    scale = picture.shape[0] / rgb.shape[0], picture.shape[1] / rgb.shape[1]
    finish = partial(_finished, query=query, scale=scale)
    note = f"{rgb.shape[1]} x {rgb.shape[0]}" + (f", pixel {query[0]},{query[1]}" if query else "")

    def hot(values: np.ndarray, inside: np.ndarray | None, caption: str) -> Cell:
        return Cell(finish(heat(picture, values, high, alpha=alpha), inside), caption, _range(values))

    return AttentionCells(
        Cell(finish(picture), "image", note),
        hot(*around, "regular self-attention"),
        [hot(*each, f"{name} (TAA)") for name, each in drawn.items()],
        [
            Cell(
                finish(difference(picture, values, limit, alpha=alpha), drawn[name][1]),
                f"{name} - regular",
                _range(values),
            )
            for name, values in gaps.items()
        ],
        high,
        limit,
    )


def _largest(maps: Sequence[np.ndarray]) -> float:
    """The largest number of some maps; 0 where they hold none."""
    return max((float(np.nanmax(values)) for values in maps if np.isfinite(values).any()), default=0.0)


def _finished(
    page: np.ndarray, inside: np.ndarray | None = None, *, query: tuple[int, int] | None, scale: tuple[float, float]
) -> np.ndarray:
    """``page`` with the border of what the query reaches, and the query, whose pixel is scaled by (y, x)."""
    page = page if inside is None else outlined(page, inside)
    if query is None:
        return page
    return marked(page, (query[0] + 0.5) * scale[1] - 0.5, (query[1] + 0.5) * scale[0] - 0.5)


def _gap(task: np.ndarray, regular: np.ndarray) -> np.ndarray:
    """``task`` less ``regular``; what only one of them reaches is 0 in the other, what neither reaches stays NaN."""
    difference = np.nan_to_num(task) - np.nan_to_num(regular)
    return np.where(np.isnan(task) & np.isnan(regular), np.nan, difference)


def _windows(picture: np.ndarray, rgb: np.ndarray, tokens: TokenMap, caption: str) -> Cell | None:
    if tokens.regions is None:
        return None
    regions = spread(tokens.regions, tokens.cell, (rgb.shape[0], rgb.shape[1]), (picture.shape[0], picture.shape[1]))
    return Cell(divided(dimmed(picture), regions), caption)


def _at_drawing_size(rgb: np.ndarray) -> np.ndarray:
    h, w = rgb.shape[:2]
    scale = min(max(MIN_HEIGHT / h, 1.0), MAX_HEIGHT / h, MAX_WIDTH / w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))


def _pixels(tokens: TokenMap, rgb: np.ndarray, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and reach of a map for each pixel of the picture; outside the reach there is no value."""
    photo, size = (rgb.shape[0], rgb.shape[1]), (picture.shape[0], picture.shape[1])
    values = spread(tokens.values.astype(np.float64), tokens.cell, photo, size)
    if tokens.reach is None:
        return values, None
    inside = spread(tokens.reach, tokens.cell, photo, size)
    return np.where(inside, values, np.nan), inside


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.3g} .. {known.max():.3g}" if known.size else ""


def _bars(width: int, high: float, limit: float, what: str) -> np.ndarray:
    """The scales of the two rows side by side, each under its name, or below each other on a narrow page."""
    each = min(BAR_WIDTH, width)
    parts = [
        stacked(
            [np.array(typeset(text, 13, each, 2).image(MUTED)), colour_bar(colours, low, top, width=each)], each, gap=4
        )
        for text, colours, low, top in ((what, HEAT, 0.0, high), ("task - regular", DIVERGING, -limit, limit))
    ]
    return beside(parts, width, gap=40)
