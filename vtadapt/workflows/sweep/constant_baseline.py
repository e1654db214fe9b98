"""The trivial predictor: the best constant of each kind of task, the floor that every trained network must be above."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.evaluate import Metrics, evaluate
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

IMAGES = 500  # of the training split, evenly spaced, that the constants are taken from


class TrivialPredictor(nn.Module):
    """Predicts the same for every pixel of every image.

    The most frequent class, the mean of a quantity, the direction of the mean vector, no boundary.
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        """Start without data; :meth:`add` what it shall know."""
        super().__init__()
        self.tasks = dict(tasks)
        self.sums = {name: torch.zeros(task.channels, dtype=torch.float64) for name, task in tasks.items()}
        self.counts = dict.fromkeys(tasks, 0)

    def add(self, targets: Mapping[str, Tensor]) -> None:
        """Take in the labels of a batch."""
        for name, task in self.tasks.items():
            self.counts[name] += int(task.valid(targets[name]).sum())
            self.sums[name] += task.behaviour.total(task, targets[name])

    def constant(self, name: str) -> Tensor:
        """(channels,) logits whose decoded value is the constant of a task."""
        task, mean = self.tasks[name], self.sums[name] / max(1, self.counts[name])
        return task.behaviour.constant(task, mean)

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) -> task name -> logits (B, channels, H, W), the same at every pixel."""
        shape = (len(image), -1, *image.shape[-2:])
        names = self.tasks if tasks is None else tasks
        return {name: self.constant(name).float().view(1, -1, 1, 1).expand(shape).to(image.device) for name in names}


def trivial_metrics(
    settings: TrainSettings, recipes: Sequence[Recipe], tasks: Mapping[str, Task], fabric: Fabric
) -> dict[str, Metrics]:
    """Metrics on the validation split of the constants of each data set's training split, by data set."""
    results = {}
    for recipe in recipes:
        model = TrivialPredictor(tasks)
        for batch in build_eval(open_reader(settings, recipe.name, "train"), tasks, settings.batch_size, IMAGES):
            model.add(batch["targets"])
        loader = build_eval(open_reader(settings, recipe.name, "val"), tasks, settings.batch_size, None)
        results[recipe.name] = evaluate(model, loader, tasks, fabric).metrics
    return results


def not_beaten(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    trivial: Mapping[str, Mapping[str, Mapping[str, Any]]],
    tasks: Mapping[str, Task],
) -> list[str]:
    """Return "SET TASK" wherever the headline metric is not better than the trivial predictor's.

    Args:
        metrics: data set -> task -> metric key -> value.
        trivial: the same of :func:`trivial_metrics`.
        tasks: by name.
    """
    found = []
    for data, by_task in trivial.items():
        for name, floor in by_task.items():
            key = tasks[name].headline
            value = metrics.get(data, {}).get(name, {}).get(key, math.nan)
            better = value > floor[key] if tasks[name].higher_is_better(key) else value < floor[key]
            if not better:
                found.append(f"{data} {name}")
    return found
