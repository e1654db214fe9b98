"""Tables about data sets: what a source holds, what a pack holds, what a recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtadapt.data.prepare.aspect import aspect_line
from vtadapt.digits import amount, percent
from vtadapt.workflows.terminal.tables import Table


def manifest_table(manifest: Mapping[str, Any]) -> Table:
    """Samples and labels per split, with the range of what was measured."""
    table = Table(str(manifest["name"]))
    for column in ("split", "samples", "task", "with label", "valid", "range", "derived"):
        table.add_column(column, justify="right" if column in ("samples", "with label", "valid") else "left")
    for split, entry in manifest["splits"].items():
        for index, (task, stats) in enumerate(entry["tasks"].items()):
            first = index == 0
            table.add_row(
                split if first else "",
                str(entry["samples"]) if first else "",
                task,
                str(stats["samples"]),
                percent(stats["valid_share"]),
                _range(stats),
                "derived" if task in manifest["derived"] else "",
                end_section=index == len(entry["tasks"]) - 1,
            )
    return table


def _range(stats: Mapping[str, Any]) -> str:
    """Lowest and highest value with units; for classes how many of them are seen."""
    if "pixels_per_class" in stats:
        seen = sum(count > 0 for count in stats["pixels_per_class"].values())
        return f"{seen} of {len(stats['pixels_per_class'])} classes"
    if stats["min"] is None:
        return "-"
    return f"{amount(stats['min'])} to {amount(stats['max'])} {stats['units']}".rstrip()


def notes(manifest: Mapping[str, Any]) -> list[str]:
    """What a user should know of a pack beside its table: tasks left out, labels and samples missing."""
    lines = [f"left out: {task}, no sample has a label ({why})" for task, why in manifest.get("left_out", {}).items()]
    lines += [f"decided from the files: {key} = {value}" for key, value in manifest.get("decided", {}).items()]
    lines += [f"passed over: {line}" for line in manifest.get("passed_over", ())]
    lines += [f"read: {line}" for line in manifest.get("outside", ())]
    for split, entry in manifest["splits"].items():
        if "aspect" in entry:
            fit = manifest["recipe"].get("fit", "squeeze")
            lines.append(aspect_line(split, entry["aspect"], entry["samples"], fit, manifest["size"]))
        lines += [
            f"{split}: {lost['samples']} samples without {task}, the first lacks {lost['first']}"
            for task, lost in entry.get("missing", {}).items()
        ]
        lines += [
            f"{split}: not one of {found['samples']} labels of {task} has a pixel that is not void or missing"
            for task, found in entry["tasks"].items()
            if found["samples"] and found["min"] is None
        ]
        if broken := entry["broken"]:
            lines.append(f"{split}: {len(broken)} broken samples left out, the first: {broken[0]['problem']}")
    return lines


def survey_tables(result: Mapping[str, Any]) -> list[Table]:
    """What a dry run found: the expected downloads, and samples and labels per split."""
    tables = []
    if result["files"]:
        files = Table(f"{result['name']}: files")
        for column in ("expected", "bytes", "state", "for"):
            files.add_column(column, justify="right" if column == "bytes" else "left", overflow="fold")
        for file in result["files"]:
            wanted = "" if file.get("bytes") is None else f"{file['bytes']:,}"
            state = file["state"] if file["state"] != "another size" else f"{file['found']:,} bytes"
            files.add_row(file["path"], wanted, state, ", ".join(file["tasks"]) or "all")
        tables.append(files)
    title = f"{result['name']}: found in {result['source'] or 'no source'}"
    found = Table(title)
    for column in ("split", "samples", "task", "labels", "missing"):
        found.add_column(column, justify="left" if column in ("split", "task") else "right")
    for split, entry in result["splits"].items():
        for index, (task, counts) in enumerate(entry["tasks"].items()):
            name = f"{task} (derived from {counts['derived_from']})" if "derived_from" in counts else task
            row = (name, str(counts["labels"]), str(entry["samples"] - counts["labels"] or ""))
            shown = (split, str(entry["samples"])) if index == 0 else ("", "")
            found.add_row(*shown, *row, end_section=index == len(entry["tasks"]) - 1)
    lost = Table("first missing", show_header=False)
    for split, entry in result["splits"].items():
        for task, counts in entry["tasks"].items():
            if counts["first_missing"]:
                lost.add_row(split, task, counts["first_missing"])
        if entry["first_file_missing"]:
            lost.add_row(split, "needed", entry["first_file_missing"])
    near = Table("passed over", show_header=False)
    for line in result["passed_over"]:
        near.add_row(line)
    for line in result["outside"]:
        near.add_row(f"but read: {line}")
    aspects = Table("aspect ratios", show_header=False)
    for split, entry in result["splits"].items():
        if "aspect" in entry:
            aspects.add_row(aspect_line(split, entry["aspect"], entry["samples"], result["fit"], result["size"]))
    problems = Table("problems", show_header=False)
    for line in result["problems"]:
        problems.add_row(line)
    return [*tables, found, *(t for t in (lost, near, aspects, problems) if t.row_count)]


def description_tables(known: Mapping[str, Any]) -> list[Table]:
    """What a recipe says: where the files are had, and the tasks."""
    source = known["source"]
    about = Table(f"{known['name']}: {known['title']}", show_header=False)
    rows = {
        "licence": known["licence"],
        "citation": known["citation"],
        "get it": source.get("hint", ""),
        "homepage": source.get("homepage", ""),
        "layout": source.get("layout", ""),
        "splits": ", ".join(known["splits"]),
        "size": "native" if known["size"] is None else "x".join(map(str, known["size"])),
        "label sets": ", ".join(f"{name} ({len(classes)})" for name, classes in known["label_sets"].items()),
        "maps to": ", ".join(known["class_maps"]),
    }
    for what, text in rows.items():
        if text:
            about.add_row(what, str(text))
    for file in source.get("files", ()):
        size = f", {file['bytes']:,} bytes" if "bytes" in file else ""
        about.add_row("file", f"{file['path']}{size} {file.get('about', '')}".strip())
    tasks = Table("tasks")
    for column in ("task", "kind", "units", "derived", "conventions"):
        tasks.add_column(column)
    for name, task in known["tasks"].items():
        units = f"{task['classes']} classes" if task["classes"] else task["units"]
        derived = "derived" if task["derived"] else ""
        tasks.add_row(name, task["kind"], units, derived, task["conventions"])
    return [about, tasks]
