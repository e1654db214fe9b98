"""The floor that trivial predictors make: who is below it, and how it is written into tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vtadapt.tasks import Task


def not_beaten(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    floor: Mapping[str, Mapping[str, Mapping[str, Any]]],
    tasks: Mapping[str, Task],
) -> list[str]:
    """Return "SET TASK" wherever the headline metric is not better than the floor.

    Args:
        metrics: data set -> task -> metric key -> value.
        floor: the same, "metrics" of :func:`trivial_metrics`.
        tasks: by name.
    """
    found = []
    for data, by_task in floor.items():
        for name, least in by_task.items():
            key = tasks[name].headline
            if key not in least:
                continue
            value = metrics.get(data, {}).get(name, {}).get(key, math.nan)
            better = value > least[key] if tasks[name].higher_is_better(key) else value < least[key]
            if not better:
                found.append(f"{data} {name}")
    return found


def floor_cell(trivial: Mapping[str, Any], data: str, task: str, key: str) -> str:
    """The floor of a metric and whose it is, "-" where there is none."""
    of = trivial["of"].get(data, {}).get(task, {}).get(key)
    return "-" if of is None else f"{trivial['metrics'][data][task][key]:.3f} {of}"


def floor_notes(trivial: Mapping[str, Any], headlines: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """For every task with several trivial predictors: what each reaches in the headline metric, the floor first."""
    lines = []
    several = len(trivial["predictors"]) > 1
    for data, by_task in trivial["predictors"].items():
        for task, by_name in by_task.items():
            key = headlines[task]["metric"]
            values = [(name, v[key]) for name, v in by_name.items() if key in v]
            if len(values) > 1:
                values.sort(key=lambda each: each[1], reverse=headlines[task]["higher_is_better"])
                reached = ", ".join(f"{name} {value:.3f}" for name, value in values)
                where = f"{data} {task}" if several else task
                lines.append(f"{where}: trivial predictors reach {key} {reached}; the first is the floor.")
    return lines
