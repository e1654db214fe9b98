"""What ``prepare-data NAME --check`` prints: tables of splits, labels, classes and normals, then what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtadapt.digits import amount, percent
from vtadapt.workflows.terminal.tables import Table, show_result

CLASSES = 40  # rows of a table of classes
SIZES = 3  # named in a row


def show_check(report: Mapping[str, Any], as_json: bool) -> None:
    """Print a report of :func:`vtadapt.workflows.prepare.check_data.check_data`; as one JSON document if so asked."""
    lines = [f"warning: {line}" for line in report["warnings"]]
    lines += [f"problem: {line}" for line in report["problems"]]
    if not report["problems"]:
        lines.append("no problems" if report["warnings"] else "no problems, no warnings")
    if report["picture"]:
        lines.append(f"contact sheet: {report['picture']}")
    show_result(report, as_json, lambda: [*check_tables(report), *lines])


def check_tables(report: Mapping[str, Any]) -> list[Table]:
    """All tables of a report."""
    tables = [_splits(report), _labels(report)]
    tables += [_classes(report, task) for task in _class_tasks(report)]
    tables += [_normals(task, found) for task, found in report["normals"].items() if found["samples"]]
    return [table for table in tables if table.row_count]


def _table(title: str, left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    table = Table(title)
    for column in left:
        table.add_column(column)
    for column in right:
        table.add_column(column, justify="right")
    return table


def _splits(report: Mapping[str, Any]) -> Table:
    table = _table(str(report["name"]), ("split", "height x width"), ("samples", "image mean", "sd", "repeated"))
    for split, entry in report["splits"].items():
        sizes = list(entry["sizes"].items())
        named = ", ".join(size if len(sizes) == 1 else f"{size} ({count})" for size, count in sizes[:SIZES])
        more = f" and {len(sizes) - SIZES} more" if len(sizes) > SIZES else ""
        image = entry["image"]
        numbers = (f"{image['mean']:.1f}", f"{image['sd']:.1f}", str(image["repeated"]))
        table.add_row(split, named + more, str(entry["samples"]), *numbers)
    return table


def _labels(report: Mapping[str, Any]) -> Table:
    """Counts and ranges; standard deviations and percentiles are in the JSON only, so that it fits 80 columns."""
    table = _table("labels", ("split", "task"), ("labels", "valid", "min .. max", "median", "mean"))
    for split, entry in report["splits"].items():
        for index, (task, found) in enumerate(entry["tasks"].items()):
            units = f", {found['units']}" if found["units"] else ""
            share = percent(found["valid_share"]) if found["samples"] else ""
            ids = "pixels_per_class" in found or found["min"] is None
            limits = "" if ids else f"{amount(found['min'], 4)} .. {amount(found['max'], 4)}"
            cells = [_number(found.get(key)) for key in ("median", "mean")]
            last = index == len(entry["tasks"]) - 1
            names = (split if index == 0 else "", task + units)
            table.add_row(*names, str(found["samples"]), share, limits, *cells, end_section=last)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else amount(value, 4)


def _class_tasks(report: Mapping[str, Any]) -> list[str]:
    """Tasks of classes, in the order of the recipe."""
    entries = [entry["tasks"] for entry in report["splits"].values()]
    return list(
        dict.fromkeys(task for tasks in entries for task, found in tasks.items() if "pixels_per_class" in found)
    )


def _classes(report: Mapping[str, Any], task: str) -> Table:
    """Share of the labelled pixels and number of images of each class; of many the most frequent."""
    found = {split: entry["tasks"][task] for split, entry in report["splits"].items() if task in entry["tasks"]}
    totals = {split: max(sum(entry["pixels_per_class"].values()), 1) for split, entry in found.items()}
    names = list(next(iter(found.values()))["pixels_per_class"])
    if len(names) > CLASSES:
        names.sort(key=lambda name: -sum(entry["pixels_per_class"][name] for entry in found.values()))
    hidden = len(names) - CLASSES
    title = f"{task}: classes" + (f" (the {CLASSES} most frequent, {hidden} more)" if hidden > 0 else "")
    table = _table(title, ("class",), tuple(f"{split} {what}" for split in found for what in ("pixels", "images")))
    for name in names[:CLASSES]:
        cells: list[str] = []
        for split, entry in found.items():
            pixels = entry["pixels_per_class"][name]
            cells += [percent(pixels / totals[split]) if pixels else "-", str(entry["images_per_class"][name])]
        table.add_row(name, *cells)
    return table


def _normals(task: str, found: Mapping[str, Any]) -> Table:
    title = f"{task}: mean angle to the depth's normals, {found['samples']} samples, camera: {found['camera']}"
    table = _table(title, ("axes",), ("degrees",))
    for words, degrees in found["degrees"].items():
        table.add_row(words, f"{degrees:.1f}")
    if found["fits"] not in found["degrees"]:
        table.add_row(found["fits"], f"{found['fits_degrees']:.1f}")
    return table
