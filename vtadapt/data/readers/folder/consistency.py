"""Whether what a recipe says of the labels of its tasks goes together, before any file is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Protocol

from vtadapt.data.readers.folder.label_files import LabelFiles
from vtadapt.data.recipe.label_sets import LabelSet
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError, near_matches
from vtadapt.tasks.class_ids import RESERVED


class LabelOptions(Protocol):
    """Options of a reader that say how labels are to be read."""

    @property
    def labels(self) -> Mapping[str, LabelFiles]:
        """By task."""


SERVES: dict[str, dict[str, str]] = {
    "ids": {
        "factor": "'ids' says which number is which class",
        "missing": "'void' names numbers that are no class",
        "flip": "it turns axes of normals",
        "threshold": "'ids' says which number is which class",
        "scale": "'ids' says which number is which class",
    },
    "numbers": {
        "void": "'missing' names numbers that mean no label",
        "ids": "'factor' turns the numbers of the files into the task's units",
        "flip": "it turns axes of normals",
        "threshold": "'factor' turns the numbers of the files into the task's units",
        "scale": "'factor' turns the numbers of the files into the task's units",
    },
    "vectors": {
        "read": "normals are read as what they are, floats or colours",
        "void": "black, transparent and middle grey pixels, and vectors of zeros, are missing",
        "ids": "'flip' turns axes",
        "factor": "'flip' turns axes; 2 v / full - 1 is told by the files' type",
        "missing": "black, transparent and middle grey pixels, and vectors of zeros, are missing",
        "threshold": "'flip' turns axes",
        "scale": "'flip' turns axes; 2 v / full - 1 is told by the files' type",
    },
    "strengths": {
        "void": "'missing' names numbers that mean no label",
        "ids": "'threshold' says above which number a boundary is, 'scale' which number is a whole one",
        "factor": "'scale' says which number is a whole boundary",
        "flip": "it turns axes of normals",
    },
}
"""What a kind says of its files (``Kind.file_form``) -> keys that its reading has no use for, and what serves."""

OF_ONE_ARRAY = (".png", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".pbm", ".gif", ".webp", ".jpg", ".jpeg", ".npy")
"""Suffixes of files without named arrays."""


def check_labels(recipe: Recipe, options: LabelOptions) -> None:
    """Raise a ConfigError where tasks and ``options.labels`` do not fit."""
    for task, given in recipe.tasks.items():
        if (given.derive is None) != (task in options.labels):
            problem = "is derived, so it takes no files" if given.derive else "has no files in options.labels"
            raise ConfigError(f"recipe {recipe.name!r}: task {task!r} {problem}")
    seen: list[tuple[str, LabelFiles]] = []
    for task, how in options.labels.items():
        if task not in recipe.tasks:
            raise ConfigError(f"recipe {recipe.name!r}: options.labels names {task!r}, which is no task here")
        where = f"recipe {recipe.name!r}, options.labels.{task}"
        if twin := next((other for other, known in seen if known == how), None):
            raise ConfigError(
                f"{where}: {how.files!r} are the files of task {twin!r}, too, read in the same way; "
                "give each task its own, or say in what they differ ('ids', 'threshold', 'variable', ...)"
            )
        seen.append((task, how))
        _check_keys(recipe.tasks[task], how, where)
        _check_classes(recipe.tasks[task], how, where)
        _check_void(recipe.tasks[task], how, recipe.label_set(task), where)


def _check_keys(task: RecipeTask, how: LabelFiles, where: str) -> None:
    """The part that looks for keys that nothing would read."""
    form = task.behaviour.file_form
    for key, serves in SERVES[form].items():
        if getattr(how, key) != LabelFiles.model_fields[key].default:
            raise ConfigError(f"{where}: {key!r} says nothing of a task of kind {task.kind!r}: {serves}")
    if (how.coloured or how.format is not None) and form != "ids":
        found = (
            "'read: colours'" if how.read == "colours" else "'colours'" if how.coloured else f"'format: {how.format}'"
        )
        derived = "; derive it from them ('derive: {method: class_boundaries, ...}')" if form == "strengths" else ""
        raise ConfigError(f"{where}: {found} is for classes, and the task's kind is {task.kind!r}{derived}")
    if task.units and form != "numbers":
        raise ConfigError(
            f"{where}: the task has 'units: {task.units}', which a task of kind {task.kind!r} has no use for; "
            "remove it, or write 'kind: regression' where its files hold a quantity"
        )
    suffix = PurePosixPath(how.files).suffix.lower()
    if how.variable is not None and suffix in OF_ONE_ARRAY:
        raise ConfigError(
            f"{where}: 'variable' names an array of .npz or .mat files, and a {suffix} file has no names; remove it"
        )


def _check_void(task: RecipeTask, how: LabelFiles, label_set: LabelSet | None, where: str) -> None:
    """The part that looks for numbers that are a class and no class at once."""
    if label_set is not None and label_set.ids:
        if how.void or how.ids:
            name, key = task.label_set, "void" if how.void else "ids"
            raise ConfigError(f"{where}: {key!r} is not read where label_sets.{name} has 'ids'; say it there")
        return
    names = dict(enumerate(task.classes)) if how.ids is None else {}
    if both := [number for number in how.void if names.get(number, RESERVED) != RESERVED]:
        raise ConfigError(
            f"{where}: {both[0]} is in 'void', and the number of class {names[both[0]]!r}; keep one of them: take it "
            "out of 'void', or say in 'ids' which number is which class"
        )


def _check_classes(task: RecipeTask, how: LabelFiles, where: str) -> None:
    """The part that looks at names and colours of classes."""
    known_classes = {None, *task.classes}
    if lost := [name for name in (how.ids or {}).values() if name not in known_classes]:
        hint = near_matches(str(lost[0]), task.classes)
        raise ConfigError(f"{where}: 'ids' names {lost[0]!r}, which is no class of the task.{hint}")
    _check_names(task, how, where)
    if not how.coloured:
        return
    own = [colour for colours in how.colours.values() for colour in colours] if how.colours else [*task.colours]
    known = [*own, *how.void_colours]
    if not own:
        raise ConfigError(f"{where}: 'read: colours' needs the task's 'colours', one for each of its 'classes'")
    if twice := next((colour for colour in known if known.count(colour) > 1), None):
        raise ConfigError(f"{where}: colour {list(twice)} stands for two classes, or for void, too")


def _check_names(task: RecipeTask, how: LabelFiles, where: str) -> None:
    """The part that looks at the classes that names and colours of the files stand for."""
    named = {"colours": how.colours, "names": how.names.values(), "unlabelled": [how.unlabelled]}
    for key, classes in named.items():
        for name in classes:
            if name is not None and name not in task.classes:
                hint = near_matches(name, task.classes)
                raise ConfigError(f"{where}: {key!r} names {name!r}, which is no class of the task.{hint}")
