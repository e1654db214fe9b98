"""The tasks of several data sets: declared alike by all of them, or made the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.shared_classes import SharedClasses, shared_classes
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.tasks import Task
from vtadapt.tasks.meaning import difference


def build_tasks(recipes: Sequence[Recipe], wanted: Sequence[str] | None) -> dict[str, Task]:
    """The tasks of a run, in the order of ``wanted`` or of the recipes.

    Args:
        recipes: of the data sets that are trained on together.
        wanted: names; None for all that any of the recipes declares.

    Raises:
        UsageError: a task that no data set declares (with near matches).
        ConfigError: a wanted task that two of them declare differently, or no task at all.
    """
    known = list(dict.fromkeys(name for recipe in recipes for name in recipe.tasks))
    names = known if wanted is None else list(dict.fromkeys(wanted))
    if not names:
        raise ConfigError("no task given; wanted at least one in --tasks")
    for name in names:
        if name not in known:
            sets, hint = "+".join(r.name for r in recipes), near_matches(name, known)
            raise UsageError(f"unknown task {name!r} for {sets!r}; it has {', '.join(known)}.{hint}")
    tasks = {}
    for name in names:
        first, *others = (recipe for recipe in recipes if name in recipe.tasks)
        tasks[name] = first.tasks[name].task(name)
        for recipe in others:
            if found := difference(tasks[name], recipe.tasks[name].task(name)):
                raise ConfigError(
                    f"task {name!r} of {recipe.name!r} is not the {name!r} of {first.name!r} ({found.what} differ); "
                    "train them apart, or leave it out with --tasks"
                )
    return tasks


class Agreement(NamedTuple):
    """Two data sets whose tasks of one name mean the same: by name of the set its recipe and label maps.

    Attributes:
        recipes: copies in which the tasks that both have are declared alike.
        label_maps: per task of kind "classes" the new id of each stored one, see ``PackDataset``.
        classes: per such task that both have, what is shared.
    """

    recipes: dict[str, Recipe]
    label_maps: dict[str, dict[str, list[int]]]
    classes: dict[str, SharedClasses]


def agree(first: Recipe, second: Recipe, wanted: Iterable[str] | None = None) -> Agreement:
    """Make the tasks that both data sets have the same: shared classes, the lower of the two caps.

    Args:
        first: the source.
        second: the target, whose class names are preferred.
        wanted: tasks looked at; None for all that both have. Others are left as they are.

    Raises:
        ConfigError: kind, units or channels of a task differ, or its classes have no map or none in common.
    """
    both = [name for name in first.tasks if name in second.tasks]
    changed: tuple[dict[str, RecipeTask], dict[str, RecipeTask]] = ({}, {})
    maps: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    classes: dict[str, SharedClasses] = {}
    for name in both if wanted is None else [n for n in both if n in set(wanted)]:
        one, two = first.tasks[name], second.tasks[name]
        update: dict[str, object] = {"max_value": lower_cap(one.max_value, two.max_value)}
        check_same(name, one, two, first.name, second.name)
        if one.classes:
            shared = shared_classes(first, second, name)
            classes[name] = shared
            maps[0][name], maps[1][name] = shared.first, shared.second
            update |= {"classes": shared.classes, "colours": shared.colours, "label_set": shared.label_set}
        changed[0][name] = one.model_copy(update=update)
        changed[1][name] = two.model_copy(update={**update, "units": one.units, "loss": one.loss, "weight": one.weight})
    recipes = [r.model_copy(update={"tasks": {**r.tasks, **c}}) for r, c in zip((first, second), changed, strict=True)]
    names = (first.name, second.name)
    return Agreement(dict(zip(names, recipes, strict=True)), dict(zip(names, maps, strict=True)), classes)


def lower_cap(one: float | None, two: float | None) -> float | None:
    """The lower of two largest values that count, None being no limit."""
    return min((v for v in (one, two) if v is not None), default=None)


def check_same(name: str, one: RecipeTask, two: RecipeTask, first: str, second: str) -> None:
    """Raise ConfigError where two data sets' tasks of one name measure different things."""
    if found := difference(one.task(name), two.task(name), may_differ=("classes", "max_value")):
        raise ConfigError(
            f"task {name!r}: {found.what} is {found.first!r} in {first!r} and {found.second!r} in {second!r}; wanted "
            "the same, leave it out"
        )
