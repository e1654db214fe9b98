"""What a report takes from the packs: predictions beside the truth, scores of single images, attention."""

from __future__ import annotations

import contextlib
import io
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from vtadapt.atomic import temporary_folder
from vtadapt.data.training.dataset import collate
from vtadapt.viz.panels import Cell, save_png
from vtadapt.viz.report.pictures import Extreme, Sample, Shot
from vtadapt.workflows.attention.visualize import AttentionOptions, visualize_attention
from vtadapt.workflows.evaluate.cells import prediction_cells, shared_range, truth_cells
from vtadapt.workflows.evaluate.other_data import label_maps_of
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.sizing.finite import need_finite
from vtadapt.workflows.terminal.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

PANELS = 4  # images whose predictions are shown, over all data sets
ATTENTION = 2  # images whose attention is shown, over all data sets
ENDS = 3  # best and worst images per task
FEW = 12  # pairs of data set and task beyond which one of each is enough


@dataclass(frozen=True)
class Sampled:
    """What one data set gave: facts for JSON, images with predictions, best and worst, photographs."""

    about: dict[str, Any]
    samples: list[Sample]
    extremes: dict[str, list[Extreme]]
    photographs: list[tuple[str, np.ndarray]]


def sample(loaded: Loaded, name: str, split: str, images: int, fabric: Fabric, *, quiet: bool = False) -> Sampled:
    """Score evenly spaced images of a split, one by one, and pick those to show.

    Args:
        loaded: the run, its model on Fabric's device.
        name: data set.
        split: of it.
        images: at most so many are scored.
        fabric: device and precision.
        quiet: no progress.

    Raises:
        VtadaptError: the pack is missing or broken, or its classes have no map to the run's.
    """
    recipe = find_recipe(name, loaded.settings.data_dir)
    reader = open_reader(loaded.settings, recipe.name, split)
    loader = build_eval(reader, loaded.tasks, loaded.settings.batch_size, images, label_maps_of(loaded, recipe))
    scores, names = _scores(loaded, loader, fabric, f"report: {recipe.name}", quiet)
    sets = len(loaded.settings.data_names)
    count = len(names)
    shown = [i * count // n for i in range(n)] if (n := min(count, max(1, PANELS // sets))) else []
    cache: dict[int, Sample] = {}

    def picture(index: int) -> Sample:
        if index not in cache:
            cache[index] = _sample(loaded, loader, index, fabric)
        return cache[index]

    samples = [picture(i) for i in shown]
    each = ENDS if sets * len(loaded.tasks) <= FEW else 1
    extremes = {}
    for task, found in scores.items():
        better = loaded.tasks[task].higher_is_better(loaded.tasks[task].headline)
        order = sorted(found, key=lambda i: found[i], reverse=better)
        half = min(each, len(order) // 2)
        best, worst = order[: max(half, 1)], order[len(order) - half :]
        chosen = [(i, "best") for i in best] + [(i, "worst") for i in reversed(worst)]
        extremes[task] = [Extreme(picture(i), found[i], end) for i, end in chosen]
    about = {
        "split": split,
        "images": count,
        "shown": [s.name for s in samples],
        "scores": {task: _about(loaded, task, found, extremes[task]) for task, found in scores.items()},
    }
    photographs = [(s.name, s.image.rgb) for s in samples[: max(1, ATTENTION // sets)]]
    return Sampled(about, samples, extremes, photographs)


def _scores(
    loaded: Loaded, loader: DataLoader[Any], fabric: Fabric, title: str, quiet: bool
) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Task -> index -> headline metric of that image alone; and the names of the images."""
    scores: dict[str, dict[int, float]] = {}
    names: list[str] = []
    total = len(loader.dataset)  # type: ignore[arg-type]
    with Progress(total, 0, title, quiet) as bar:
        for batch in loader:
            logits = _logits(loaded, batch, fabric)
            for i, name in enumerate(batch["name"]):
                for task, spec in loaded.tasks.items():
                    meter = spec.meter()
                    meter.update(logits[task][i : i + 1], batch["targets"][task][i : i + 1])
                    value = meter.compute().get(spec.headline, math.nan)
                    if math.isfinite(value):
                        scores.setdefault(task, {})[len(names)] = value
                names.append(name)
            bar.update(len(names), {})
    return {task: scores[task] for task in loaded.tasks if task in scores}, names


def _logits(loaded: Loaded, batch: Mapping[str, Any], fabric: Fabric) -> dict[str, torch.Tensor]:
    with torch.no_grad(), fabric.autocast():
        logits = need_finite(loaded.model(batch["image"].to(fabric.device)))
        return {k: v.float().cpu() for k, v in logits.items()}


def _sample(loaded: Loaded, loader: DataLoader[Any], index: int, fabric: Fabric) -> Sample:
    tasks = loaded.tasks
    batch = collate([loader.dataset[index]], tasks=tasks)
    logits = _logits(loaded, batch, fabric)
    predictions = {name: task.decode(logits[name])[0] for name, task in tasks.items()}
    truth = {name: batch["targets"][name][0] for name in tasks}
    ranges = {name: shared_range(task, truth[name], predictions[name]) for name, task in tasks.items()}
    image = (batch["image"][0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return Sample(
        str(batch["name"][0]),
        Cell(image),
        dict(zip(tasks, prediction_cells(tasks, predictions, ranges), strict=True)),
        dict(zip(tasks, truth_cells(tasks, truth, ranges), strict=True)),
    )


def _about(loaded: Loaded, task: str, found: Mapping[int, float], chosen: Sequence[Extreme]) -> dict[str, Any]:
    values = list(found.values())
    ends = {
        end: [{"name": e.sample.name, "score": e.score} for e in chosen if e.end == end] for end in ("best", "worst")
    }
    return {
        "headline": loaded.tasks[task].headline,
        "how": "the task's headline metric of one image by itself",
        "scored": len(values),
        "lowest": min(values),
        "median": statistics.median(values),
        "highest": max(values),
        **ends,
    }


def finest_block(names: Sequence[str]) -> int:
    """The last adapted block of the first stage that has some: later stages have a quarter of the tokens each.

    Args:
        names: of the adapted blocks in order, "stage S block B".
    """
    stages = [name.partition(" block ")[0] for name in names]
    return len(stages) - 1 - stages[::-1].index(stages[0])


def attention_shots(
    run: Path, block: int, photographs: Sequence[tuple[str, np.ndarray]]
) -> tuple[list[Shot], list[dict[str, Any]]]:
    """Panels of ``visualize-attention`` of a block for photographs (name, (H, W, 3) uint8), and facts for JSON."""
    with temporary_folder("report") as folder:
        files = []
        for i, (name, rgb) in enumerate(photographs):
            plain = re.sub(r"[^\w.-]+", "_", name)[-80:] or "image"
            files.append(save_png(folder / str(i) / f"{plain}.png", rgb))
        with contextlib.redirect_stderr(io.StringIO()):  # which names files that are gone in a moment
            found = visualize_attention(files, run, folder / "out", AttentionOptions(block=block))
        shots, about = [], []
        for (name, _), entry in zip(photographs, found, strict=True):
            with Image.open(entry["panel"]) as panel:
                rgb = np.asarray(panel.convert("RGB"))
            words = f"Image {name}: attention of {entry['block']}, {entry['mode']}, mean of its heads"
            shots.append(Shot(Cell(rgb), words))
            about.append({"image": name, **{key: entry[key] for key in ("block", "head", "mode", "tokens")}})
    return shots, about
