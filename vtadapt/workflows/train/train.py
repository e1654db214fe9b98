"""``vtadapt train``: adapters, a probe or another system on one or several packs, with checkpoints and exact resume."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtadapt.atomic import write_json, write_text
from vtadapt.data.pack.manifest import open_manifest
from vtadapt.errors import ConfigError, VtadaptError
from vtadapt.workflows.evaluate.evaluate import Metrics
from vtadapt.workflows.evaluate.trivial import Asked, with_trivial
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import files
from vtadapt.workflows.run.build import build_tasks
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import alone_in, new_run
from vtadapt.workflows.run.label_space import in_label_space
from vtadapt.workflows.run.loaders import build_train, find_recipe, load_recipes
from vtadapt.workflows.run.packs import unlabelled, with_packs
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.run.settings.reading import check_method
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train.starting_run import find_origin, keep_origin, with_start
from vtadapt.workflows.train.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

STEPS = 1000  # per data set, where the number of epochs is not given: the same effort for small and large sets


def train(
    settings: TrainSettings, *, resume: Path | None = None, quiet: bool = False, trivial: bool = True
) -> dict[str, Any]:
    """Train and evaluate; returns what ``results.json`` holds, with the run's folder under ``run``.

    Args:
        settings: of the run; when resuming its own are read, but for the folder of the packs: it may have moved.
        resume: folder of a run that was interrupted.
        quiet: no progress.
        trivial: also measure the trivial predictors at the end, see
            :func:`vtadapt.workflows.evaluate.trivial.with_trivial`.

    Raises:
        ConfigError: among other things a setting that the method does not read.
    """
    if resume:
        settings = load(resume / files.SETTINGS).model_copy(update={"data_dir": settings.data_dir})
    else:
        check_method(settings)
    trainer = build_trainer(settings, resume, quiet=quiet)
    fabric = trainer.fabric
    path = _run_folder(trainer.settings, resume, fabric)
    try:
        with alone_in(path) if fabric.is_global_zero else contextlib.nullcontext():
            results = trainer.run(path, resume is not None, quiet)
            if trivial and fabric.is_global_zero:
                results |= _floor(trainer, results["metrics"])
                write_json(path / files.RESULTS, results)
            return results
    except RuntimeError as error:
        if fabric.world_size > 1 and "onnection" in str(error):
            raise VtadaptError("another process of this run has ended; its own message says why") from error
        raise


def _floor(trainer: Trainer, metrics: Mapping[str, Metrics]) -> dict[str, Any]:
    """What trivial predictors reach in all that a run was measured in."""
    asked = {
        name: Asked({task: trainer.tasks[task] for task in by_task}, trainer.data.label_maps.get(name))
        for name, by_task in metrics.items()
    }
    return with_trivial(trainer.settings, asked, metrics)


def build_trainer(settings: TrainSettings, folder: Path | None = None, *, quiet: bool = False) -> Trainer:
    """Data, network and optimiser of a run; synthetic sets are rendered where they are not there.

    Args:
        settings: of the run.
        folder: of the run, where it is there already.
        quiet: no progress.
    """
    settings = with_packs(settings)
    recipes = load_recipes(settings)
    settings = settings.model_copy(update={"data": "+".join(recipe.name for recipe in recipes)})
    recipes, maps = in_label_space(settings, recipes)
    settings = with_start(settings, folder)
    origin = find_origin(settings, recipes, folder)
    tasks = build_tasks(recipes, settings.tasks) if origin is None else origin.tasks
    for name in sorted(settings.loss_weights.keys() - tasks.keys()):
        raise ConfigError(f"loss weight for {name!r}, which is not trained; tasks are {', '.join(tasks)}")
    target = [] if settings.target is None else [find_recipe(settings.target, settings.data_dir)]
    if target:
        settings = settings.model_copy(update={"target": target[0].name})
    for recipe in [*recipes, *target]:
        if not recipe.source.synthetic:  # what is not prepared is told before processes start
            manifest = open_manifest(settings.data_dir, recipe.name)
            for task in unlabelled(manifest, tasks) if recipe in recipes else ():
                say(
                    f"note: no training picture of {recipe.name} has a pixel with a label of {task}: it teaches nothing"
                )
    fabric = open_fabric(settings)
    if fabric.is_global_zero:
        for recipe in [*recipes, *target]:
            ensure_synthetic(recipe, settings.data_dir, quiet=quiet)
    fabric.barrier()
    if origin is None:
        data = build_train(settings, recipes, tasks, fabric, maps)
    else:
        data = build_train(settings, recipes, origin.trained, fabric, origin.label_maps)
    if settings.epochs is None:
        settings = settings.model_copy(update={"epochs": default_epochs(settings, data.sampler.batches)})
    return Trainer(settings, recipes, tasks, data, fabric, origin)


def default_epochs(settings: TrainSettings, batches: int) -> int:
    """The epochs of a run that asks for no number of them, of ``batches`` steps each."""
    if settings.steps:
        return math.ceil(settings.steps / batches)
    return max(1, round(STEPS * len(settings.data_names) / batches))


def _run_folder(settings: TrainSettings, resume: Path | None, fabric: Fabric) -> Path:
    path = resume
    if path is None and fabric.is_global_zero:
        path = new_run(settings.run_dir, settings.data)
        if settings.start is not None:
            keep_origin(path, settings.start)
        write_text(path / files.SETTINGS, settings.to_yaml())
    return Path(fabric.broadcast(str(path)))
