"""How a run is measured on data that it was not made for: the classes that both have, in one list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vtadapt.data.recipe.common_tasks import check_same
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.shared_classes import SharedClasses, shared_classes
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError, VtadaptError
from vtadapt.tasks import Task, make_task
from vtadapt.tasks.class_ids import RESERVED, VOID, with_reserved
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.load import Loaded

NONE = "(none of these)"
"""What a pixel is predicted as where the predicted class has no counterpart: no truth is so, hence always wrong."""


@dataclass(frozen=True)
class View:
    """A run as another data set sees it.

    Attributes:
        model: the run's, its class predictions in the classes of ``tasks``.
        tasks: of the run, with the classes and caps that both sides share.
        label_maps: per task the shared class of each stored one.
        classes: per task of kind "classes" what is shared and what is left out; empty on the run's own data.
        left_out: per task that cannot be measured there, why.
    """

    model: nn.Module
    tasks: dict[str, Task]
    label_maps: dict[str, list[int]] = field(default_factory=dict)
    classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class Translated(nn.Module):
    """A network whose most probable class is looked up in a table, task by task.

    Several classes may become one: a streets run that says "traffic light" where CamVid says "sign" is right.
    """

    def __init__(self, model: nn.Module, tables: Mapping[str, Sequence[int]], channels: Mapping[str, int]) -> None:
        """Wrap ``model``.

        Args:
            model: image -> dict of logits.
            tables: per task the new id of each class it predicts.
            channels: per task the number of new ids.
        """
        super().__init__()
        self.model, self.channels = model, dict(channels)
        self.tables = {name: torch.tensor(list(ids)) for name, ids in tables.items()}

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) -> logits; those of a translated task are 1 for its new class and 0 for the others."""
        logits = dict(self.model(image, tasks))
        for name in self.tables.keys() & logits.keys():
            ids = self.tables[name].to(image.device)[logits[name].argmax(1)]
            logits[name] = nn.functional.one_hot(ids, self.channels[name]).movedim(-1, 1).float()
        return logits


def label_maps_of(loaded: Loaded, recipe: Recipe) -> dict[str, list[int]]:
    """For tasks whose classes are others in ``recipe``: the run's class of each of them."""
    maps = {}
    for name, task in loaded.tasks.items():
        if name not in recipe.tasks or recipe.tasks[name].classes == task.classes:
            continue
        try:
            maps[name] = recipe.class_ids(name, loaded.label_sets[name], task.classes)
        except ConfigError:
            if name not in (*loaded.settings.held, *loaded.added):
                raise
            maps[name] = [VOID] * len(recipe.tasks[name].classes)  # held, or added, on other classes
    return maps


def view_of(loaded: Loaded, recipe: Recipe) -> View:
    """The run on its own data, or on those it was adapted to: as it is. On others: see the module's page.

    A task whose classes have no map or none in common is left out where another one remains.

    Raises:
        ConfigError: a task is of another kind or unit there, or none can be measured.
    """
    if recipe.name in own_names(loaded):
        return View(loaded.model, loaded.tasks, label_maps_of(loaded, recipe))
    tasks, maps, tables = dict(loaded.tasks), {}, {}
    classes: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    there = [name for name in loaded.tasks if name in recipe.tasks]
    for name in there:
        task = loaded.tasks[name]
        own = _recipe_of(loaded, name)
        check_same(name, own.tasks[name], recipe.tasks[name], own.name, recipe.name)
        tasks[name] = task.capped(recipe.tasks[name].max_value)
        if task.classes:
            try:
                shared = shared_classes(own, recipe, name)
            except ConfigError as error:
                left_out[name] = str(error)
                if len(left_out) == len(there):
                    raise
                del tasks[name]
                continue
            tasks[name], table = _translation(task, shared)
            maps[name], classes[name] = shared.second, _about(own.tasks[name], recipe.tasks[name], shared)
            if table is not None:
                tables[name] = table
    channels = {name: tasks[name].channels for name in tables}
    model = Translated(loaded.model, tables, channels) if tables else loaded.model
    return View(model, tasks, maps, classes, left_out)


def own_names(loaded: Loaded) -> set[str]:
    """Names of the data sets whose classes the run was made for."""
    return {*loaded.settings.data_names, *loaded.settings.space_names}


def _recipe_of(loaded: Loaded, task: str) -> Recipe:
    """A recipe that declares the run's own task: one of its data sets, whose class maps hold for its classes.

    Where none of them is known here any more, it has no maps.
    """
    label_set = loaded.label_sets[task]
    declared = RecipeTask.of(loaded.tasks[task], label_set)
    found: Recipe | None = None
    for name in sorted(own_names(loaded)):
        try:
            recipe = find_recipe(name, loaded.settings.data_dir)
        except VtadaptError:  # not here any more
            continue
        lists = {recipe.tasks[task].label_set if task in recipe.tasks else "", *recipe.label_sets}
        if found is None or label_set in lists:
            found = recipe if label_set in lists else recipe.model_copy(update={"class_maps": {}})
    if found is None:
        found = Recipe(name=loaded.path.name, title="", licence="", reader="", tasks={task: declared})
    return found.model_copy(update={"tasks": {task: declared}})


def _translation(task: Task, shared: SharedClasses) -> tuple[Task, list[int] | None]:
    """The task in the shared classes, and the table that its predictions go through; None where they fit already."""
    direct = shared.first == list(range(len(task.classes)))
    classes, colours = shared.classes, shared.colours
    if not direct and VOID in shared.first:
        more = with_reserved((*classes, NONE))[len(classes) :]
        classes, colours = (*classes, *more), (*colours, *[(0, 0, 0)] * len(more)) if colours else ()
    translated = make_task(task.name, task.kind, classes=classes, colours=colours, headline=task.headline)
    if direct:
        return translated, None
    return translated, [len(classes) - 1 if to == VOID else to for to in shared.first]


def _about(run: RecipeTask, data: RecipeTask, shared: SharedClasses) -> dict[str, Any]:
    """What is told of a task's classes."""
    return {
        "label_set": shared.label_set,
        "shared": [c for c in shared.classes if c != RESERVED],
        "only_run": list(shared.only_first),
        "only_data": list(shared.only_second),
        "merged": _merged(shared, run.classes, shared.first) | _merged(shared, data.classes, shared.second),
    }


def _merged(shared: SharedClasses, classes: Sequence[str], ids: Sequence[int]) -> dict[str, list[str]]:
    """Shared class -> the several classes of one side that it stands for."""
    found: dict[str, list[str]] = {}
    for name, to in zip(classes, ids, strict=True):
        if to != VOID:
            found.setdefault(shared.classes[to], []).append(name)
    return {name: parts for name, parts in found.items() if len(parts) > 1}


def with_absent(
    classes: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, Any]]:
    """``classes`` of a view, and "absent": those shared of which the measured images have no pixel, so in no mean."""
    return {
        task: {**about, "absent": [c for c in about["shared"] if f"iou/{c}" not in metrics.get(task, {})]}
        for task, about in classes.items()
    }


def tell_classes(data: str, classes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence a task on what the mean over classes is of, and what was left out."""
    lines = []
    for task, about in classes.items():
        absent = about["absent"]
        used = [name for name in about["shared"] if name not in absent]
        parts = [f"{data} {task}: {len(used)} classes that both have: {', '.join(used)}"]
        parts += [f"{name} is {' and '.join(of)}" for name, of in about["merged"].items()]
        for what, names in (
            ("the run alone has", about["only_run"]),
            (f"{data} alone has", about["only_data"]),
            ("no pixel in these images of", absent),
        ):
            if names:
                parts.append(f"{what} {', '.join(names)}")
        lines.append("; ".join(parts))
    return lines
