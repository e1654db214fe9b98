"""Where pictures were written, for ``predict`` and ``visualize-attention``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtadapt.workflows.predict.outputs.formats import ABOUT
from vtadapt.workflows.terminal.tables import show_result


def show_pictures(results: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print where the pictures of each input were written; inputs that were left out have none."""
    show_result(results, as_json, lambda: [written(entry) for entry in results if "error" not in entry])


ORDER = (*ABOUT, "raw", "frames_folder")


def written(entry: Mapping[str, Any]) -> str:
    """The file that is named for an input: its picture, or the first of what else was written of it."""
    for name in ORDER:
        found = entry.get(name)
        if found:
            return str(next(iter(found.values())) if isinstance(found, Mapping) else found)
    return "nothing"
