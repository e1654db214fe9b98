"""What every sweep prints at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vtadapt.errors import VtadaptError
from vtadapt.workflows.terminal.exported import show_alone
from vtadapt.workflows.terminal.tables import Table, show_result


def show_sweep(
    result: Mapping[str, Any],
    as_json: bool,
    name: str,
    tables: Callable[[Mapping[str, Any]], Iterable[Table]],
    notes: Callable[[Mapping[str, Any]], Sequence[str]],
) -> None:
    """Print what a sweep found: tables, what must be known to read them, its folder and its pictures.

    Args:
        result: of the sweep; ``failed`` holds trial -> why.
        as_json: one JSON document instead.
        name: of the command.
        tables: makes the tables of a result.
        notes: makes the lines below them.

    Raises:
        VtadaptError: a trial failed; after all is printed.
    """
    files = result.get("files", {})
    ends = [f"{name}: {result['folder']}", *result["panels"], *files.values()]
    if as_json or not show_alone(files):
        show_result(result, as_json, lambda: [*tables(result), *notes(result), *ends])
    if failed := result["failed"]:
        first, error = next(iter(failed.items()))
        raise VtadaptError(f"{len(failed)} of the trainings failed; the first, {first}: {error}")
