"""A run before its first step: what follows from its settings, and what trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from vtadapt.atomic import need_writable
from vtadapt.models.backbones.weights.find import about_backbone, find_backbone, need_digest
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.data.data_sets import RunData, find_data
from vtadapt.workflows.run.data.packs import with_packs
from vtadapt.workflows.run.data.same_packs import digests_of, need_same_packs
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.load import describe, read_config
from vtadapt.workflows.run.loaders import build_train, default_epochs
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train.cached.features import open_features
from vtadapt.workflows.train.class_weights import class_weights
from vtadapt.workflows.train.lessons import Lessons, plan_lessons
from vtadapt.workflows.train.log.trackers import need_tracker
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.trainer import Trainer


def build_trainer(
    settings: TrainSettings, folder: Path | None = None, *, weights: str | None = None, quiet: bool = False
) -> Trainer:
    """Data, network and optimiser of a run; synthetic sets are rendered where they are not there.

    What can be refused by settings, recipes and weights alone is refused before that.

    Args:
        settings: of the run.
        folder: of the run, where it is there already.
        weights: where those of its backbone are now, in that case.
        quiet: no progress.
    """
    asked = settings
    need_tracker(settings.tracker)
    settings, data, lessons, model, config = plan_run(asked, folder, weights)
    for recipe in (one for one in data.trained if not one.source.synthetic):
        for task in (name for name in data.unlabelled.get(recipe.name, ()) if name in lessons.tasks):
            say(f"note: no training picture of {recipe.name} has a pixel with a label of {task}: it teaches nothing")
    fabric = open_fabric(settings)
    if fabric.is_global_zero:
        ensure_synthetic(data, settings.data_dir, quiet=quiet)
    fabric.barrier()
    if data.to_render and any(recipe.source.folder for recipe in data):
        settings, data, lessons, model, config = plan_run(asked, folder, weights)  # by what was found in their files
    digests = digests_of([recipe.name for recipe in data], settings.data_dir)
    if folder is not None:
        need_same_packs(folder, digests, settings.data_dir)
    packs = build_train(settings, lessons.recipes, lessons.trained, fabric, lessons.label_maps, data.target)
    if settings.epochs is None:
        settings = settings.model_copy(update={"epochs": default_epochs(settings, packs.sampler.batches)})
    open_features(settings, [recipe.name for recipe in lessons.recipes], model, packs, fabric, quiet)
    trainer = Trainer(settings, lessons, model, config, packs, fabric, digests)
    weights_of = class_weights(settings, lessons)
    trainer.objective.class_weights.update({name: found.to(fabric.device) for name, found in weights_of.items()})
    return trainer


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


def plan_run(settings: TrainSettings, folder: Path | None = None, weights: str | None = None) -> Planned:
    """All of a run that follows from settings, recipes and weights: what does not fit is refused here.

    Args:
        settings: of the run.
        folder: of the run, where it is there already.
        weights: where those of its backbone are now, in that case.
    """
    settings = with_packs(settings)
    data = find_data(settings)
    settings = data.named(settings)
    if folder is None:
        need_writable(settings.run_dir)
    if data.to_render:
        need_writable(settings.data_dir)
    lessons = plan_lessons(settings, data, folder)
    known = None if folder is None else _known_backbone(folder)
    if folder and known:
        place = find_backbone(folder, known, settings.weights, weights, kept=settings.keeps_backbone)
        settings = settings.model_copy(update={"weights": place})
    elif folder and weights:  # nothing was trained on another yet
        settings = settings.model_copy(update={"weights": weights})
    if lessons.start is not None:
        settings = lessons.start.network(settings)
    model = build_model(settings, lessons.tasks)
    digest = model.digest()
    if folder and known and not settings.keeps_backbone:
        need_digest(folder, known, settings.weights, digest)
    backbone = about_backbone(settings.encoder, settings.weights, digest)
    config = describe(settings, lessons.recipes, lessons.tasks, model, backbone)
    if lessons.start is not None:
        settings = settings.model_copy(update={"start": lessons.start.named})
        lessons.start.load_into(model, config, lessons.fresh)
    return Planned(settings, data, lessons, model, config)


def _known_backbone(run: Path) -> dict[str, Any] | None:
    """What a run that is gone on with says of its backbone; None where it was cut before its first checkpoint."""
    if (run / files.CONFIG).is_file():
        return read_config(run).backbone
    # Checkpoints of old did not say.
    return checkpoint.read_tensors(run / LAST)[1].get("backbone") if (run / LAST).is_file() else None
