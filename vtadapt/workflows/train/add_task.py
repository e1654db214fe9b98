"""``vtadapt train --add-task``: a task more for a finished run, of which nothing else changes by a bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error, write_json
from vtadapt.errors import ConfigError
from vtadapt.models.adding import own_state
from vtadapt.models.backbones.weights.find import about_backbone
from vtadapt.workflows.evaluate.trivial import Asked, with_trivial
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import FOLDER, weights_digest, write_added
from vtadapt.workflows.run.data.same_packs import digests_of
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import alone_in
from vtadapt.workflows.run.launcher import obey
from vtadapt.workflows.run.load import describe
from vtadapt.workflows.run.loaders import build_train, default_epochs
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.interrupt import going_on
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train.adding import Adding, adding_lessons, need_addable, plan_adding
from vtadapt.workflows.train.cached.features import open_features
from vtadapt.workflows.train.class_weights import class_weights
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.trainer import Trainer

BEGUN = "begun.json"


def add_task(
    run: Path,
    task: str,
    settings: TrainSettings,
    *,
    quiet: bool = False,
    weights: str | None = None,
    trivial: bool = True,
) -> dict[str, Any]:
    """Train a task that a finished run does not have, and keep it beside the run's weights, which stay as they are.

    Trained are the task's own parts: its head, its decoder where each task has one, its row of the embeddings and its
    column of A. The same call again goes on where one was interrupted.

    Args:
        run: a finished run.
        task: the name of the task, as a recipe declares it.
        settings: see :func:`vtadapt.workflows.train.adding.adding_settings`.
        quiet: no progress.
        weights: where those of the run's backbone are now, see :func:`vtadapt.workflows.run.load.load_run`.
        trivial: also measure the trivial predictors.

    Returns:
        What ``results.json`` holds for a run, of this task, and "task", "file", "bytes", "before" (the tasks that were
        there), "column" (source -> weight in its conditioning, where there is such a thing).

    Raises:
        ConfigError: see :func:`vtadapt.workflows.train.adding.plan_adding`; the run has changed meanwhile.
        DataError: the data is not prepared, or has no label of the task.
    """
    adding = plan_adding(run, task, obey(settings), weights)
    trainer, digests = _trainer(adding, quiet)
    first = trainer.fabric.is_global_zero
    place = run / FOLDER / f"{task}.training"
    with alone_in(run) if first else nullcontext():
        begun = bool(trainer.fabric.broadcast(_begin(place, adding, trainer, digests) if first else False))
        with going_on("the same command again"):
            results = trainer.run(place, begun, quiet)
        if not first:
            return results
        results = _keep(run, adding, trainer, digests, results)
        shutil.rmtree(place, ignore_errors=True)
    if trivial:
        asked = {name: Asked({task: adding.task}, None) for name, found in results["metrics"].items() if found}
        results |= with_trivial(trainer.settings, asked, results["metrics"])
    return results


def _trainer(adding: Adding, quiet: bool) -> tuple[Trainer, Mapping[str, str]]:
    """What trains the task, and the digests of the packs that it reads."""
    settings, data, model = adding.settings, adding.data, adding.loaded.model
    fabric = open_fabric(settings)
    if fabric.is_global_zero:
        ensure_synthetic(data, settings.data_dir, quiet=quiet)
    fabric.barrier()
    digests = digests_of([recipe.name for recipe in data], settings.data_dir)
    lessons = adding_lessons(adding)
    packs = build_train(settings, lessons.recipes, {**lessons.sources, **lessons.trained}, fabric, lessons.label_maps)
    if settings.epochs is None:
        settings = settings.model_copy(update={"epochs": default_epochs(settings, packs.sampler.batches)})
    open_features(settings, [recipe.name for recipe in lessons.recipes], model, packs, fabric, quiet)
    backbone = about_backbone(settings.encoder, settings.weights, model.digest())
    config = describe(settings, lessons.recipes, {**lessons.sources, **lessons.trained}, model, backbone)
    trainer = Trainer(settings, lessons, model, config, packs, fabric, digests)
    found = class_weights(settings, lessons)
    trainer.objective.class_weights.update({name: each.to(fabric.device) for name, each in found.items()})
    return trainer, digests


def _begin(place: Path, adding: Adding, trainer: Trainer, digests: Mapping[str, str]) -> bool:
    """Make the folder of the training, or find that of the same one which was interrupted; whether it is gone on with.

    Raises:
        ConfigError: the run has changed since it was read.
    """
    _need_the_same(adding)
    settings = {key: value for key, value in trainer.settings.model_dump(mode="json").items() if key != "data_dir"}
    told = {"settings": settings, "base": adding.base, "before": adding.before, "packs": dict(digests)}
    told["task"] = adding.task.to_dict()
    wanted = json.loads(json.dumps(told))  # as it is read again
    if (place / BEGUN).is_file() and (place / LAST).is_file():
        if files.read_json(place / BEGUN) == wanted:
            return True
        say(f"note: {place} was begun with other settings or data; it begins anew")
    with disk_error(place):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    write_json(place / BEGUN, told, checked=True)
    return False


def _need_the_same(adding: Adding) -> None:
    """Look again, with the run's folder held, whether it is what was read.

    Raises:
        ConfigError: it is not.
    """
    run = adding.loaded.path
    need_addable(run, adding.task.name)
    if weights_digest(checkpoint.read_tensors(run / files.MODEL)[0]) != adding.base:
        raise ConfigError(f"run {run.name!r} has been trained on meanwhile; the same command again adds to what it is")


def _keep(
    run: Path, adding: Adding, trainer: Trainer, digests: Mapping[str, str], results: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the file of the task; returns what is told of it."""
    name, tensors = adding.task.name, own_state(trainer.core, adding.task.name)
    about = {key: results[key] for key in ("steps", "train_seconds", "seed", "metrics", "counts", "thresholds")}
    about |= {
        "task": adding.task.to_dict(),
        "label_set": adding.label_set,
        "method": trainer.settings.method,
        "before": adding.before,
        "base": adding.base,
        "backbone": adding.loaded.model.digest(),
        "data": trainer.settings.data,
        "packs": dict(digests),
        "trained_parameters": sum(value.numel() for key, value in tensors.items() if key != "column"),
    }
    path = write_added(run, tensors, about)
    found = {key: value for key, value in results.items() if key not in ("run", "trained_parameters")}
    found |= {"run": str(run), "task": name, "file": str(path), "bytes": path.stat().st_size}
    found |= {key: about[key] for key in ("before", "trained_parameters")}
    if "column" in tensors:
        found["column"] = dict(zip([*adding.before, name], tensors["column"].tolist(), strict=True))
    return found
