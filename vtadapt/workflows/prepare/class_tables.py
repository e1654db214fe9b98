"""Which classes a pack holds, and what became of pixels that nobody labelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vtadapt.digits import percent
from vtadapt.workflows.terminal.tables import Table

SHOWN = 20  # classes of a table


def class_tables(manifest: Mapping[str, Any]) -> list[Table]:
    """For each task of classes the share of the labelled pixels that is of each, by split; of many the commonest."""
    tables = []
    for task in manifest["tasks"]:
        entries = {split: entry["tasks"].get(task) for split, entry in manifest["splits"].items()}
        counted = {split: entry["pixels_per_class"] for split, entry in entries.items() if _has_classes(entry)}
        if counted:
            tables.append(_table(task, counted))
    return tables


def _has_classes(entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and "pixels_per_class" in entry


def _table(task: str, counted: Mapping[str, Mapping[str, int]]) -> Table:
    totals = {split: max(sum(counts.values()), 1) for split, counts in counted.items()}
    names = list(next(iter(counted.values())))
    if hidden := max(0, len(names) - SHOWN):
        names.sort(key=lambda name: -sum(counts[name] for counts in counted.values()))
    table = Table(f"{task}: share of labelled pixels" + (f" (the {SHOWN} commonest, {hidden} more)" if hidden else ""))
    table.add_column("class")
    for split in counted:
        table.add_column(split, justify="right")
    for name in names[:SHOWN]:
        shares = (counts[name] / totals[split] for split, counts in counted.items())
        table.add_row(name, *(percent(share) if share else "none" for share in shares))
    return table


def class_notes(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What pixels without any annotation are, and classes that training never sees."""
    labels = manifest["recipe"].get("options", {}).get("labels", {})
    for task, how in labels.items() if isinstance(labels, Mapping) else ():
        if task in manifest["tasks"] and isinstance(how, Mapping) and how.get("format"):
            base = how.get("unlabelled")
            said = f"class {base!r}" if base is not None else "void, no class ('unlabelled: CLASS' makes them one)"
            yield f"{task}: pixels without any annotation are {said}"
    train = manifest["splits"].get("train", {}).get("tasks", {})
    for task, entry in train.items():
        if _has_classes(entry) and (lost := [name for name, count in entry["pixels_per_class"].items() if not count]):
            more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
            yield f"{task}: no pixel of train is {', '.join(lost[:3])}{more}"
