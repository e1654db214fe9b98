"""Numbers over seeds: mean and standard deviation, headline metrics, and Delta_m of two runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from vtadapt.errors import DataError
from vtadapt.tasks import Task, delta_m

Results = Mapping[str, Any]

Spread = dict[str, Any]

FEWEST = 3  # seeds of which a difference can be called one


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


def paired(differences: Iterable[float]) -> Spread | None:
    """The spread of differences within seeds, its "error", and whether they are "told_apart" from 0.

    The error is half the width of the 95 % interval of the mean, t(0.975, n - 1) sd / sqrt(n); None for fewer than
    three seeds, of which nothing is called a difference.
    """
    found = spread(differences)
    if found is None:
        return None
    count, error = found["n"], None
    if count >= FEWEST:
        from scipy.special import stdtrit  # the quantile of Student's t

        error = float(stdtrit(count - 1, 0.975)) * found["sd"] / math.sqrt(count)
    return {**found, "error": error, "told_apart": error is not None and abs(found["mean"]) > error}


def verdict(found: Spread) -> str:
    """What :func:`paired` allows to say of a difference that is better where it is positive."""
    if found["n"] == 1:
        return "one seed: no error known"
    if found["error"] is None:
        return f"{found['n']} seeds: too few to tell, wanted {FEWEST}"
    interval = f"95 % interval of the paired differences of {found['n']} seeds +- {found['error']:.3f}"
    if not found["told_apart"]:
        return f"no difference told apart from chance: {interval}"
    return f"{'better' if found['mean'] > 0 else 'worse'}: {interval}"


def about_seeds(seeds: Sequence[int]) -> list[str]:
    """What must be said of a table of one seed."""
    return ["One seed: no error known, so no row can be called better; --seeds 3 tells."] if len(seeds) == 1 else []


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
