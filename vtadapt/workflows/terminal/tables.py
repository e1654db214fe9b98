"""Tables: for the terminal, never narrower than their longest words, and in Markdown."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text
from typing_extensions import override

from vtadapt.errors import printable
from vtadapt.workflows.terminal.text import show, show_drawn, show_json

WIDE = 80


class Table(RichTable):
    """Rich's table, in which every title, head and cell is text: ``[red]`` is a name, not a colour."""

    def __init__(self, title: str = "", **options: Any) -> None:
        """``options``: those of rich's."""
        super().__init__(title=_text(title) if title else None, title_justify="left", **options)

    @override
    def add_column(self, header: Any = "", *args: Any, **options: Any) -> None:
        """As rich's; cells that do not fit are folded, since a name cut short says nothing."""
        options.setdefault("overflow", "fold")
        super().add_column(_text(header), *args, **options)

    @override
    def add_row(self, *cells: Any, **options: Any) -> None:
        """As rich's."""
        super().add_row(*map(_text, cells), **options)


def _text(content: Any) -> Any:
    if not isinstance(content, str):
        return content  # a Text has its colours already
    return Text(printable(content))


def stacked(lines: Iterable[str]) -> Text:
    """A cell of several lines."""
    return Text("\n".join(map(printable, lines)))


def mean_and_sd(cell: str) -> Text:
    """A cell "MEAN +- SD" on two lines."""
    return Text("\n+- ".join(map(printable, cell.split(" +- "))))


def show_tables(tables: Iterable[RichTable]) -> None:
    """Print tables on stdout.

    On a very narrow terminal a table is as wide as its longest words need, up to 80 columns: the terminal breaks its
    lines, where rich would fold cells to single letters, or leave columns out.
    """
    real = Console(file=sys.stdout)
    for table in tables:
        needed = Measurement.get(real, real.options.update(width=1000), table).minimum
        drawn = Console(
            file=io.StringIO(),
            width=max(real.width, min(needed, WIDE)),
            force_terminal=real.is_terminal,
            color_system=real.color_system,  # type: ignore[arg-type]  # its names are those that are taken
        )
        if real.options.ascii_only:
            table.box = box.ASCII
        drawn.print(table)
        show_drawn(drawn.file.getvalue())  # type: ignore[attr-defined]


def show_result(result: Any, as_json: bool, layout: Callable[[], Iterable[RichTable | str]]) -> None:
    """Print what a command found on stdout: one JSON document, or the tables and lines that ``layout`` makes."""
    if as_json:
        show_json(result)
        return
    for piece in layout():
        show(piece) if isinstance(piece, str) else show_tables([piece])


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown; what a cell holds is text there, too."""
    head, *others = ("| " + " | ".join(map(markdown_cell, line)) + " |" for line in (heads, *rows))
    return [head, "|" + "---|" * len(heads), *others]


def markdown_page(heads: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str]) -> str:
    """A table in Markdown with notes below it, all of it text."""
    return "\n".join([*markdown_table(heads, rows), "", *map(markdown_cell, notes)]) + "\n"


def markdown_cell(text: str) -> str:
    """``text`` as one cell shows it: bars would begin another, angle brackets and others would be markup."""
    plain = printable(" ".join(text.split()))
    return re.sub(r"[\\|`*\[\]<>]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", plain)  # within a word _ is no markup
