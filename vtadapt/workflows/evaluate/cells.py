"""Predictions and ground truth in colour: cells of panels, what explains them, and the panel of one photograph."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import torch

from vtadapt.tasks import Task
from vtadapt.viz.keys import legend
from vtadapt.viz.panels import Cell, Strip, panel

MAX_LEGEND = 24  # classes named under a panel


def prediction_page(
    rgb: np.ndarray,
    tasks: Mapping[str, Task],
    predictions: Mapping[str, torch.Tensor],
    *,
    title: str = "",
    footer: str = "",
) -> np.ndarray:
    """The panel of one photograph: the picture and one cell per task, (H, W, 3) uint8 RGB.

    Args:
        rgb: (H, W, 3) uint8.
        tasks: name -> task.
        predictions: name -> decoded prediction of the photograph's size.
        title: above it.
        footer: below it.
    """
    ranges = {name: task.value_range(predictions[name]) for name, task in tasks.items()}
    image = Cell(rgb, caption="image", note=f"{rgb.shape[1]} x {rgb.shape[0]}")
    return panel(
        [[image, *prediction_cells(tasks, predictions, ranges)]], strips=legends(tasks), title=title, footer=footer
    )


def shared_range(task: Task, truth: torch.Tensor, prediction: torch.Tensor) -> tuple[float, float] | None:
    """The range of values that truth and prediction are both drawn in."""
    return task.value_range(truth) or task.value_range(prediction)


def _note(task: Task, limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ""
    ends = " .. ".join(task.behaviour.ends(task))
    return f"{limits[0]:.2f} .. {limits[1]:.2f} {task.units} ({ends})".replace("  ", " ")


def prediction_cells(
    tasks: Mapping[str, Task], predictions: Mapping[str, torch.Tensor], ranges: Mapping[str, tuple[float, float] | None]
) -> list[Cell]:
    """One coloured cell per task."""
    return [
        Cell(
            task.colour(predictions[name], ranges[name]),
            caption=name,
            note=_note(task, ranges[name]),
            smooth=task.behaviour.smooth,
        )
        for name, task in tasks.items()
    ]


def truth_cells(
    tasks: Mapping[str, Task], truth: Mapping[str, torch.Tensor], ranges: Mapping[str, tuple[float, float] | None]
) -> list[Cell | None]:
    """Coloured ground truth; None where the sample has no label."""
    return [
        Cell(task.colour(truth[name], ranges[name]), note=_note(task, ranges[name]), smooth=task.behaviour.smooth)
        if bool(task.valid(truth[name][None]).any())
        else None
        for name, task in tasks.items()
    ]


def legends(tasks: Mapping[str, Task]) -> list[Strip]:
    """A strip of class names and colours, drawn at any width, for every task with few enough classes."""
    shown = [task for task in tasks.values() if 0 < len(task.classes) <= MAX_LEGEND]
    return [functools.partial(legend, task.classes, task.colours) for task in shown]
