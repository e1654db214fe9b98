"""Where pictures were written, for ``predict`` and ``visualize-attention``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtadapt.workflows.predict.outputs.formats import ABOUT
from vtadapt.workflows.terminal.tables import show_result


def show_pictures(results: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print the files that were written, one a line; inputs that were left out have none."""

    def lines() -> list[str]:
        named = [path for entry in results if "error" not in entry for path in _files(entry) or ["nothing"]]
        return [*dict.fromkeys(named)]  # a file of several inputs once

    show_result(results, as_json, lines)


ORDER = (*ABOUT, "raw", "frames_folder")


def written(entry: Mapping[str, Any]) -> str:
    """What was written of an input: its picture, or the first of what else was, and how many more there are."""
    first, *more = _files(entry) or ["nothing"]
    return f"{first} and {len(more)} more" if more else first


def _files(entry: Mapping[str, Any]) -> list[str]:
    """All that was written of an input: its picture before the rest."""
    found = [entry[name] for name in ORDER if entry.get(name)]
    each = [path for one in found for path in (one.values() if isinstance(one, Mapping) else [one])]
    return [str(path) for path in dict.fromkeys(each)]
