"""A task before it is added to a run: by which settings, from which labels, beside which others; what is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, VtadaptError
from vtadapt.models.adding import train_only
from vtadapt.tasks import Task
from vtadapt.tasks.meaning import difference
from vtadapt.tasks.names import check_names
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import read_added, weights_digest
from vtadapt.workflows.run.cached import repository_of
from vtadapt.workflows.run.data.data_sets import RunData, find_data, find_recipe
from vtadapt.workflows.run.data.packs import with_packs
from vtadapt.workflows.run.folder import is_bundled, refuse_trained
from vtadapt.workflows.run.load import Loaded, load_run, read_config
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.run.made import OF_THE_NETWORK
from vtadapt.workflows.run.methods import METHODS, listed, those
from vtadapt.workflows.run.settings import TrainSettings, load, validate
from vtadapt.workflows.run.settings.fields import TransferSettings
from vtadapt.workflows.run.settings.reading import check_read
from vtadapt.workflows.run.settings.resolve import Given, to_check
from vtadapt.workflows.train.lessons import Lessons, with_losses
from vtadapt.workflows.train.log.trackers import need_tracker
from vtadapt.workflows.train.old_tasks import KEPT, LabelMaps, OldTasks

ANEW = (
    *TransferSettings.model_fields,
    *("tasks", "loss_weights", "losses", "class_weights", "patience", "compile", "cache_features"),
    *("troa_weights", "shared_lr_scale", "own_first", "devices", "num_nodes", "tracker", "log_pictures"),
)
"""Settings that an added task has not from its run: they were about other tasks, or about a machine."""

FIXED = (
    *(key for key in OF_THE_NETWORK if key not in ("seed", "weights")),
    *TransferSettings.model_fields,
    *("tasks", "troa_weights", "shared_lr_scale", "own_first"),
)
"""Settings that cannot be others for an added task: its network is the run's, and nothing else is trained."""


def adding_settings(run: Path, given: Mapping[str, Given]) -> TrainSettings:
    """The settings by which a task is added: those of the run but for what is given.

    Its data, size of crops and optimisation, and as many steps as it had unless ``steps`` or ``epochs`` is given.

    Args:
        run: a finished run.
        given: see :func:`vtadapt.workflows.run.settings.resolve.gather`; the place of the backbone's weights is not
            among them.

    Raises:
        ConfigError: a setting that does not fit or is not read, or that is the run's own and is given otherwise.
    """
    own, config = load(run / files.SETTINGS), read_config(run)
    own = own.model_copy(update={"backbone": own.encoder})
    anew = {key: own.default(key) for key in ANEW}
    affinity = own.affinity if own.affinity in ("troa", "uniform") else "identity"
    base = {**own.model_dump(), **anew, "size": config.size, "affinity": affinity}
    values = {key: each.value for key, each in given.items() if key not in ("run_dir", "weights")}
    if {"steps", "epochs"} & values.keys():
        base |= {"steps": None, "epochs": None}
    elif steps := _steps(run):
        base |= {"steps": steps, "epochs": None}
    places = {key: each.place for key, each in given.items() if each.place}
    settings = validate({**base, **values}, "settings", places)
    for key in FIXED:
        wanted = anew.get(key, getattr(own, key))
        if key in values and getattr(settings, key) not in (wanted, getattr(own, key)):
            raise ConfigError(
                f"setting {key!r} is the run's own where a task is added ({wanted}); found {values[key]}; leave it out"
            )
    settings = settings.model_copy(update={key: anew[key] for key in FIXED if key in anew})
    named = {key: each for key, each in given.items() if key not in (*FIXED, "run_dir", "weights")}
    check_read(to_check(named, settings), [settings])
    return settings


def _steps(run: Path) -> int | None:
    """Of the run's training; None where its results do not tell."""
    if not (run / files.RESULTS).is_file():
        return None
    steps = files.read_json(run / files.RESULTS).get("steps")
    return steps if isinstance(steps, int) and steps > 0 else None


def need_addable(run: Path, task: str) -> None:
    """Refuse, before anything long, a run to which this task cannot be added.

    Raises:
        ConfigError: it is not finished, of a method without parts that stay, or not the user's own; or it has the task.
    """
    name = os.fspath(run)
    if is_bundled(run) or repository_of(run) is not None:
        raise ConfigError(
            f"{name!r} is not in a folder of your own; save it to one first, in Python: "
            f"vtadapt.load({('demo' if is_bundled(run) else repository_of(run))!r}).save('runs/mine')"
        )
    config = read_config(run)
    results = files.read_json(run / files.RESULTS) if (run / files.RESULTS).is_file() else {}
    reached = files.step_beyond_results(run, results)
    if not (run / files.MODEL).is_file() or reached is not None:
        why = f"no {files.MODEL}" if reached is None else f"it is being lengthened, at step {reached}"
        raise ConfigError(f"run {name!r} is not finished ({why}); vtadapt train --resume {name} goes on")
    method = load(run / files.SETTINGS).method
    if not METHODS[method].adds:
        raise ConfigError(
            f"run {name!r} is of method {method!r}, whose shared part was trained for its tasks alone; a task is added "
            f"to runs of {listed(those(lambda m: m.adds))}"
        )
    added = read_added(run)
    if task in config.tasks or task in added:
        how = f"; vtadapt runs {name} --remove-task {task} removes it" if task in added else ""
        raise ConfigError(f"run {name!r} has task {task!r} already{how}; wanted another than {_names(config, added)}")
    try:
        check_names([*config.tasks, *added, task])
    except ValueError as error:
        raise ConfigError(f"{error}") from error


def _names(config: Any, added: Mapping[str, Any]) -> str:
    return ", ".join([*config.tasks, *added])


class Adding(NamedTuple):
    """A task that is about to be added.

    Attributes:
        settings: by which it is, with names for its data and the place of the backbone's weights.
        data: its data sets.
        loaded: the run, with the task in its network, where alone it can be trained.
        task: what it is.
        label_set: the name of its list of classes.
        base: digest of the run's weights.
    """

    settings: TrainSettings
    data: RunData
    loaded: Loaded
    task: Task
    label_set: str
    base: str

    @property
    def before(self) -> list[str]:
        """The tasks that are there already, in order."""
        return [name for name in self.loaded.tasks if name != self.task.name]


def plan_adding(run: Path, task: str, settings: TrainSettings, weights: str | None = None) -> Adding:
    """All that follows from the run, the settings and the recipes: what does not fit is refused here.

    Args:
        run: a finished run.
        task: the name of the task.
        settings: see :func:`adding_settings`.
        weights: where those of the run's backbone are now, see :func:`vtadapt.workflows.run.load.load_run`.

    Raises:
        ConfigError: see :func:`need_addable`; the run is being trained; its own data calls something else so.
        UsageError: no data set has the task, or there is none of that name.
        DataError: a data set is not prepared.
    """
    need_addable(run, task)
    refuse_trained(run)
    need_tracker(settings.tracker)
    settings = with_packs(settings)
    data = find_data(settings)
    settings = data.named(settings)
    made = build_tasks(data.trained, [task])
    made = dict(with_losses(Lessons(data.trained, made, made, {}), settings).trained)
    label_set = next(recipe.tasks[task].label_set for recipe in data.trained if task in recipe.tasks)
    _need_same_meaning(run, made[task], label_set, settings.data_dir)
    tensors, _ = checkpoint.read_tensors(run / files.MODEL)
    loaded = load_run(run, weights=weights, more=made)
    train_only(loaded.model, task)
    settings = settings.model_copy(update={"weights": loaded.settings.weights})
    return Adding(settings, data, loaded, made[task], label_set, weights_digest(tensors))


def _need_same_meaning(run: Path, task: Task, label_set: str, data_dir: Path) -> None:
    """Refuse a task that the run's own data, on which it will be measured, calls by the same name and means otherwise.

    Raises:
        ConfigError: names what differs.
    """
    for name in load(run / files.SETTINGS).data_names:
        try:
            recipe = find_recipe(name, data_dir)
        except VtadaptError:  # not here any more
            continue
        if task.name not in recipe.tasks:
            continue
        other = recipe.tasks[task.name].task(task.name)
        found = difference(task, other, (*KEPT, "classes"))
        if found is None and task.classes != other.classes and not _mapped(recipe, task, label_set):
            found = difference(task, other, KEPT)
        if found is not None:
            raise ConfigError(
                f"task {task.name!r} is not the {task.name!r} of {name!r}, the run's own data ({found.what} differ); "
                "give it another name in its recipe"
            )


def _mapped(recipe: Recipe, task: Task, label_set: str) -> bool:
    try:
        recipe.class_ids(task.name, label_set, task.classes)
    except ConfigError:
        return False
    return True


def adding_lessons(adding: Adding) -> Lessons:
    """What is learned, once the data is there: the task, and the labels of others that tell its column of A."""
    recipes, loaded = adding.data.trained, adding.loaded
    learned = loaded.model.has_affinity and adding.settings.affinity == "troa"
    sources, maps = _sources(adding, recipes) if learned else ({}, {})
    only = {adding.task.name: adding.task}
    return Lessons(recipes, only, only, maps, added=adding.task.name, sources=sources)


def _sources(adding: Adding, recipes: Sequence[Recipe]) -> tuple[dict[str, Task], LabelMaps]:
    """The run's tasks that are labelled here as the run means them, and the class of each class of each data set."""
    loaded = adding.loaded
    old = OldTasks({name: loaded.tasks[name] for name in adding.before}, {}, (), {}, loaded.label_sets)
    kept = {recipe.name: old.rehearsed(recipe) for recipe in recipes}
    found: dict[str, Task] = {}
    for name, task in old.tasks.items():
        declared = [recipe.name for recipe in recipes if name in recipe.tasks]
        readers = (open_reader(adding.settings, each, "train") for each in declared)
        meant = bool(declared) and all(name in kept[each][0] for each in declared)
        if meant and any(reader.present(name).any() for reader in readers):
            found[name] = task
    return found, {each: {n: ids for n, ids in kept[each][1].items() if n in found} for each in kept}
