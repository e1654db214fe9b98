"""The panel of an evaluation: predictions over ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vtadapt.data.pack.pack import PackReader
from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell, panel, save_png
from vtadapt.workflows.evaluate.cells import legends, prediction_cells, shared_range, truth_cells
from vtadapt.workflows.run.loaders import build_eval


def draw_panel(
    model: nn.Module,
    reader: PackReader,
    tasks: Mapping[str, Task],
    path: Path,
    **options: Any,
) -> Path:
    """Write :func:`panel_of` to a PNG file."""
    return save_png(path, panel_of(model, reader, tasks, **options))


def panel_of(
    model: nn.Module,
    reader: PackReader,
    tasks: Mapping[str, Task],
    *,
    images: int = 4,
    label_maps: Mapping[str, Sequence[int]] | None = None,
    footer: str = "",
) -> np.ndarray:
    """A picture, (H, W, 3) uint8 RGB: per image one row of predictions over one row of ground truth."""
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
    return panel(rows, row_titles=titles, title=title, footer=footer, strips=legends(tasks))
