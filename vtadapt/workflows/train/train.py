"""``vtadapt train``: adapters, a probe or another system on one or several packs, with checkpoints and exact resume."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vtadapt.atomic import need_writable, write_json, write_text
from vtadapt.data.pack.manifest import open_manifest
from vtadapt.errors import VtadaptError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.evaluate.evaluate import Metrics
from vtadapt.workflows.evaluate.trivial import Asked, with_trivial
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.backbone import check_digest, find_backbone
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.data_sets import RunData, find_data
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.folder import alone_in, new_run
from vtadapt.workflows.run.load import describe, read_config
from vtadapt.workflows.run.loaders import build_train, default_epochs
from vtadapt.workflows.run.packs import unlabelled, with_packs
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.run.settings.reading import check_method
from vtadapt.workflows.terminal.interrupt import going_on
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train.lessons import Lessons, plan_lessons
from vtadapt.workflows.train.starting_run import keep_origin
from vtadapt.workflows.train.trainer import LAST, Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import


def train(
    settings: TrainSettings,
    *,
    resume: Path | None = None,
    quiet: bool = False,
    trivial: bool = True,
    weights: str | None = None,
) -> dict[str, Any]:
    """Train and evaluate; returns what ``results.json`` holds, with the run's folder under ``run``.

    Args:
        settings: of the run; when resuming its own are read, but for the folder of the packs: it may have moved.
        resume: folder of a run that was interrupted.
        quiet: no progress.
        trivial: also measure the trivial predictors at the end, see
            :func:`vtadapt.workflows.evaluate.trivial.with_trivial`.
        weights: when resuming, where those of the backbone are now, see :func:`vtadapt.workflows.run.load.load_run`.

    Raises:
        ConfigError: among other things a setting that the method does not read.
    """
    if resume:
        settings = load(resume / files.SETTINGS).model_copy(update={"data_dir": settings.data_dir})
    else:
        check_method(settings)
    known = _known_backbone(resume)
    if resume and known:
        settings = settings.model_copy(update={"weights": find_backbone(resume, known, settings, weights)})
    elif resume and weights:  # nothing was trained on another yet
        settings = settings.model_copy(update={"weights": weights})
    trainer = build_trainer(settings, resume, quiet=quiet)
    if resume and known:
        check_digest(resume, known, settings, trainer.config["backbone"]["sha256"])
    fabric = trainer.fabric
    path = _run_folder(trainer.settings, resume, fabric)
    try:
        lock = alone_in(path) if fabric.is_global_zero else contextlib.nullcontext()
        with lock, going_on(f"vtadapt train --resume {path}"):
            results = trainer.run(path, resume is not None, quiet)
            if trivial and fabric.is_global_zero:
                results |= _floor(trainer, results["metrics"])
                write_json(path / files.RESULTS, results)
            return results
    except RuntimeError as error:
        if fabric.world_size > 1 and "onnection" in str(error):
            raise VtadaptError("another process of this run has ended; its own message says why") from error
        raise


def _known_backbone(run: Path | None) -> dict[str, Any] | None:
    """What a run that is gone on with says of its backbone; None where it was cut before its first checkpoint."""
    if run is None:
        return None
    if (run / files.CONFIG).is_file():
        return read_config(run).backbone
    # Checkpoints of old did not say.
    return checkpoint.read_tensors(run / LAST)[1].get("backbone") if (run / LAST).is_file() else None


def _floor(trainer: Trainer, metrics: Mapping[str, Metrics]) -> dict[str, Any]:
    """What trivial predictors reach in all that a run was measured in."""
    asked = {
        name: Asked({task: trainer.tasks[task] for task in by_task}, trainer.data.label_maps.get(name))
        for name, by_task in metrics.items()
    }
    return with_trivial(trainer.settings, asked, metrics)


def build_trainer(settings: TrainSettings, folder: Path | None = None, *, quiet: bool = False) -> Trainer:
    """Data, network and optimiser of a run; synthetic sets are rendered where they are not there.

    What can be refused by settings, recipes and weights alone is refused before that.

    Args:
        settings: of the run.
        folder: of the run, where it is there already.
        quiet: no progress.
    """
    settings, data, lessons, model, config = plan_run(settings, folder)
    for recipe in (one for one in data.trained if not one.source.synthetic):
        for task in unlabelled(open_manifest(settings.data_dir, recipe.name), lessons.tasks):
            say(f"note: no training picture of {recipe.name} has a pixel with a label of {task}: it teaches nothing")
    fabric = open_fabric(settings)
    if fabric.is_global_zero:
        ensure_synthetic(data, settings.data_dir, quiet=quiet)
    fabric.barrier()
    packs = build_train(settings, lessons.recipes, lessons.trained, fabric, lessons.label_maps, data.target)
    if settings.epochs is None:
        settings = settings.model_copy(update={"epochs": default_epochs(settings, packs.sampler.batches)})
    return Trainer(settings, lessons, model, config, packs, fabric)


class Planned(NamedTuple):
    """A run before anything is rendered, opened or trained.

    Attributes:
        settings: with the names of its data sets and the path of its start, however these were typed.
        data: its data sets.
        lessons: what it learns.
        model: its network, with the weights that it starts from.
        config: what its ``config.json`` will hold.
    """

    settings: TrainSettings
    data: RunData
    lessons: Lessons
    model: MultitaskModel
    config: dict[str, Any]


def plan_run(settings: TrainSettings, folder: Path | None = None) -> Planned:
    """All of a run that follows from settings, recipes and weights: what does not fit is refused here.

    Args:
        settings: of the run.
        folder: of the run, where it is there already.
    """
    if folder is None:
        need_writable(settings.run_dir)
    settings = with_packs(settings)
    data = find_data(settings)
    settings = data.named(settings)
    lessons = plan_lessons(settings, data, folder)
    model = build_model(settings, lessons.tasks)
    config = describe(settings, lessons.recipes, lessons.tasks, model)
    if lessons.origin is not None:
        settings = settings.model_copy(update={"start": lessons.origin.named})
        lessons.origin.load_into(model, config)
    return Planned(settings, data, lessons, model, config)


def _run_folder(settings: TrainSettings, resume: Path | None, fabric: Fabric) -> Path:
    path = resume
    if path is None and fabric.is_global_zero:
        path = new_run(settings.run_dir, settings.data)
        if settings.start is not None:
            keep_origin(path, settings.start)
        write_text(path / files.SETTINGS, settings.to_yaml())
    return Path(fabric.broadcast(str(path)))
