"""HTML put together from elements: what is not markup already is escaped, so that no name can break a page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from vtadapt.viz.panels import Cell

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(content: object) -> Markup:
    """Return markup unchanged and anything else as text, safe in an element and in a quoted attribute."""
    return content if isinstance(content, Markup) else Markup(html.escape(str(content), quote=True))


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """Return an element.

    ``tag("p", "a < b", tag("b", "!"), class_="note")`` is ``<p class="note">a &lt; b<b>!</b></p>``. Content that is
    None is left out, as are attributes that are None or False; True is an attribute without a value. An underscore at
    the end of an attribute's name is dropped, one inside becomes a hyphen.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        words.append(label if value is True else f'{label}="{escaped(str(value))}"')
    opening = f"<{' '.join(words)}>"
    if name in VOID:
        return Markup(opening)
    return Markup(f"{opening}{join(content)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Return parts one after the other, each escaped unless it is markup; None is left out."""
    return Markup(between.join(escaped(part) for part in parts if part is not None))


def scrolled(content: Markup, label: str, class_: str = "scroll") -> Markup:
    """Return a box that scrolls sideways by itself, so that the page need not; ``label`` is read aloud."""
    return tag("div", content, class_=class_, role="region", aria_label=label, tabindex=0)


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    label: str,
    numbers: Sequence[int] = (),
    class_: str | None = None,
) -> Markup:
    """Return a table in a box that scrolls sideways.

    ``head`` are the names of the columns, of which the first names the row; ``numbers`` are the columns that are set
    flush right. ``label`` says what the table holds.
    """
    right = dict.fromkeys(numbers, "num")
    top = tag("tr", *(tag("th", text, scope="col", class_=right.get(i)) for i, text in enumerate(head)))
    body = []
    for first, *others in rows:
        cells = [tag("td", text, class_=right.get(i)) for i, text in enumerate(others, 1)]
        body.append(tag("tr", tag("th", first, scope="row", class_=right.get(0)), *cells))
    return scrolled(tag("table", tag("thead", top), tag("tbody", *body), class_=class_), label)


def picture(cell: Cell, alt: str, *, side: int = 360, width: int | None = None) -> Markup:
    """Return an ``<img>`` that holds its data: JPEG where the cell is ``smooth``, else PNG, whose colours are exact.

    Args:
        cell: what to show; only ``rgb`` and ``smooth`` are used.
        alt: what it shows, in words.
        side: pixels of the longer side at most; larger pictures are made smaller.
        width: pixels across on the page; by default those of the picture.
    """
    image = Image.fromarray(cell.rgb)
    factor = min(1.0, side / max(image.size))
    if factor < 1:
        method = Image.Resampling.LANCZOS if cell.smooth else Image.Resampling.NEAREST
        image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), method)
    shown = width or image.width
    return tag(
        "img",
        src=data_uri(image, cell.smooth),
        alt=alt,
        width=shown,
        height=max(1, round(image.height * shown / image.width)),
        class_=None if cell.smooth else "exact",
    )


def data_uri(image: Image.Image, lossy: bool) -> str:
    """Return a picture as a ``data:`` address: JPEG of quality 88, or PNG."""
    buffer = io.BytesIO()
    if lossy:
        image.save(buffer, "JPEG", quality=88, subsampling=0)
    else:
        image.save(buffer, "PNG", optimize=True)
    kind = "jpeg" if lossy else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def number(value: float | None) -> str:
    """Return a number with four digits that count, or a dash."""
    if value is None or not np.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 3 - int(np.floor(np.log10(abs(value)))))
        return f"{value:.{digits}f}"
    return f"{value:.2e}"
