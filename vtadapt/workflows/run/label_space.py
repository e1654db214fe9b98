"""The label space of a run: the tasks of its data sets as they are, or made the same as another set's."""

from __future__ import annotations

from collections.abc import Sequence

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.shared_classes import Agreement, agree
from vtadapt.errors import ConfigError
from vtadapt.workflows.run.loaders import find_recipe
from vtadapt.workflows.run.settings import TrainSettings

LabelMaps = dict[str, dict[str, list[int]]]
"""Data set -> task -> new id of each stored class."""

SEPARATOR = ">"


def label_space(source: str, target: str) -> str:
    """The value of setting ``label_space`` for these two data sets."""
    return f"{source}{SEPARATOR}{target}"


def agreement(settings: TrainSettings) -> Agreement | None:
    """What the two sets of ``settings.label_space`` share; None where it is not set.

    Raises:
        ConfigError: it does not name two sets, or they do not fit one another.
    """
    if settings.label_space is None:
        return None
    names = [name.strip() for name in settings.label_space.split(SEPARATOR)]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ConfigError(f"label_space = {settings.label_space!r}; wanted two data sets as SOURCE>TARGET")
    first, second = (find_recipe(name, settings.data_dir) for name in names)
    return agree(first, second, settings.tasks)


def in_label_space(settings: TrainSettings, recipes: Sequence[Recipe]) -> tuple[list[Recipe], LabelMaps]:
    """The recipes of a run as its label space declares their tasks, and how stored ids become its classes.

    Raises:
        ConfigError: one of them is none of the two sets of the label space.
    """
    agreed = agreement(settings)
    if agreed is None:
        return list(recipes), {}
    for recipe in recipes:
        if recipe.name not in agreed.recipes:
            raise ConfigError(f"label_space = {settings.label_space!r} does not name data set {recipe.name!r}")
    return [agreed.recipes[recipe.name] for recipe in recipes], agreed.label_maps
