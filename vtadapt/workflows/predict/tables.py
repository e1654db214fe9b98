"""Where pictures were written, for ``predict`` and ``visualize-attention``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtadapt.workflows.terminal.tables import show_result


def show_pictures(results: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print where the pictures of each input were written; inputs that were left out have none."""
    show_result(results, as_json, lambda: [written(entry) for entry in results if "error" not in entry])


def written(entry: Mapping[str, Any]) -> str:
    """The file that is named for an input: its picture, or where none was drawn its arrays."""
    return str(entry.get("panel", entry.get("raw")))
