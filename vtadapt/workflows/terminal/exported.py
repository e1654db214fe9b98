"""Tables for other programs: CSV for spreadsheets, LaTeX for papers, as files and printed in place of a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.atomic import write_text
from vtadapt.errors import UsageError, printable
from vtadapt.workflows.terminal.text import show_drawn

CSV, LATEX = "csv", "latex"
SUFFIXES = {CSV: ".csv", LATEX: ".tex"}

_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
    **{"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "''"},
}
_FORMULA, _NUMBER = re.compile(r"[=+@-]."), re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?( \+- [\d.]+)?")


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as RFC 4180 has them, with the line ends of this system's editors; None is an empty cell."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([map(_csv_cell, row) for row in rows])
    return content.getvalue()


def _csv_cell(cell: Any) -> Any:
    """What stands in a cell: of text no control characters, and no formula, which spreadsheets would work out."""
    if not isinstance(cell, str):
        return "" if cell is None else cell
    text = printable(cell)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def latex_text(text: str) -> str:
    """``text`` as LaTeX sets it, whatever signs it has."""
    return "".join(_SPECIAL.get(c, c) for c in printable(" ".join(text.split())))


def latex_table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str, about: Sequence[str] = ()) -> str:
    """A ``table`` with the rules of the package booktabs; cells are LaTeX already, the first column is flush left.

    Args:
        heads: of the columns.
        rows: as wide as ``heads``.
        caption: plain text.
        about: comments above it, plain text.
    """
    lines = [f"% {re.sub(r'[^ -~]', '?', ' '.join(line.split()))}" for line in ("\\usepackage{booktabs}", *about)]
    lines += ["\\begin{table}", "\\centering", f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}", "\\toprule"]
    lines += [f"{' & '.join(heads)} \\\\", "\\midrule"]
    lines += [f"{' & '.join(row)} \\\\" for row in rows]
    lines += ["\\bottomrule", "\\end{tabular}", f"\\caption{{{latex_text(caption)}}}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def write_tables(stem: Path, kinds: Sequence[str], makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Write ``stem`` with the suffix of each kind; returns kind -> path.

    Args:
        stem: path without a suffix.
        kinds: of :data:`SUFFIXES`.
        makers: kind -> what makes its text.
    """
    found = {}
    for kind in kinds:
        path = stem.with_name(stem.name + SUFFIXES[kind])
        write_text(path, makers[kind]())
        found[kind] = str(path)
    return found


def show_alone(written: Mapping[str, str]) -> bool:
    """Print the one file that was asked for in place of tables; False, and nothing, where there are none or several."""
    if len(written) != 1:
        return False
    path = Path(next(iter(written.values())))
    try:
        show_drawn(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read again ({error.strerror})") from error
    return True
