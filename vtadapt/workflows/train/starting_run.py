"""The run that another one starts from: its weights, kept with the new run, and its tasks on the new data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vtadapt.atomic import write_json
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.meaning import difference
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.build import build_tasks
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import RunConfig, read_config
from vtadapt.workflows.run.methods import METHODS, listed, those
from vtadapt.workflows.run.settings import TrainSettings

FOLDER = "start"
KEPT = ("max_value",)  # may differ where a head serves other data: their protocol counts
LabelMaps = dict[str, dict[str, list[int]]]
Kept = tuple[dict[str, Task], dict[str, list[int]]]
"""Tasks, and of those with other classes the task's class of each."""


@dataclass(frozen=True)
class Origin:
    """The run that training starts from, and what becomes of its tasks.

    Attributes:
        path: where its files are.
        config: its ``config.json``.
        tasks: of the new run: those of the old one, in its order, as A's axes keep their meaning.
        trained: those of them whose labels are used.
        fresh: tasks whose classes (or channels, or units) are others now: their head starts anew.
        label_maps: data set -> task -> the task's class of each class of the data set.
        named: the run as it was named, of which ``path`` may be the copy in the new run's folder.
    """

    path: Path
    config: RunConfig
    tasks: dict[str, Task]
    trained: dict[str, Task]
    fresh: tuple[str, ...]
    label_maps: LabelMaps
    named: Path = Path()

    def rehearsed(self, recipe: Recipe) -> Kept:
        """The tasks that are rehearsed: whose heads mean what they meant, and whose labels ``recipe`` declares.

        Labels of other classes are mapped to the head's; a task without such a map, or in other units, is left out.
        """
        there = [name for name in self.tasks if name in recipe.tasks and name not in self.fresh]
        declared = build_tasks([recipe], there) if there else {}
        kept: Kept = ({}, {})
        for name, other in declared.items():
            task = self.tasks[name]
            if difference(task, other, KEPT) is None:
                kept[0][name] = task
            elif ids := _class_maps(task, other, self.config.label_sets[name], [recipe], False):
                kept[0][name], kept[1][name] = task, ids[recipe.name]
        return kept

    def load_into(self, model: MultitaskModel, config: dict[str, Any]) -> None:
        """Put the old run's weights into a new model, all but the heads that start anew.

        Args:
            model: as its settings build it.
            config: its ``config.json``; gets the label sets of the classes that are kept.

        Raises:
            ConfigError: the two are of different architectures.
        """
        whole = METHODS[config["method"]].trains_backbone
        for key in ("method", "adapters", "network", "backbone"):
            old = self.config.content.get(key)
            if key == model.entry and isinstance(old, dict):  # a run of old has what there was no choice of then
                old = {**{each.name: each.default for each in fields(model.Config)}, **old}
            found, wanted = _comparable(config.get(key), whole), _comparable(old, whole)
            if found != wanted:
                raise ConfigError(
                    f"{key} {found} is not that of the run this one starts from, {os.fspath(self.path)!r}: {wanted}; "
                    "use the settings it was trained with (random weights: its seed, too)"
                )
        heads = self._new_heads(model)
        tensors, _ = checkpoint.read_tensors(self.path / files.MODEL)
        checkpoint.load_into(model, {**tensors, **heads}, self.path / files.MODEL)
        config["label_sets"] |= {k: v for k, v in self.config.label_sets.items() if k not in self.fresh}

    def _new_heads(self, model: MultitaskModel) -> dict[str, Tensor]:
        if self.fresh and not model.has_own_parts:
            raise ConfigError(
                f"task {self.fresh[0]!r} has other classes here, and this method cannot give it a new head; wanted "
                f"method {listed(those(lambda m: m.shares))}"
            )
        new = {id(p) for name in self.fresh for p in model.head_of(name).parameters()}
        names = {name for name, parameter in model.named_parameters() if id(parameter) in new}
        return {name: value for name, value in model.saved_state().items() if name in names}


def _comparable(value: Any, trained_whole: bool) -> Any:
    """As read from a file, less what may differ: where a backbone's weights came from; what is loaded anyway."""
    left_out = ("weights", "file", "sha256") if trained_whole else ("weights", "file")
    value = json.loads(json.dumps(value))
    return {k: v for k, v in value.items() if k not in left_out} if isinstance(value, dict) else value


def keep_origin(run: Path, source: Path) -> None:
    """Copy what is needed of ``source`` into the folder of the run that starts from it, the weights last.

    Raises:
        ConfigError: it is no finished run.
    """
    config = read_config(source).content
    tensors, about = checkpoint.read_tensors(source / files.MODEL)
    write_json(run / FOLDER / files.CONFIG, config)
    checkpoint.write_tensors(run / FOLDER / files.MODEL, tensors, about)


def find_origin(settings: TrainSettings, recipes: Sequence[Recipe], folder: Path | None = None) -> Origin | None:
    """The run that ``settings`` start from; None where they start from none.

    Args:
        settings: of the new run.
        recipes: of its data sets.
        folder: of the new run, where it is there already; the copy in it is read.

    Raises:
        ConfigError: settings that only go with a start, a run that does not load, or tasks that do not fit.
    """
    if settings.start is None:
        if settings.held or settings.rehearse or settings.affinity == "start":
            key = "held" if settings.held else "rehearse" if settings.rehearse else "affinity = 'start'"
            raise ConfigError(f"setting {key} needs a run to start from; name it with --set start=RUN")
        return None
    if other := next((key for key in ("label_space", "target") if getattr(settings, key) is not None), None):
        raise ConfigError(f"setting {other} does not go with start: a run that starts from another keeps its classes")
    copied = folder is not None and (folder / FOLDER / files.MODEL).is_file()  # then the run itself may have moved
    named = settings.start if copied else find_run(str(settings.start), settings.run_dir)
    path = folder / FOLDER if folder is not None and copied else named
    origin = replace(match_tasks(path, recipes, settings.held), named=named)
    if settings.tasks is not None and list(settings.tasks) != list(origin.tasks):
        raise ConfigError(
            f"a run that starts from another has its tasks, {', '.join(origin.tasks)}; found tasks "
            f"{', '.join(settings.tasks)}; name those not to be trained in held instead"
        )
    return origin


def match_tasks(path: Path, recipes: Sequence[Recipe], held: Sequence[str]) -> Origin:
    """What becomes of the tasks of the run in ``path`` on other data sets.

    A task that means the same here is kept; its protocol (such as the largest distance that counts) is that of the
    new data. Where the classes are others and the recipes have a map to the run's, its classes are kept and labels are
    mapped; without one the task gets the new classes and a new head. A held task keeps its head in any case.

    Raises:
        ConfigError: no finished run; a task that is not held and has no labels here; a held one that means something
            else here; all tasks are held.
    """
    config = read_config(path)
    if unknown := [name for name in held if name not in config.tasks]:
        raise ConfigError(f"cannot hold {unknown[0]!r}; the tasks of {path.name!r} are {', '.join(config.tasks)}")
    if not (trained := [name for name in config.tasks if name not in held]):
        raise ConfigError(f"all tasks of {path.name!r} are held; wanted at least one that is trained")
    here = [name for name in config.tasks if any(name in recipe.tasks for recipe in recipes)]
    sets = "+".join(recipe.name for recipe in recipes)
    if missing := [name for name in trained if name not in here]:
        raise ConfigError(f"{sets!r} has no task {missing[0]!r}, which run {path.name!r} has; name it in held")
    found = build_tasks(recipes, here) if here else {}
    tasks, fresh, maps = {}, [], {recipe.name: dict[str, list[int]]() for recipe in recipes}
    for name, own in config.tasks.items():
        target = found.get(name, own)
        if difference(own, target, KEPT) is None:
            tasks[name] = replace(target, typical=own.typical)  # what zero logits mean is the old head's
        elif ids := _class_maps(own, target, config.label_sets[name], recipes, name in held):
            tasks[name] = own
            for data, each in ids.items():
                maps[data][name] = each
        elif name in held:
            raise ConfigError(
                f"held task {name!r} of run {path.name!r} is not the {name!r} of {sets!r} (kind, channels or units "
                "differ); train it, then it gets a new head"
            )
        else:
            tasks[name] = target
            fresh.append(name)
    return Origin(path, config, tasks, {name: tasks[name] for name in trained}, tuple(fresh), maps)


def _class_maps(
    own: Task, target: Task, label_set: str, recipes: Sequence[Recipe], held: bool
) -> Mapping[str, list[int]]:
    """Data set -> the run's class of each of its own; all void for a held task without a map; empty: no map."""
    if not (own.classes and target.classes):
        return {}
    known = [recipe for recipe in recipes if own.name in recipe.tasks]
    try:
        return {recipe.name: recipe.class_ids(own.name, label_set, own.classes) for recipe in known}
    except ConfigError:
        return {recipe.name: [VOID] * len(target.classes) for recipe in known} if held else {}
