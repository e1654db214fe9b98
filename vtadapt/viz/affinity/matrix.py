"""How a matrix of tasks is drawn: colours of numbers, room for names, cells, and the colour bar.

Rows are sources and columns targets, everywhere. Colours run from orange-red (harm) over near-white (0) to blue
(help), which readers with any of the common kinds of colour blindness tell apart; a matrix without negative numbers
uses the upper half, so that a number has one colour in both. ``heatmap`` puts pictures together from this.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtadapt.tasks.spec import Colour
from vtadapt.viz.affinity.pixel_page import Page, line_step, ratio, shortened, text_width
from vtadapt.viz.style import MUTED, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

MARGIN = 28  # around a page
UNMEASURED: Colour = (176, 180, 186)
INKS: tuple[Colour, Colour] = ((20, 24, 30), (255, 255, 255))


@dataclass(frozen=True)
class Block:
    """One matrix to draw, checked: float64 (T, T), and what goes with it."""

    caption: str
    values: np.ndarray
    error: np.ndarray | None = None
    marked: np.ndarray | None = None


@dataclass(frozen=True)
class Scale:
    """Values to colours: from ``low`` to ``high``; ``extend`` says at which ends values lie beyond."""

    low: float
    high: float
    extend: str

    def mappable(self) -> ScalarMappable:
        """Return the map as matplotlib has it."""
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize

        table = colormaps["RdBu"](np.linspace(0.5 if self.low >= 0 else 0.0, 1.0, 256))
        return ScalarMappable(Normalize(self.low, self.high, clip=True), ListedColormap(table))


def scale_of(matrices: Sequence[np.ndarray], limits: tuple[float, float] | None = None) -> Scale:
    """Choose the scale of matrices that are drawn together; ``limits`` as in ``heatmap``."""
    values = np.concatenate([m[np.isfinite(m)] for m in matrices])
    least, most = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if limits is not None:
        low, high = float(limits[0]), float(limits[1])
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"limits must be two finite numbers, the lower first, found {limits}")
        if low < 0 or least < 0:
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    elif least < 0:
        high = max(-least, most)
        low = -high
    else:
        low, high = 0.0, max(most, 1.0)
    beyond = least < low, most > high
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    return Scale(low, high, extend)


@dataclass(frozen=True)
class Plan:
    """Where things lie, in pixels: the size of a cell and of type, the room for names, blocks in a row."""

    names: tuple[str, ...]
    cell: int
    size: int  # of names
    columns: int
    slanted: bool
    side: int  # left of the cells: axis title and names of the sources
    above: int  # above the cells: axis title and names of the targets
    overhang: int  # of the last slanted name beyond the last column

    @property
    def span(self) -> int:
        """Width and height of all cells of a block."""
        return self.cell * len(self.names)

    @property
    def gap(self) -> int:
        """Between blocks side by side."""
        return 30

    def caption(self, blocks: Sequence[Block]) -> int:
        """Height of the captions of a row of blocks."""
        return line_step(self.size + 1) + 6 if any(block.caption for block in blocks) else 0

    def width(self, count: int) -> int:
        """Width of ``count`` blocks with the names at the left and the colour bar at the right."""
        columns = min(count, self.columns)
        body = self.side + columns * self.span + (columns - 1) * self.gap
        return body + max(self.overhang, 90)

    def height(self, blocks: Sequence[Block]) -> int:
        """Height of all rows of blocks."""
        rows = -(-len(blocks) // self.columns)
        return rows * (self.caption(blocks) + self.above + self.span) + (rows - 1) * self.gap


def plan_blocks(names: Sequence[str], cell: int, columns: int) -> Plan:
    """Lay out blocks with cells of this size; names across are slanted where they are wider than a cell."""
    size = min(max(round(cell * 0.17), 10), 17)
    short = tuple(shortened(name, size, 20 * size) for name in names)
    widths = [text_width(name, size) for name in short]
    slanted = max(widths) > cell - 6
    lean = math.sqrt(0.5) if slanted else 0.0
    head = math.ceil(max(widths) * lean + size) if slanted else line_step(size)
    last = max(x + w * lean + size for x, w in zip((i * cell for i in range(len(short))), widths, strict=True))
    over = math.ceil(last + cell / 2 - cell * len(short)) if slanted else 0
    title = line_step(size)
    return Plan(short, cell, size, columns, slanted, title + 6 + max(widths) + 8, title + 4 + head + 6, max(over, 0))


def plan_small(names: Sequence[str], count: int) -> Plan:
    """Lay out ``count`` small blocks in rows of about a page's width."""
    cell = min(max(round(330 / len(names)), 15), 72)
    columns = max(1, min(count, 3 if count in (3, 5, 6, 9) else 4, 1500 // (cell * len(names) + 30)))
    return plan_blocks(names, cell, columns)


def draw_blocks(page: Page, top: float, blocks: Sequence[Block], plan: Plan, scale: Scale) -> None:
    """Draw the blocks in reading order with one colour bar at the right of the first row."""
    caption = plan.caption(blocks)
    step = caption + plan.above + plan.span + plan.gap
    for i, block in enumerate(blocks):
        row, column = divmod(i, plan.columns)
        left = MARGIN + plan.side + column * (plan.span + plan.gap)
        y = top + row * step
        if block.caption:
            text = shortened(block.caption, plan.size + 1, plan.span + plan.gap - 8)
            page.text(left, y, text, plan.size + 1, weight="bold")
        cells_top = y + caption + plan.above
        _draw_names(page, left, cells_top, plan, sources=column == 0)
        ax = page.axes(left, cells_top, plan.span, plan.span)
        _draw_cells(ax, block, plan, scale)
    columns = min(len(blocks), plan.columns)
    right = MARGIN + plan.side + columns * plan.span + (columns - 1) * plan.gap
    _draw_bar(page, right + 26, top + caption + plan.above, max(plan.span, 72), scale)


def _draw_names(page: Page, left: float, top: float, plan: Plan, *, sources: bool) -> None:
    """Write the names around the cells whose corner is (left, top), and the titles of the axes."""
    muted = ratio(MUTED)
    for i, name in enumerate(plan.names):
        middle = (i + 0.5) * plan.cell
        if plan.slanted:
            slant = {"rotation": 45, "rotation_mode": "anchor", "ha": "left", "va": "bottom"}
            page.text(left + middle + 2, top - 5, name, plan.size, **slant)
        else:
            page.text(left + middle, top - 7, name, plan.size, ha="center", va="bottom")
        if sources:
            page.text(left - 8, top + middle, name, plan.size, ha="right", va="center_baseline")
    page.text(left, top - plan.above, "target", plan.size, color=muted)
    if sources:
        page.text(MARGIN, top + plan.span / 2, "source", plan.size, color=muted, rotation=90, va="center")


def _draw_cells(ax: Axes, block: Block, plan: Plan, scale: Scale) -> None:
    """Fill the axes with the cells, lines of paper between them, their values, errors and marks."""
    from matplotlib.patches import Rectangle

    count = len(plan.names)
    ax.set(xlim=(0, count), ylim=(count, 0))
    ax.axis("off")
    colours = scale.mappable().to_rgba(np.nan_to_num(block.values))[..., :3]
    colours[np.isnan(block.values)] = ratio(UNMEASURED)
    edges = np.arange(count + 1)
    ax.pcolormesh(edges, edges, colours, edgecolors=[ratio(PAPER)], linewidth=2)
    texts = _Texts.of(block, plan.cell, scale)
    for s, t in np.ndindex(count, count):
        ink = _ink_on(colours[s, t])
        texts.write(ax, s, t, ink)
        if block.marked is not None and block.marked[s, t]:
            inset = max(4.5, 0.055 * plan.cell) / plan.cell
            box = Rectangle((t + inset, s + inset), 1 - 2 * inset, 1 - 2 * inset, fill=False, edgecolor=ink)
            box.set(linewidth=1.4, linestyle=(0, (3, 2.2)))
            ax.add_patch(box)


@dataclass(frozen=True)
class _Texts:
    """What is written in the cells of a block, by place, and the sizes of type (0: too small to be written)."""

    values: dict[tuple[int, int], str]
    errors: dict[tuple[int, int], str]
    size: int
    small: int

    @classmethod
    def of(cls, block: Block, cell: int, scale: Scale) -> _Texts:
        """Write out the numbers of a block for cells of this many pixels."""
        values: dict[tuple[int, int], str] = {}
        errors: dict[tuple[int, int], str] = {}
        for s, t in np.ndindex(*block.values.shape):
            if np.isnan(block.values[s, t]):
                continue
            values[s, t] = number_text(float(block.values[s, t]), scale.high)
            if block.error is not None and not np.isnan(block.error[s, t]):
                errors[s, t] = "±" + number_text(abs(float(block.error[s, t])), scale.high, least=True)
        size = _fitting(values.values(), min(max(round(cell * 0.2), 11), 21), cell - 6)
        return cls(values, errors, size, _fitting(errors.values(), min(max(round(cell * 0.13), 9), 14), cell - 6))

    def write(self, ax: Axes, s: int, t: int, ink: tuple[float, float, float]) -> None:
        """Write the value in the middle of a cell, or with the error below it; a dash where there is none."""
        middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": ink}
        text, below = self.values.get((s, t)), self.errors.get((s, t), "")
        if text is None:
            ax.text(t + 0.5, s + 0.5, "–", fontsize=max(self.size, 9), **middle)
        elif self.size:
            lift = 0.13 if below and self.small else 0.0
            ax.text(t + 0.5, s + 0.5 - lift, text, fontsize=self.size, **middle)
            if lift:
                ax.text(t + 0.5, s + 0.69, below, fontsize=self.small, **middle)


def _fitting(texts: Iterable[str], size: int, width: int) -> int:
    """Return the size of type, at most ``size``, at which all texts are within ``width`` pixels; 0 if below 9."""
    longest = max(texts, key=len, default="")
    while size >= 9 and text_width(longest, size) > width:
        size -= 1
    return size if size >= 9 else 0


def number_text(value: float, bound: float, *, least: bool = False) -> str:
    """Write a number of a picture whose numbers reach ``bound``: two to three digits; ``least`` shows one if tiny."""
    decimals = 2 - math.floor(math.log10(bound))
    if not 0 <= decimals <= 4:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    text = f"{value:.{min(decimals, 3)}f}"
    if float(text) == 0:
        return f"{value:.1g}".replace("e-0", "e-") if least and value else text.removeprefix("-")
    return text


def _ink_on(colour: np.ndarray) -> tuple[float, float, float]:
    """Return the ink, dark or white, with the higher contrast (WCAG 2 relative luminance) on a colour 0..1."""

    def luminance(rgb: Any) -> float:
        rgb = np.asarray(rgb)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    paper = luminance(colour)
    dark, light = map(ratio, INKS)
    on_dark = (paper + 0.05) / (luminance(dark) + 0.05)
    on_light = (luminance(light) + 0.05) / (paper + 0.05)
    return dark if on_dark >= on_light else light


def _draw_bar(page: Page, left: float, top: float, height: float, scale: Scale) -> None:
    """Draw the colour bar with its numbers at the right."""
    bar = page.figure.colorbar(scale.mappable(), cax=page.axes(left, top, 16, height), extend=scale.extend)
    bar.locator = ticks(6 if height > 200 else 3)
    bar.update_ticks()
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=12, length=3, color=ratio(MUTED), labelcolor=ratio(MUTED))


def ticks(count: int, *, whole: bool = False) -> Any:
    """Place about ``count`` round numbers on an axis, ``whole`` ones only for counts."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10], integer=whole)
