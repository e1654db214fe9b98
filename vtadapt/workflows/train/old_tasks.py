"""What becomes of the tasks of the run that training starts from, on the new data: kept, mapped, or begun anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.meaning import difference
from vtadapt.workflows.train.starting_run import Start

KEPT = ("max_value",)  # may differ where a head serves other data: their protocol counts
LabelMaps = dict[str, dict[str, list[int]]]
Kept = tuple[dict[str, Task], dict[str, list[int]]]
"""Tasks, and of those with other classes the task's class of each."""


@dataclass(frozen=True)
class OldTasks:
    """The tasks of the run that training starts from.

    Attributes:
        tasks: of the new run: those of the old one, in its order, as A's axes keep their meaning.
        trained: those of them whose labels are used.
        fresh: tasks whose classes (or channels, or units) are others now: their head starts anew.
        label_maps: data set -> task -> the task's class of each class of the data set.
        label_sets: task -> name of its list of classes in the old run.
    """

    tasks: dict[str, Task]
    trained: dict[str, Task]
    fresh: tuple[str, ...]
    label_maps: LabelMaps
    label_sets: Mapping[str, str]

    def rehearsed(self, recipe: Recipe) -> Kept:
        """The tasks that are rehearsed: whose heads mean what they meant, and whose labels ``recipe`` declares.

        Labels of other classes are mapped to the head's; a task without such a map, or in other units, is left out.
        """
        there = [name for name in self.tasks if name in recipe.tasks and name not in self.fresh]
        declared = build_tasks([recipe], there) if there else {}
        kept: Kept = ({}, {})
        for name, other in declared.items():
            task = self.tasks[name]
            if (maps := _maps(task, other, self.label_sets[name], [recipe], False)) is not None:
                kept[0][name] = task
                if maps:
                    kept[1][name] = maps[recipe.name]
        return kept


def match_tasks(start: Start, recipes: Sequence[Recipe], held: Sequence[str]) -> OldTasks:
    """What becomes of the tasks of a run on other data sets.

    A task that means the same here is kept; its protocol (such as the largest distance that counts) is that of the
    new data. Where the classes are others and the recipes have a map to the run's, its classes are kept and labels are
    mapped; without one the task gets the new classes and a new head. A held task keeps its head in any case.

    Raises:
        ConfigError: a task that is not held and has no labels here; a held one that means something
            else here; all tasks are held.
    """
    config, run = start.config, start.path.name
    if unknown := [name for name in held if name not in config.tasks]:
        raise ConfigError(f"cannot hold {unknown[0]!r}; the tasks of {run!r} are {', '.join(config.tasks)}")
    if not (trained := [name for name in config.tasks if name not in held]):
        raise ConfigError(f"all tasks of {run!r} are held; wanted at least one that is trained")
    here = [name for name in config.tasks if any(name in recipe.tasks for recipe in recipes)]
    sets = "+".join(recipe.name for recipe in recipes)
    if missing := [name for name in trained if name not in here]:
        raise ConfigError(f"{sets!r} has no task {missing[0]!r}, which run {run!r} has; name it in held")
    found = build_tasks(recipes, here) if here else {}
    tasks, fresh, maps = {}, [], {recipe.name: dict[str, list[int]]() for recipe in recipes}
    for name, own in config.tasks.items():
        target = found.get(name, own)
        ids = _maps(own, target, config.label_sets[name], recipes, name in held)
        if ids is not None and not ids:
            tasks[name] = replace(target, typical=own.typical)  # what zero logits mean is the old head's
        elif ids is not None:
            tasks[name] = own
            for data, each in ids.items():
                maps[data][name] = each
        elif name in held:
            raise ConfigError(
                f"held task {name!r} of run {run!r} is not the {name!r} of {sets!r} (kind, channels or units "
                "differ); train it, then it gets a new head"
            )
        else:
            tasks[name] = target
            fresh.append(name)
    labelled = {name: tasks[name] for name in trained}
    return OldTasks(tasks, labelled, tuple(fresh), maps, config.label_sets)


def _maps(
    own: Task, target: Task, label_set: str, recipes: Sequence[Recipe], held: bool
) -> Mapping[str, list[int]] | None:
    """How a head for ``own`` serves data that declare ``target``: data set -> the head's class of each of its own.

    Empty where both mean the same; None where the head cannot serve them. A held task without a map has void for all.
    """
    if difference(own, target, KEPT) is None:
        return {}
    if not (own.classes and target.classes):
        return None
    known = [recipe for recipe in recipes if own.name in recipe.tasks]
    try:
        return {recipe.name: recipe.class_ids(own.name, label_set, own.classes) for recipe in known}
    except ConfigError:
        return {recipe.name: [VOID] * len(target.classes) for recipe in known} if held else None
