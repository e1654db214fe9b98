"""What a run learns, settled before anything is rendered, opened or trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, near_matches
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.data.data_sets import RunData
from vtadapt.workflows.run.data.label_space import in_label_space
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.old_tasks import Kept, match_tasks
from vtadapt.workflows.train.starting_run import Start, find_start


@dataclass(frozen=True)
class Lessons:
    """What a run learns, and from what.

    Attributes:
        recipes: of the data sets that it is trained on, as its label space declares their tasks.
        tasks: all that its network has.
        trained: those whose labels are used.
        label_maps: data set -> task -> the task's class of each class of the data set.
        start: the run that it starts from.
        fresh: tasks of that run whose heads start anew.
        kept: the tasks that it rehearses, and the class of each class that the rehearsed data has.
        added: the task that is added to a finished run, of which all else stays as it is; None for any other training.
        sources: the run's other tasks whose labels are at hand: they tell the column of A of the added one.
    """

    recipes: Sequence[Recipe]
    tasks: Mapping[str, Task]
    trained: Mapping[str, Task]
    label_maps: Mapping[str, Mapping[str, Sequence[int]]]
    start: Start | None = None
    fresh: Sequence[str] = ()
    kept: Kept = field(default_factory=lambda: ({}, {}))
    added: str | None = None
    sources: Mapping[str, Task] = field(default_factory=dict)

    def held(self, settings: TrainSettings, model: MultitaskModel) -> list[str]:
        """The tasks of whose own parts none may move."""
        if self.added is None:
            return list(settings.held)
        return [name for name in model.tasks if name != self.added] if model.has_own_parts else []


def plan_lessons(settings: TrainSettings, data: RunData, folder: Path | None = None) -> Lessons:
    """Settle what a run learns.

    Args:
        settings: of the run.
        data: its data sets.
        folder: of the run, where it is there already.

    Raises:
        UsageError: a task that no data set has.
        ConfigError: tasks that do not fit the data, the method, or the run that it starts from.
    """
    recipes, maps = in_label_space(settings, data)
    start = find_start(settings, folder)
    if start is not None:
        old = match_tasks(start, recipes, settings.held)
        kept: Kept = ({}, {}) if data.rehearsed is None else old.rehearsed(data.rehearsed)
        lessons = Lessons(recipes, old.tasks, old.trained, old.label_maps, start, old.fresh, kept)
    else:
        tasks = build_tasks(recipes, settings.tasks)
        lessons = Lessons(recipes, tasks, tasks, maps)
    lessons = with_losses(lessons, settings)
    least, found = METHODS[settings.method].fewest_tasks, lessons.trained
    if len(found) < least:
        raise ConfigError(
            f"method {settings.method!r} takes at least {least} tasks; found {len(found)}, {', '.join(found)}"
        )
    if settings.rehearse is not None and not lessons.kept[0]:
        raise ConfigError(f"rehearse = {settings.rehearse!r} has no label of a task whose head is kept")
    return lessons


def with_losses(lessons: Lessons, settings: TrainSettings) -> Lessons:
    """The same with the losses that the settings name, whose weights of tasks and classes are checked.

    Raises:
        ConfigError: a task that is not trained, a loss that its kind does not have, or a class that none has.
    """
    lessons = _with_kinds(lessons, settings.losses)
    if isinstance(settings.class_weights, Mapping):
        _need_classes(lessons.trained, settings.class_weights)
    for name in sorted(settings.loss_weights.keys() - lessons.tasks.keys()):
        raise ConfigError(f"loss weight for {name!r}, which is not trained; tasks are {', '.join(lessons.tasks)}")
    return lessons


def _need_classes(trained: Mapping[str, Task], wanted: Mapping[str, float]) -> None:
    """Check the names of ``class_weights``, and that they leave something to be learned.

    Raises:
        ConfigError: a class that no task has, or a task whose classes all have weight 0.
    """
    tasks = {name: task for name, task in trained.items() if task.classes}
    known = [one for task in tasks.values() for one in task.classes]
    if lost := next((name for name in wanted if name not in known), None):
        raise ConfigError(
            f"class_weights: {lost!r} is no class of {', '.join(tasks) or 'any task'}.{near_matches(lost, known)}"
        )
    for name, task in tasks.items():
        if all(wanted.get(one) == 0 for one in task.classes):
            raise ConfigError(f"class_weights of all classes of {name!r} are 0, so it learns nothing; leave it out")


def _with_kinds(lessons: Lessons, losses: Mapping[str, str]) -> Lessons:
    """The same with the losses that the settings name.

    Raises:
        ConfigError: of a task that is not trained, or a loss that its kind does not have.
    """
    for name, loss in losses.items():
        if name not in lessons.trained:
            raise ConfigError(f"loss for {name!r}, which is not trained; tasks are {', '.join(lessons.trained)}")
        known = lessons.trained[name].behaviour.losses
        if loss not in known:
            raise ConfigError(
                f"losses: {name!r} has no loss {loss!r}; wanted one of {', '.join(known)}.{near_matches(loss, known)}"
            )
    if not losses:
        return lessons

    def changed(tasks: Mapping[str, Task]) -> dict[str, Task]:
        return {name: replace(task, loss=losses.get(name, task.loss)) for name, task in tasks.items()}

    return replace(lessons, tasks=changed(lessons.tasks), trained=changed(lessons.trained))
