"""Whether what a recipe says of the labels of its tasks goes together, before any file is looked for."""

from __future__ import annotations

from vtadapt.data.readers.folder.options import FolderOptions, LabelFiles
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError, near_matches


def check_labels(recipe: Recipe, options: FolderOptions) -> None:
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
        _check_classes(recipe.tasks[task], how, where)


def _check_classes(task: RecipeTask, how: LabelFiles, where: str) -> None:
    """The part that looks at names and colours of classes."""
    known_classes = {None, *task.classes}
    if lost := [name for name in (how.ids or {}).values() if name not in known_classes]:
        hint = near_matches(str(lost[0]), task.classes)
        raise ConfigError(f"{where}: 'ids' names {lost[0]!r}, which is no class of the task.{hint}")
    if how.read != "colours":
        return
    known = [*task.colours, *how.void_colours]
    if not task.colours:
        raise ConfigError(f"{where}: 'read: colours' needs the task's 'colours', one for each of its 'classes'")
    if twice := next((colour for colour in known if known.count(colour) > 1), None):
        raise ConfigError(
            f"{where}: 'read: colours', but colour {list(twice)} stands for two classes, or for void, too"
        )
