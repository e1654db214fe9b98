"""The label space of a run: the tasks of its data sets as they are, or made the same as another set's."""

from __future__ import annotations

from vtadapt.data.recipe.common_tasks import agree
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError
from vtadapt.workflows.run.data.data_sets import RunData
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.run.settings.fields import SEPARATOR

LabelMaps = dict[str, dict[str, list[int]]]
"""Data set -> task -> new id of each stored class."""


def label_space(source: str, target: str) -> str:
    """The value of setting ``label_space`` for these two data sets."""
    return f"{source}{SEPARATOR}{target}"


def in_label_space(settings: TrainSettings, data: RunData) -> tuple[list[Recipe], LabelMaps]:
    """The recipes that a run is trained on as its label space declares their tasks, and how stored ids become classes.

    Raises:
        ConfigError: one of them is none of the two sets of the label space, or these do not fit one another.
    """
    if not data.space:
        return [*data.trained], {}
    first, second = data.space
    agreed = agree(first, second, settings.tasks)
    for recipe in data.trained:
        if recipe.name not in agreed.recipes:
            raise ConfigError(f"label_space = {settings.label_space!r} does not name data set {recipe.name!r}")
    return [agreed.recipes[recipe.name] for recipe in data.trained], agreed.label_maps
