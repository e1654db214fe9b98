"""One training of a yardstick: a target of which few images are labelled, with sources of which all are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vtadapt.errors import DataError
from vtadapt.models.backbones.base import Encoded
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sizing.finite import need_finite
from vtadapt.workflows.train.learning_rates import Rates, make_optimiser

EVALUATED_AT_ONCE = 16


@dataclass(frozen=True)
class Cell:
    """What is trained: ``target`` has labels on ``scarce`` images, the ``sources`` on all; empty: the target alone.

    ``weighted``: the predictor by whose scores the losses of the sources are weighted; empty: all alike.
    """

    target: str
    sources: tuple[str, ...]
    seed: int
    scarce: int
    weighted: str = ""

    @property
    def name(self) -> str:
        """Of its file."""
        by = f"-by-{self.weighted}" if self.weighted else ""
        return f"{self.target}@{'+'.join(self.sources) or 'alone'}{by}-seed{self.seed}"


def scarce_rows(bench: Bench, target: str, scarce: int, seed: int) -> list[int]:
    """The images whose labels of the target are known: the same for all sources, so that cells of a seed are paired."""
    there = bench.labelled[target]
    drawn = np.random.default_rng([seed, 16]).permutation(len(there))[:scarce]
    return sorted(there[i] for i in drawn.tolist())


def batches(bench: Bench, cell: Cell, size: int, steps: int) -> Iterator[tuple[list[int], list[int]]]:
    """Rows of each step: of images that have labels of the target, and of others, half of ``size`` each.

    What the target sees does not depend on the sources: alone it is trained on the first halves of the same batches.
    The others are those that have a label of a source.
    """
    few = scarce_rows(bench, cell.target, cell.scarce, cell.seed)
    helping = {image for source in cell.sources for image in bench.labelled[source]}
    rest = sorted(helping.difference(few)) or few
    half = size // 2
    turns = [_endless(rows, cell.seed, stream, bench) for stream, rows in enumerate((few, rest))]
    for _ in range(steps):
        yield [next(turns[0]) for _ in range(half)], [next(turns[1]) for _ in range(size - half)]


def _endless(images: Sequence[int], seed: int, stream: int, bench: Bench) -> Iterator[int]:
    random = np.random.default_rng([seed, stream])
    while True:
        for image in random.permutation(images):
            yield int(random.integers(bench.views)) * bench.images + int(image)


def train_cell(
    bench: Bench, settings: TrainSettings, cell: Cell, weights: Mapping[str, float] | None = None
) -> MultitaskModel:
    """Train a cell for ``settings.steps``.

    Args:
        bench: what is read.
        settings: of the network and the optimisation; the seed is the cell's.
        cell: what is trained.
        weights: task -> factor on its loss, beside the task's own weight; None for 1.
    """
    assert settings.steps is not None
    names = (cell.target, *cell.sources)
    tasks = {name: bench.tasks[name] for name in names}
    own = settings.model_copy(update={"seed": cell.seed, "tasks": names})
    model = build_model(own, tasks).to(bench.train.device)
    rates = Rates(model, own, settings.steps)
    optimiser = make_optimiser(rates.groups, "32-true", settings.optimiser)
    parameters = [p for p in model.parameters() if p.requires_grad]
    model.train()
    for step, (few, rest) in enumerate(batches(bench, cell, settings.batch_size, settings.steps)):
        rates.set(optimiser, step)
        loss = _loss(model, bench, tasks, cell, (few, rest), weights or {})
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimiser.step()
    return model


def _loss(
    model: MultitaskModel,
    bench: Bench,
    tasks: Mapping[str, Task],
    cell: Cell,
    rows: tuple[list[int], list[int]],
    weights: Mapping[str, float],
) -> Tensor:
    few, rest = rows
    chosen = [*few, *rest] if cell.sources else few
    logits = model(bench.train.encoded(chosen))
    total = torch.zeros((), device=bench.train.device)
    for name, task in tasks.items():
        count = len(few) if name == cell.target else len(chosen)
        found = task.loss_fn(logits[name][:count], bench.train.targets[name][chosen[:count]])
        total = total + weights.get(name, 1.0) * task.weight * found.value
    return total


def measure(bench: Bench, model: MultitaskModel, task: Task) -> dict[str, Any]:
    """Metrics of a task over the validation pictures that have its label, and its loss there as the mean over them.

    Raises:
        DataError: none of them has a labelled pixel.
        NotFiniteError: the network diverged.
    """
    meter, losses = task.meter(), []
    model.eval()
    with torch.no_grad():
        judging = bench.judging[task.name]
        for start in range(0, len(judging), EVALUATED_AT_ONCE):
            rows = [*judging[start : start + EVALUATED_AT_ONCE]]
            images: Encoded = bench.val.encoded(rows)
            logits = model(images, [task.name])
            need_finite(logits, task.name)
            target = bench.val.targets[task.name][rows]
            meter.update(logits[task.name].float().cpu(), target.cpu())
            losses += [
                float(task.loss_fn(a[None], b[None]).value) for a, b in zip(logits[task.name], target, strict=True)
            ]
    metrics = meter.compute()
    if not math.isfinite(metrics.get(task.headline, math.nan)):
        raise DataError(
            f"no {task.headline} of {task.name} over {len(judging)} validation images: none of their pixels is "
            f"labelled; leave {task.name} out with --tasks"
        )
    return {"metrics": metrics, "loss": float(np.mean(losses))}
