"""Labels and predictions of any task as maps of the same meaning, which a cross-task network can read."""

from __future__ import annotations

import torch
from torch import Tensor

from vtadapt.tasks import Task


def label_map(task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    """A label as a map (B, channels, H, W) float32, 0 where it is missing, and where it is there: (B, 1, H, W) bool.

    All maps are of the order of 1: classes are one-hot, distances are divided by their typical value.
    """
    mask = task.valid(target)[:, None]
    return torch.where(mask, task.behaviour.label_map(task, target), 0.0), mask


def prediction_map(task: Task, logits: Tensor) -> Tensor:
    """Logits (B, channels, H, W) as the map that :func:`label_map` makes of a label; differentiable.

    Classes are their probabilities.
    """
    return task.behaviour.prediction_map(task, logits)
