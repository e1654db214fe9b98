"""The panel of an adaptation, as on the slides: rows are methods and settings, columns the image and its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vtadapt.data.recipe.common_tasks import Agreement
from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell as Picture
from vtadapt.viz.panels import save_panel
from vtadapt.workflows.evaluate.cells import legends, shared_range
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.panel import TRUTH, blank, first_finished, map_cell, photograph
from vtadapt.workflows.sweep.trials import Trial

Maps = Mapping[str, Tensor]


def draw_adaptation(
    settings: TrainSettings, target: str, agreed: Agreement, trials: Sequence[Trial], path: Path, images: int
) -> list[str]:
    """Write a picture of evenly spaced images of the target's validation split, each a block of rows.

    Every method and setting is shown by the first of its seeds that is finished.

    Returns:
        The path; nothing where no run is finished.
    """
    shown = first_finished(trials)
    if not shown or images < 1:
        return []
    predictions: dict[str, list[dict[str, Tensor]]] = {}
    tasks: dict[str, Task] = {}
    batches: list[Mapping[str, Any]] = []
    reader = open_reader(settings, target, "val")
    for label, trial in shown.items():  # one network in memory at a time; the first knows all the tasks
        loaded = load_run(trial.path)
        if not tasks:
            tasks = loaded.tasks
            count = min(images, len(reader))
            batches = list(build_eval(reader, tasks, 1, count, agreed.label_maps[target]))
        predictions[label] = [_predict(loaded.model, batch["image"], loaded.tasks) for batch in batches]
    rows: list[list[Picture | None]] = []
    titles: list[str] = []
    for index, batch in enumerate(batches):
        rows += _rows(batch, tasks, {label: each[index] for label, each in predictions.items()})
        titles += [*(label.replace(":", " ") for label in predictions), TRUTH]
    return [str(save_panel(path, rows, row_titles=titles, title=target, strips=legends(tasks)))]


def _predict(model: torch.nn.Module, image: Tensor, tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    with torch.no_grad():
        logits = model(image)
    return {name: task.decode(logits[name].float())[0] for name, task in tasks.items()}


def _rows(batch: Mapping[str, Any], tasks: Mapping[str, Task], found: Mapping[str, Maps]) -> list[list[Picture | None]]:
    """A row for each method and setting and one for the truth, each quantity in one range of values."""
    truth = {name: batch["targets"][name][0] for name in tasks}
    first = next(iter(found.values()))
    limits = {name: shared_range(task, truth[name], first[name]) for name, task in tasks.items()}

    def row(maps: Maps, top: bool) -> list[Picture | None]:
        cells = [
            map_cell(task, maps[name], limits[name], name if top else "") if name in maps else None
            for name, task in tasks.items()
        ]
        return [photograph(batch, "image") if top else blank(batch), *cells]

    rows = [row(maps, number == 0) for number, maps in enumerate(found.values())]
    return [*rows, row(truth, False)]
