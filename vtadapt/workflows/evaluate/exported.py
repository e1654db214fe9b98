"""What was measured, for other programs: CSV, LaTeX, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.atomic import write_text
from vtadapt.digits import amount
from vtadapt.tasks import Task
from vtadapt.viz.matrices.confusion import confusion_picture
from vtadapt.viz.panels import save_png
from vtadapt.workflows.terminal.exported import CSV, LATEX, csv_text, latex_table, latex_text, write_tables

HEADS = (
    *("run", "split", "data", "task", "metric", "units", "higher_is_better", "value", "trivial", "trivial_predictor"),
    *("pixels", "images"),
)


def write_measured(
    stem: Path, kinds: Sequence[str], results: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Task]]
) -> dict[str, str]:
    """Write the metrics beside their JSON file; returns kind -> path.

    Args:
        stem: path of that file without its suffix.
        kinds: "csv", "latex".
        results: what :func:`vtadapt.workflows.evaluate.evaluate.evaluate_run` returns.
        tasks: data set -> name -> task, as measured there.
    """
    makers = {CSV: lambda: measured_csv(results, tasks), LATEX: lambda: measured_latex(results, tasks)}
    return write_tables(stem, kinds, makers)


def measured_csv(results: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Task]]) -> str:
    """One row per metric, in full precision; classes too."""
    rows = []
    for data, task, key, value, floor, whose in _metrics(results):
        counts, about = results["counts"][data][task], tasks[data][task]
        known = [results["run"], results["split"], data, task, key, about.units, about.higher_is_better(key), value]
        rows.append([*known, floor, whose, counts["pixels"], counts["images"]])
    return csv_text(HEADS, rows)


def measured_latex(results: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Task]]) -> str:
    """One row per metric, less those of single classes; values that are not better than trivial are in italics."""
    several = len(results["metrics"]) > 1
    rows, before = [], ("", "")
    for data, task, key, value, floor, whose in _metrics(results):
        about = tasks[data][task]
        if key.partition("/")[2] in about.classes:
            continue
        up = about.higher_is_better(key)
        beaten = floor is None or (value > floor if up else value < floor)
        number = amount(value, 4)
        first = f"{data}: {task}" if several else task
        metric = f"{latex_text(key)} $\\{'uparrow' if up else 'downarrow'}$"
        trivial = "--" if floor is None else f"{amount(floor, 4)} ({latex_text(whose or '')})"
        name = latex_text(first) if (data, task) != before else ""
        rows.append([name, metric, number if beaten else f"\\textit{{{number}}}", trivial])
        before = data, task
    images = ", ".join(f"{count} images of {data}" for data, count in results["images"].items())
    caption = f"Run {Path(results['run']).name} on {images} ({results['split']}). Italics: no better than trivial."
    return latex_table(["task", "metric", "value", "trivial"], rows, caption)


def _metrics(results: Mapping[str, Any]) -> list[tuple[str, str, str, float, float | None, str | None]]:
    """(data, task, metric, value, the best trivial value, whose that is) of all that was measured."""
    trivial = results.get("trivial") or {"of": {}, "metrics": {}}
    found = []
    for data, by_task in results["metrics"].items():
        for task, values in by_task.items():
            for key, value in values.items():
                whose = trivial["of"].get(data, {}).get(task, {}).get(key)
                floor = None if whose is None else trivial["metrics"][data][task][key]
                found.append((data, task, key, value, floor, whose))
    return found


def write_confusions(
    folder: Path, ending: str, data: str, confusions: Mapping[str, Tensor], tasks: Mapping[str, Task], about: str
) -> dict[str, list[str]]:
    """Write ``confusion-DATA-TASK{ending}.csv`` and ``.png`` of each task with classes; returns task -> paths.

    Args:
        folder: that they are written to.
        ending: of the names.
        data: name of the data set.
        confusions: task -> pixels (K, K), truth down and prediction across.
        tasks: by name.
        about: below the picture.
    """
    found = {}
    for name, matrix in confusions.items():
        counts, classes = matrix.numpy(), tasks[name].classes
        stem = folder / f"confusion-{data}-{name}{ending}"
        rows = [[each, *map(int, row)] for each, row in zip(classes, counts, strict=True)]
        table, drawn = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.png")
        write_text(table, csv_text(["truth \\ prediction", *classes], rows))
        right = np.trace(counts) / max(counts.sum(), 1)
        footer = f"{about} Percent of each row's pixels; {100 * right:.1f} % of all are right."
        save_png(drawn, confusion_picture(counts, classes, f"{data} {name}", footer))
        found[name] = [str(table), str(drawn)]
    return found
