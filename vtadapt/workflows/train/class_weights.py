"""Weights of classes in a loss: those that the settings say, or by how rare each is in the training labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vtadapt.data.pack.manifest import open_manifest
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import VOID
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.lessons import Lessons

AUTO = "auto"
LARGEST = 10.0  # weight that no class exceeds: one of a few pixels would else decide every step


def class_weights(settings: TrainSettings, lessons: Lessons) -> dict[str, Tensor]:
    """Task of classes -> weight of each class (K,) float32; empty where all classes count alike.

    "auto" is median frequency balancing (Eigen and Fergus, ICCV 2015): the median of the classes' shares of the
    labelled training pixels by the class' own, at most 10; 1 for a class without a pixel.

    Names of classes were checked with the tasks, before any data was prepared.
    """
    wanted = settings.class_weights
    if wanted is None:
        return {}
    tasks = {name: task for name, task in lessons.trained.items() if task.classes}
    if wanted == AUTO:
        return {name: balanced(_pixels(task, settings, lessons)) for name, task in tasks.items()}
    assert not isinstance(wanted, str), "checked by the settings"
    found = {name: [wanted.get(one, 1.0) for one in task.classes] for name, task in tasks.items()}
    return {name: torch.tensor(of) for name, of in found.items() if any(weight != 1 for weight in of)}


def balanced(pixels: Tensor) -> Tensor:
    """The weights of :func:`class_weights` of numbers of pixels (K,)."""
    there = pixels > 0
    if not there.any():
        return torch.ones(len(pixels))
    weights = pixels[there].median() / pixels.clamp_min(1)
    return weights.clamp_max(LARGEST).where(there, torch.tensor(1.0)).float()


def _pixels(task: Task, settings: TrainSettings, lessons: Lessons) -> Tensor:
    """Labelled training pixels of each class, of all data sets."""
    counts = torch.zeros(len(task.classes), dtype=torch.float64)
    for recipe in lessons.recipes:
        entry: Mapping[str, Mapping[str, int]] = (
            open_manifest(settings.data_dir, recipe.name)["splits"].get("train", {}).get("tasks", {}).get(task.name, {})
        )
        to = lessons.label_maps.get(recipe.name, {}).get(task.name)
        for place, number in enumerate(entry.get("pixels_per_class", {}).values()):
            id_ = place if to is None else to[place]
            if id_ != VOID and id_ < len(counts):
                counts[id_] += number
    return counts
