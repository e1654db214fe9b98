"""The budget of a comparison: the same number of steps for all, or the same time on this machine."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vtadapt.digits import amount
from vtadapt.errors import ConfigError, UsageError, VtadaptError
from vtadapt.workflows.run import files
from vtadapt.workflows.run.loaders import STEPS
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.trial_process import COST, MEASURE
from vtadapt.workflows.sweep.trials import Trial, Variant, begin, make_trial, run_trials
from vtadapt.workflows.train.cost import WARM_UP
from vtadapt.workflows.train.troa import default_interval

KINDS = ("steps", "seconds")


class Budget(NamedTuple):
    """What every trial may use: so many "steps", or so many "seconds" of training on this machine."""

    kind: str
    value: float


def parse_budget(text: str | None, settings: TrainSettings) -> Budget:
    """Read "steps=N" or "seconds=N"; None: the settings' own steps, else about 1000 a data set.

    Raises:
        UsageError: something else.
    """
    if text is None:
        return Budget("steps", settings.steps or STEPS * len(settings.data_names))
    kind, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind.strip() not in KINDS or not 1 <= value < math.inf or (kind == "steps" and value != int(value)):
        raise UsageError(f"--budget {text!r}; wanted steps=N or seconds=N, N at least 1")
    return Budget(kind.strip(), value)


def with_budget(
    variants: Sequence[Variant], budget: Budget, tasks: int, folder: Path, jobs: int, quiet: bool
) -> tuple[list[Variant], dict[str, dict[str, Any]]]:
    """Give every variant its number of steps.

    For a budget in seconds some steps of each variant are trained first, as many processes at a time as later, and
    timed: its steps are then (seconds) / (seconds per step + seconds of preparation per step), once for all seeds. So
    the learning rate's schedule ends with the budget, and a run is decided by its settings and can be resumed exactly;
    the price is that the time really used, which the table tells, may differ by what the machine's speed does.

    Args:
        variants: of the comparison.
        budget: of each trial.
        tasks: their number, for the length of the measurement.
        folder: of the comparison; measurements are kept there.
        jobs: processes.
        quiet: no progress.

    Returns:
        The variants, and by label what was measured (nothing for steps).

    Raises:
        VtadaptError: a variant could not be measured.
        ConfigError: the budget is less than one step.
    """
    if budget.kind == "steps":
        return [_with_steps(v, int(budget.value)) for v in variants], {}
    # Two updates of TROA or TAWT, the dearest steps, are in what is averaged.
    steps = WARM_UP + 2 * default_interval(tasks)
    changes: dict[str, Any] = {"steps": steps, "epochs": None, "checkpoint_steps": 10**9}
    # What others left in a cache must not decide how many steps a method gets; nor does the first pay for the others.
    changes["cache_features"] = "off"
    trials = [replace(make_trial(v, v.settings.seed, folder / "measure", **changes), what=MEASURE) for v in variants]
    for trial in trials:
        begin(trial)
    run_trials(trials, jobs, "measure", quiet, _told)
    measured, out = {}, []
    for variant, trial in zip(variants, trials, strict=True):
        if trial.error is not None:
            raise VtadaptError(f"could not measure the cost of {variant.label}: {trial.error}")
        cost = files.read_json(trial.path / COST)
        each = float(cost["seconds_per_step"]) + float(cost["prepare_seconds_per_step"])
        possible = math.floor(budget.value / each)
        if possible < 1:
            raise ConfigError(
                f"a step of {variant.label} takes {amount(each)} s; raise --budget seconds={budget.value:g}"
            )
        measured[variant.label] = {**cost, "planned_steps": possible}
        out.append(_with_steps(variant, possible))
    return out, measured


def _told(trial: Trial) -> str:
    return f"{amount(files.read_json(trial.path / COST)['seconds_per_step'])} s per step ({os.fspath(trial.path)})"


def _with_steps(variant: Variant, steps: int) -> Variant:
    return replace(variant, settings=variant.settings.model_copy(update={"steps": steps, "epochs": None}))


def fairness(budget: Budget, jobs: int) -> str:
    """One sentence on what the methods had in common."""
    if budget.kind == "steps":
        return (
            f"Same number of steps: every method was trained for {budget.value:g}. Preparations (the cross-task "
            "networks of consistency) come on top and are told in seconds."
        )
    return (
        f"Same time: every method was trained for as many steps as take {budget.value:g} s on this machine, {jobs} "
        "process(es) at a time, preparations counted, evaluations not; the steps were planned from a measurement."
    )
