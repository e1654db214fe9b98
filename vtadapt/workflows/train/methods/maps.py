"""Labels and predictions of any task as maps of the same meaning, which a cross-task network can read."""

from __future__ import annotations

import torch
from torch import Tensor

from vtadapt.tasks import Task


def label_map(task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    """A label as a map (B, channels, H, W) float32, 0 where it is missing, and where it is there: (B, 1, H, W) bool.

    Classes are one-hot; distances are divided by their typical value, so that all maps are of the order of 1.
    """
    valid = task.valid(target)
    if task.classes:
        ids = torch.where(valid, target, 0).long()
        values = torch.nn.functional.one_hot(ids, task.channels).movedim(-1, 1).float()
    else:
        values = target.float() / task.typical
    mask = valid[:, None]
    return torch.where(mask, values, 0.0), mask


def prediction_map(task: Task, logits: Tensor) -> Tensor:
    """Logits (B, channels, H, W) as the map that :func:`label_map` makes of a label; differentiable.

    Classes are their probabilities.
    """
    if task.classes:
        return logits.float().softmax(1)
    return task.decode(logits) / task.typical
