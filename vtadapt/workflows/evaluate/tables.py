"""Metrics on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtadapt.workflows.terminal.tables import Table, show_result


def show_results(results: Mapping[str, Any], as_json: bool) -> None:
    """Print what training or evaluation returned."""
    show_result(results, as_json, lambda: [*metric_tables(results["metrics"]), f"run: {results['run']}"])


def metric_tables(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Table]:
    """One table per data set: task, metric, value; per-class values on one line each."""
    tables = []
    for data, by_task in metrics.items():
        table = Table(data)
        table.add_column("task")
        table.add_column("metric")
        table.add_column("value", justify="right")
        for task, values in by_task.items():
            for index, (key, value) in enumerate(values.items()):
                table.add_row(task if index == 0 else "", key, f"{value:.4f}", end_section=index == len(values) - 1)
        tables.append(table)
    return tables
