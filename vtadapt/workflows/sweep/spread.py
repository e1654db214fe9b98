"""Numbers over seeds: mean and standard deviation, headline metrics, and Delta_m of two runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import mean, stdev
from typing import Any

from vtadapt.errors import DataError
from vtadapt.tasks import Task, delta_m

Results = Mapping[str, Any]

Spread = dict[str, Any]


def headlines(tasks: Mapping[str, Task]) -> dict[str, dict[str, Any]]:
    """Task -> its headline metric, whether more is better, and its unit."""
    return {
        name: {"metric": t.headline, "higher_is_better": t.higher_is_better(t.headline), "units": t.units}
        for name, t in tasks.items()
    }


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean, sample standard deviation (None for one value) and number of what is there; None for nothing."""
    there = [float(v) for v in values if v is not None]
    if not there:
        return None
    return {"mean": mean(there), "sd": stdev(there) if len(there) > 1 else None, "n": len(there)}


def overall_delta_m(results: Results, baseline: Results, tasks: Mapping[str, Task]) -> float | None:
    """Delta_m of two runs' metrics (data set -> task -> key -> value), the mean over all pairs of data set and task.

    None where it is not defined: a metric is missing, or 0 in the baseline.
    """
    terms = []
    for data, by_task in baseline.items():
        for name in by_task:
            try:
                terms.append(delta_m(results.get(data, {}), by_task, [tasks[name]]))
            except DataError:
                return None
    return mean(terms) if terms else None
