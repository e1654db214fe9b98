"""What the panels of grids have in common: which runs are shown, the photograph, a task's map in a given range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell as Picture
from vtadapt.workflows.sweep.trials import Trial

TRUTH = "ground truth"


def first_finished(trials: Iterable[Trial]) -> dict[str, Trial]:
    """Label -> the first of its trials that is finished."""
    shown: dict[str, Trial] = {}
    for trial in trials:
        if trial.error is None and trial.done:
            shown.setdefault(trial.label, trial)
    return shown


def photograph(batch: Mapping[str, Any], caption: str = "") -> Picture:
    """The image of a batch of one."""
    image: Tensor = batch["image"][0]
    return Picture((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8), caption=caption)


def blank(batch: Mapping[str, Any]) -> Picture:
    """White, of the size of the image of a batch of one."""
    return Picture(np.full((*batch["image"].shape[-2:], 3), 255, np.uint8))


def map_cell(task: Task, value: Tensor, limits: tuple[float, float] | None, caption: str = "") -> Picture | None:
    """A prediction or label of a task in colours; None where it has no valid pixel.

    Args:
        task: of the map.
        value: as :meth:`vtadapt.tasks.Task.decode` gives it for one image.
        limits: the range of values that the colours span.
        caption: above it.
    """
    if not bool(task.valid(value[None]).any()):
        return None
    return Picture(task.colour(value, limits), caption=caption, smooth=task.behaviour.smooth)
