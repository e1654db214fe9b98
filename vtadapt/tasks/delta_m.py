"""Delta_m: how much better all tasks together are than single-task networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vtadapt.errors import DataError
from vtadapt.tasks.task import Task


def delta_m(
    results: Mapping[str, Mapping[str, float]],
    baselines: Mapping[str, Mapping[str, float]],
    tasks: Iterable[Task],
) -> float:
    """Return Delta_m in percent: 100/T sum_t (-1)^{l_t} (M_t - B_t)/B_t over the headline metrics; more is better.

    l_t = 1 when lower is better for task t (Maninis et al. 2019, eq. 1). B_t comes from single-task training.

    Args:
        results: task name -> metric key -> value (what ``Meter.compute`` returned).
        baselines: the same for the single-task networks.
        tasks: the T tasks to average over; every one needs its headline metric on both sides.

    Raises:
        DataError: a headline metric is missing, or a baseline is 0.
    """
    terms = []
    for task in tasks:
        key = task.headline
        for side, values in (("results", results), ("baselines", baselines)):
            if key not in values.get(task.name, {}):
                raise DataError(f"Delta_m needs {key!r} of task {task.name!r}; the {side} lack it: leave the task out.")
        value, base = results[task.name][key], baselines[task.name][key]
        if base == 0:
            raise DataError(f"Delta_m is undefined: the baseline of {key!r} of task {task.name!r} is 0.")
        sign = 1.0 if task.higher_is_better(key) else -1.0
        terms.append(sign * (value - base) / base)
    if not terms:
        raise DataError("Delta_m needs at least one task; none was given.")
    return 100.0 * sum(terms) / len(terms)
