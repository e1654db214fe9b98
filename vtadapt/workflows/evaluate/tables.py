"""Metrics on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtadapt.workflows.evaluate.floor import floor_cell
from vtadapt.workflows.terminal.exported import show_alone
from vtadapt.workflows.terminal.tables import Table, show_result


def show_results(results: Mapping[str, Any], as_json: bool) -> None:
    """Print what training or evaluation returned; where one table was asked for as a file, that in its place."""
    files, drawn = results.get("files", {}), results.get("confusions", {})
    if not as_json and show_alone(files):
        return
    paths = [*files.values(), *(path for by_task in drawn.values() for each in by_task.values() for path in each)]
    show_result(results, as_json, lambda: [*measured(results), f"run: {results['run']}", *paths])


def measured(results: Mapping[str, Any]) -> list[Table | str]:
    """Metrics with their floor, a line for each task that is not above it, and for each set without a label."""
    below = [
        f"{place}: not above the floor of the trivial predictors" for place in results.get("not_above_trivial", [])
    ]
    best = [
        f"{data} {task}: the best threshold is {cut:g}; predict --binary uses that of training"
        for data, by_task in results.get("thresholds", {}).items()
        for task, cut in by_task.items()
    ]
    empty = [
        f"{data}: nothing was measured, no picture has a pixel with a label of any task"
        for data, by_task in results["metrics"].items()
        if not any(by_task.values())
    ]
    known = {data: by_task for data, by_task in results["metrics"].items() if any(by_task.values())}
    return [*metric_tables(known, results.get("trivial")), *empty, *below, *best]


def metric_tables(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]], trivial: Mapping[str, Any] | None = None
) -> list[Table]:
    """One table per data set: task, metric, value, floor; per-class values on one line each.

    The floor is the best trivial predictor in that metric, and its name; without ``trivial`` that column is left out.
    """
    tables = []
    for data, by_task in metrics.items():
        table = Table(data)
        table.add_column("task")
        table.add_column("metric")
        table.add_column("value", justify="right")
        if trivial is not None:
            table.add_column("trivial")
        for task, values in by_task.items():
            for index, (key, value) in enumerate(values.items()):
                floor = [] if trivial is None else [floor_cell(trivial, data, task, key)]
                row = [task if index == 0 else "", key, f"{value:.4f}", *floor]
                table.add_row(*row, end_section=index == len(values) - 1)
        tables.append(table)
    return tables
