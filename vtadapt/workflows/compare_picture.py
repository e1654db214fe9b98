"""The panel of a comparison: rows are tasks, columns the methods and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vtadapt.data.recipe import Recipe
from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell as Picture
from vtadapt.viz.panels import panel, save_png
from vtadapt.workflows.compare_grid import Cell
from vtadapt.workflows.eval import legends, shared_range
from vtadapt.workflows.loaders import build_eval, open_reader
from vtadapt.workflows.session import load_run
from vtadapt.workflows.settings import TrainSettings

TRUTH = "ground truth"


def draw_comparison(
    settings: TrainSettings,
    recipes: Sequence[Recipe],
    tasks: Mapping[str, Task],
    cells: Sequence[Cell],
    folder: Path,
    images: int,
) -> list[str]:
    """Write ``panel-SET.png`` for each data set: evenly spaced images of its validation split.

    Each method is shown by the first of its seeds that is finished; where none is, it has no column.

    Returns:
        The paths; none where no cell is finished.
    """
    shown: dict[str, Cell] = {}
    for cell in cells:
        if cell.error is None and cell.done:
            shown.setdefault(cell.label, cell)
    if not shown or images < 1:
        return []
    batches = {}
    for recipe in recipes:
        reader = open_reader(settings, recipe.name, "val")
        batches[recipe.name] = list(build_eval(reader, tasks, 1, min(images, len(reader))))
    predictions: dict[str, dict[str, list[dict[str, Tensor]]]] = {name: {} for name in batches}
    for label, cell in shown.items():  # one network in memory at a time
        model = load_run(cell.path).model
        for name, found in batches.items():
            with torch.no_grad():
                logits = [{k: v.float() for k, v in model(batch["image"]).items()} for batch in found]
            predictions[name][label] = [{k: t.decode(x[k])[0] for k, t in tasks.items()} for x in logits]
    paths = []
    for name, found in batches.items():
        rows: list[list[Picture | None]] = []
        titles: list[str] = []
        for index, batch in enumerate(found):
            columns = {label: each[index] for label, each in predictions[name].items()}
            rows += _rows(batch, tasks, columns)
            titles += list(tasks)
        picture = panel(rows, row_titles=titles, title=f"{name}: {len(shown)} methods", strips=legends(tasks))
        paths.append(str(save_png(folder / f"panel-{name}.png", picture)))
    return paths


def _rows(
    batch: Mapping[str, object], tasks: Mapping[str, Task], columns: Mapping[str, Mapping[str, Tensor]]
) -> list[list[Picture | None]]:
    """One row per task for one image: the photograph, every method, the ground truth; all drawn in the same range."""
    image: Tensor = batch["image"]  # type: ignore[assignment]
    targets: Mapping[str, Tensor] = batch["targets"]  # type: ignore[assignment]
    rgb = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    rows: list[list[Picture | None]] = []
    for number, (name, task) in enumerate(tasks.items()):
        truth, first = targets[name][0], number == 0
        limits = shared_range(task, truth, next(iter(columns.values()))[name])
        row: list[Picture | None] = [Picture(rgb, caption="image") if first else Picture(np.full_like(rgb, 255))]
        for label, predicted in columns.items():
            drawn = task.colour(predicted[name], limits)
            row.append(Picture(drawn, caption=label if first else "", smooth=not task.classes))
        labelled = bool(task.valid(truth[None]).any())
        known = Picture(task.colour(truth, limits), caption=TRUTH if first else "", smooth=not task.classes)
        rows.append([*row, known if labelled else None])
    return rows
