"""``vtadapt zero-shot``: a task on a new data set without its labels there, learned through the other tasks' labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vtadapt.atomic import need_writable, write_json, write_text
from vtadapt.errors import ConfigError
from vtadapt.workflows.evaluate.evaluate import Metrics, evaluate, summary
from vtadapt.workflows.evaluate.trivial import Asked, trivial_metrics
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import alone
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import validate
from vtadapt.workflows.sweep.spread import headlines
from vtadapt.workflows.sweep.trials import Trial, begin, failures, run_trials
from vtadapt.workflows.train.starting_run import FOLDER, open_start
from vtadapt.workflows.zero_shot.picture import draw_zero_shot
from vtadapt.workflows.zero_shot.plan import DIRECT, ORACLE, ZERO_SHOT, Plan, ZeroShotOptions, make_plan
from vtadapt.workflows.zero_shot.tables import markdown, summarise

FORMAT = 1
RESULT, TABLE = "zero_shot.json", "table.md"

CHECKPOINT = (
    "Weights kept: those with the best mean over the labelled tasks of +-log(headline metric) on validation images of "
    "the target; labels of {task} are not looked at (the oracle uses them, there too)."
)


def zero_shot(
    target: str,
    sources: Sequence[Path],
    options: ZeroShotOptions,
    *,
    data_dir: Path | None = None,
    run_dir: Path = Path("runs"),
    quiet: bool = False,
) -> dict[str, Any]:
    """Transfer, measure, tabulate and draw; finished trainings are kept.

    A run was trained with task n. On the target data set only other tasks have labels: all that the tasks share, and
    the heads of the labelled ones, go on training there; head n and e_n stay bit for bit, and z_n is column n of the
    run's A applied to the embeddings. What n then reaches on the target's validation labels stands beside the run as
    it was ("direct"), the same training with A uniform, and the same training with labels of n ("oracle").

    Args:
        target: data set.
        sources: the run, or one run per seed.
        options: what is transferred, and how.
        data_dir: folder of the packs; None for the run's own.
        run_dir: folder of the runs.
        quiet: no progress.

    Returns:
        The content of ``zero_shot.json``; ``failed`` names the trainings that failed.

    Raises:
        UsageError: a task, label or option that cannot be.
        ConfigError: a run of another kind, a task that means something else on the target, or a folder that was begun
            with other settings.
        DataError: the target is not prepared or lacks the labels.
    """
    need_writable(options.out or run_dir)
    plan = make_plan(target, sources, options, data_dir=data_dir, quiet=quiet)
    task = plan.task
    rehearsed = "-rehearsed" if options.rehearse else ""
    folder = options.out or run_dir / f"zero-shot-{plan.recipe.name}-{task.name}{rehearsed}"
    trials = [_trial(plan, label, seed, folder) for seed in plan.sources for label in plan.trainings]
    with alone(folder, "zero-shot transfer"):
        for trial in trials:
            _begin(trial, plan.sources[trial.seed])
        title = f"zero-shot {plan.recipe.name} {task.name}"
        run_trials(trials, options.jobs, title, quiet, lambda trial: _told(trial, plan))
        result = {"format": FORMAT, "folder": str(folder), **plan.facts(), **_found(plan, trials)}
        result["panels"] = draw_zero_shot(plan, trials, folder, options.images)
        write_json(folder / RESULT, result, checked=True)
        write_text(folder / TABLE, markdown(result))
    return result


def _trial(plan: Plan, label: str, seed: int, folder: Path) -> Trial:
    adapted = METHODS[plan.base.method].affinity
    held = [name for name in plan.held if name != plan.task.name or label != ORACLE]
    affinity = {ZERO_SHOT: "start", ORACLE: "start"}.get(label, label)
    values = {
        **plan.base.model_dump(),
        "seed": seed,
        "run_dir": folder,
        "start": plan.sources[seed].resolve(),
        "held": held,
        **({"affinity": affinity, "troa_weights": False} if adapted else {}),
    }
    return Trial(label, seed, folder / f"{label}-seed{seed}", validate(values, "settings of the transfer"))


def _begin(trial: Trial, source: Path) -> None:
    """Make the folder of a training with the weights that it starts from, or check that it has them.

    Raises:
        ConfigError: it was begun with others.
    """
    kept = trial.path / FOLDER / files.MODEL
    if not kept.is_file():
        open_start(source).keep(trial.path)
    else:
        found, wanted = (checkpoint.read_tensors(path)[0] for path in (kept, source / files.MODEL))
        if found.keys() != wanted.keys() or not all(torch.equal(found[k], wanted[k]) for k in wanted):
            raise ConfigError(
                f"{str(trial.path)!r} was begun from other weights than those of {str(source)!r}; name another folder "
                "with --out"
            )
    begin(trial)


def _told(trial: Trial, plan: Plan) -> str:
    results = files.read_json(trial.path / files.RESULTS)
    return f"{summary(results['metrics'], plan.old.tasks)}  ({results['train_seconds']:.0f} s)"


def _found(plan: Plan, trials: Sequence[Trial]) -> dict[str, Any]:
    """What was trained, and what came out."""
    return {
        "split": "val",
        "steps": trials[0].settings.steps,
        "lr": trials[0].settings.peak_lr,
        "checkpoint": CHECKPOINT.format(task=plan.task.name),
        "headlines": headlines(plan.old.tasks),
        **_measured(plan, trials),
        "failed": failures(trials),
    }


def _measured(plan: Plan, trials: Sequence[Trial]) -> dict[str, Any]:
    """Metrics of the run as it was, of every training, and of the trivial predictors."""
    name = plan.recipe.name
    fabric = open_fabric(plan.base.model_copy(update={"devices": 1, "num_nodes": 1}))
    known = {k: task for k, task in plan.old.tasks.items() if k not in plan.old.fresh}
    reader, maps = open_reader(plan.base, name, "val"), plan.old.label_maps.get(name)
    direct: dict[Path, Metrics] = {}
    for source in dict.fromkeys(plan.sources.values()):  # each run once: there is nothing random in it
        model = load_run(source, weights=plan.weights).model.to(fabric.device)
        loader = build_eval(reader, known, plan.base.batch_size, None, maps)
        direct[source] = evaluate(model, loader, known, fabric).metrics
    found: dict[str, dict[int, Metrics]] = {DIRECT: {seed: direct[source] for seed, source in plan.sources.items()}}
    for trial in trials:
        each = found.setdefault(trial.label, {})
        if trial.error is None and trial.done:
            each[trial.seed] = files.read_json(trial.path / files.RESULTS)["metrics"][name]
    places = {trial.name: str(trial.path) for trial in trials}
    asked = {name: Asked({plan.task.name: plan.task} if plan.measurable else {}, maps)}
    return {"trivial": trivial_metrics(plan.base, asked), "cells": places, **summarise(plan, found)}
