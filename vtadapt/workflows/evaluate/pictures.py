"""Predictions and ground truth in colour: cells of panels, and the panels of an evaluation and of one photograph."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vtadapt.data.pack.pack import PackReader
from vtadapt.tasks import Task
from vtadapt.viz.keys import legend
from vtadapt.viz.panels import Cell, Strip, save_panel
from vtadapt.workflows.run.loaders import build_eval

MAX_LEGEND = 24  # classes named under a panel


def draw_panel(
    model: nn.Module,
    reader: PackReader,
    tasks: Mapping[str, Task],
    path: Path,
    *,
    images: int = 4,
    label_maps: Mapping[str, Sequence[int]] | None = None,
    footer: str = "",
) -> Path:
    """Write a picture: per image one row of predictions over one row of ground truth."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    rows: list[list[Cell | None]] = []
    titles: list[str] = []
    count = min(images, len(reader))
    loader = build_eval(reader, tasks, 1, count, label_maps)
    with torch.no_grad():
        for batch in loader:
            logits = {k: v.float().cpu() for k, v in model(batch["image"].to(device)).items()}
            predictions = {name: task.decode(logits[name])[0] for name, task in tasks.items()}
            truth = {name: batch["targets"][name][0] for name in tasks}
            ranges = {name: shared_range(task, truth[name], predictions[name]) for name, task in tasks.items()}
            image = (batch["image"][0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            rows.append(
                [Cell(image, caption=f"image {batch['name'][0]}"), *prediction_cells(tasks, predictions, ranges)]
            )
            rows.append([Cell(np.full_like(image, 255)), *truth_cells(tasks, truth, ranges)])
            titles += ["prediction", "ground truth"]
    model.train(training)
    title = reader.path.parent.name
    return save_panel(path, rows, row_titles=titles, title=title, footer=footer, strips=legends(tasks))


def save_prediction(
    path: Path, rgb: np.ndarray, tasks: Mapping[str, Task], predictions: Mapping[str, torch.Tensor], **words: str
) -> Path:
    """Write the panel of one photograph: the picture and one cell per task.

    Args:
        path: of the panel.
        rgb: (H, W, 3) uint8.
        tasks: name -> task.
        predictions: name -> decoded prediction of the photograph's size.
        words: ``title`` and ``footer``.
    """
    ranges = {name: task.value_range(predictions[name]) for name, task in tasks.items()}
    image = Cell(rgb, caption="image", note=f"{rgb.shape[1]} x {rgb.shape[0]}")
    return save_panel(path, [[image, *prediction_cells(tasks, predictions, ranges)]], strips=legends(tasks), **words)


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
