"""The panel of a comparison: rows are tasks, columns the methods and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vtadapt.data.recipe.recipe import Recipe
from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell as Picture
from vtadapt.viz.panels import save_panel
from vtadapt.workflows.evaluate.cells import legends, shared_range
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.panel import TRUTH, blank, first_finished, map_cell, photograph
from vtadapt.workflows.sweep.trials import Trial


def draw_comparison(
    settings: TrainSettings,
    recipes: Sequence[Recipe],
    tasks: Mapping[str, Task],
    trials: Sequence[Trial],
    folder: Path,
    images: int,
) -> list[str]:
    """Write ``panel-SET.png`` for each data set: evenly spaced images of its validation split.

    Each method is shown by the first of its seeds that is finished; where none is, it has no column.

    Returns:
        The paths; none where no trial is finished.
    """
    shown = first_finished(trials)
    if not shown or images < 1:
        return []
    batches = {}
    for recipe in recipes:
        reader = open_reader(settings, recipe.name, "val")
        batches[recipe.name] = list(build_eval(reader, tasks, 1, min(images, len(reader))))
    predictions: dict[str, dict[str, list[dict[str, Tensor]]]] = {name: {} for name in batches}
    for label, trial in shown.items():  # one network in memory at a time
        model = load_run(trial.path).model
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
        title, path = f"{name}: {len(shown)} methods", folder / f"panel-{name}.png"
        paths.append(str(save_panel(path, rows, row_titles=titles, title=title, strips=legends(tasks))))
    return paths


def _rows(
    batch: Mapping[str, Any], tasks: Mapping[str, Task], columns: Mapping[str, Mapping[str, Tensor]]
) -> list[list[Picture | None]]:
    """One row per task for one image: the photograph, every method, the ground truth; all drawn in the same range."""
    rows: list[list[Picture | None]] = []
    for number, (name, task) in enumerate(tasks.items()):
        truth, top = batch["targets"][name][0], number == 0
        limits = shared_range(task, truth, next(iter(columns.values()))[name])
        cells = {**{label: predicted[name] for label, predicted in columns.items()}, TRUTH: truth}
        row = [map_cell(task, value, limits, caption if top else "") for caption, value in cells.items()]
        rows.append([photograph(batch, "image") if top else blank(batch), *row])
    return rows
