"""The panel of a zero-shot transfer: rows are images, columns what each way of getting to the task predicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vtadapt.viz.panels import Cell as Picture
from vtadapt.viz.panels import save_panel
from vtadapt.workflows.evaluate.cells import legends, shared_range
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.sweep.panel import TRUTH, first_finished, map_cell, photograph
from vtadapt.workflows.sweep.trials import Trial
from vtadapt.workflows.zero_shot.plan import DIRECT, Plan


def draw_zero_shot(plan: Plan, trials: Sequence[Trial], folder: Path, images: int) -> list[str]:
    """Write ``panel-TARGET-TASK.png``: evenly spaced validation images of the target, task n alone.

    Every training is shown by its first seed that is finished; all pictures of a row are drawn in the same range.

    Returns:
        The path; nothing where no image is wanted.
    """
    if images < 1:
        return []
    shown = {DIRECT: next(iter(plan.sources.values()))}
    shown |= {label: trial.path for label, trial in first_finished(trials).items()}
    task, name = plan.task, plan.recipe.name
    reader = open_reader(plan.base, name, "val")
    maps = plan.old.label_maps.get(name)
    batches = list(build_eval(reader, {task.name: task}, 1, min(images, len(reader)), maps))
    predicted: dict[str, list[Tensor]] = {}
    for label, path in shown.items():  # one network in memory at a time
        model = load_run(path, weights=plan.weights if label == DIRECT else None).model
        with torch.no_grad():
            logits = [model(batch["image"], [task.name])[task.name].float() for batch in batches]
        predicted[label] = [task.decode(x)[0] for x in logits]
    rows: list[list[Picture | None]] = []
    for index, batch in enumerate(batches):
        truth, first = batch["targets"][task.name][0], index == 0
        limits = shared_range(task, truth, predicted[DIRECT][index])
        maps_shown = {**{label: each[index] for label, each in predicted.items()}, TRUTH: truth}
        row = [map_cell(task, value, limits, caption if first else "") for caption, value in maps_shown.items()]
        rows.append([photograph(batch, "image" if first else ""), *row])
    path = folder / f"panel-{name}-{task.name}.png"
    return [str(save_panel(path, rows, title=f"{task.name} on {name}", strips=legends({task.name: task})))]
