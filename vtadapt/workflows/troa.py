"""TROA beside training, and one batch's cosines for ``vtadapt affinity``: where model, tasks and measures meet."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from vtadapt.affinity import measures
from vtadapt.affinity import troa as algorithm
from vtadapt.errors import ConfigError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.tasks import Task
from vtadapt.workflows import runs
from vtadapt.workflows.settings import TrainSettings

THETA = "encoded features entering the first adapted block, image by image"
Sums = tuple[Tensor, Tensor, Tensor]


def default_interval(tasks: int) -> int:
    """Steps between two updates. One costs about (1 + T) / 2 training steps, so this keeps it near a tenth of them."""
    return 6 * (tasks + 1)


def batch_cosines(
    model: AdaptedModel, tasks: Mapping[str, Task], batch: Mapping[str, Any], *, measure: str = "troa"
) -> Tensor:
    """Cosines of the task gradients of every image of a batch, by what enters each adapted block.

    Float32 whatever the precision of training; no dropout; the trunk runs once for all targets. What is returned for
    an image does not depend on the others of the batch.

    Args:
        model: left in the mode it was in, without gradients in its parameters.
        tasks: of the model, in its order.
        batch: as the loader gives it, on the model's device.
        measure: "troa"; "cosine", plain gradients; "permuted", troa with the sources' labels of the next image: what
            is left when labels and image do not belong together.

    Returns:
        (blocks, B, T, T), NaN where the image lacks a label; the first block's are what A is made of.
    """
    training = model.training
    model.eval()
    device = batch["image"].device
    try:
        with torch.autocast(device.type, enabled=False), torch.enable_grad():
            trunk = model.backbone.trunk(batch["image"])
            trunk = replace(trunk, tokens=_wide(trunk.tokens.detach()).requires_grad_())
            targets, apart = batch["targets"], measure == "permuted"
            other = {name: y.roll(1, 0) for name, y in targets.items()} if apart else targets

            def run(target: str) -> measures.Conditioned:
                wanted = (target,) if measure == "cosine" else tuple(tasks)
                logits, entered = model.cross(trunk, target, wanted)
                losses = {name: _per_image(tasks[name], logits[name], other[name]) for name in wanted}
                own = _per_image(tasks[target], logits[target], targets[target]) if apart else None
                return measures.Conditioned(entered, losses, own)

            if measure == "cosine":
                return measures.plain_cosine(run, tuple(tasks))
            return measures.troa(run, tuple(tasks))
    finally:
        model.train(training)


def _wide(x: Tensor) -> Tensor:
    """Half precision becomes float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _per_image(task: Task, logits: Tensor, target: Tensor) -> Tensor:
    """(B,) loss of each image by itself, NaN where it has no label.

    Images are taken apart since some losses couple those of a batch (berHu's threshold is that of its largest error).
    """
    found = [task.loss_fn(logits[i : i + 1], target[i : i + 1]) for i in range(len(logits))]
    return torch.stack([loss.value if loss.valid else loss.value * torch.nan for loss in found])


def reduce_sums(found: Sums, fabric: Fabric) -> Sums:
    """Add up over ranks."""
    if fabric.world_size == 1:
        return found
    total = fabric.all_reduce(torch.stack(found).to(fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return tuple(total.cpu())  # type: ignore[return-value]


class TroaUpdates:
    """TROA in a training run: on its steps the batch at hand is measured before it is trained on.

    A goes into the model's buffer, which conditions every task; W gives factors of the losses. Both can be left out:
    ``affinity`` = "identity" or "uniform" fixes A, ``troa_weights`` = false leaves the losses alone.
    """

    def __init__(self, settings: TrainSettings, model: Any, tasks: Mapping[str, Task], fabric: Fabric) -> None:
        """Fix A where it is not learned.

        Raises:
            ConfigError: the method has no affinity matrix.
        """
        self.model, self.tasks, self.fabric = model, tasks, fabric
        learned = settings.affinity == "troa" or settings.troa_weights
        adapted = isinstance(model, AdaptedModel)
        if not adapted and (settings.affinity == "uniform" or settings.troa_weights):
            raise ConfigError(f"method {settings.method!r} has no affinity matrix; leave the affinity settings out")
        self.every = (settings.troa_every or default_interval(len(tasks))) if learned and adapted else 0
        if len(tasks) == 1:
            self.every = 0  # one task: A = W = 1
        self.use_affinity, self.use_weights = settings.affinity == "troa", settings.troa_weights
        self.state = algorithm.Troa(len(tasks), settings.troa_momentum, settings.troa_eta)
        if adapted and settings.affinity == "uniform":
            model.affinity.fill_(1.0)

    def due(self, step: int) -> bool:
        """Whether the batch of this step (from 0) is measured before it is trained on."""
        return self.every > 0 and (step + 1) % self.every == 0

    def update(self, batch: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Measure the batch of ``step`` (from 0), move A and W; returns the record for ``metrics.jsonl``."""
        found = algorithm.sums(batch_cosines(self.model, self.tasks, batch)[0].cpu())
        self.state.update(*reduce_sums(found, self.fabric))
        self.apply()
        return {"step": step + 1, "split": "troa", **describe(self.state)}

    def apply(self) -> None:
        """Put A into the model."""
        if self.use_affinity and self.state.updates:
            self.model.affinity.copy_(self.state.affinity)

    def factors(self) -> dict[str, float]:
        """Factor of each task's loss, 1 on average."""
        if not (self.every and self.use_weights):
            return {}
        return dict(zip(self.tasks, self.state.task_weights.tolist(), strict=True))


def write_history(run: Path, config: Mapping[str, Any], step: int) -> None:
    """Write ``affinity.json`` of a training run: A and W of the saved weights, and how they came about.

    Args:
        run: its folder, with ``metrics.jsonl``.
        config: its ``config.json``.
        step: of the saved weights.
    """
    lines = (run / runs.METRICS).read_text(encoding="utf-8").splitlines()
    history = [record for record in map(json.loads, lines) if record["split"] == "troa"]
    if not history:
        return
    for record in history:
        record.pop("split")
    reached = [record for record in history if record["step"] <= step]
    if not reached:  # weights from before the first update: A is what it starts as
        tasks = len(config["tasks"])
        reached = [{**history[0], "matrix": torch.eye(tasks).tolist()}]
    about = {"format": 1, "run": os.fspath(run), "data": config["data"], "split": "train", "measure": "troa"}
    about |= {"tasks": list(config["tasks"]), "batches": len(reached), "step": step, "theta": THETA}
    current = {key: value for key, value in reached[-1].items() if key != "step"}
    runs.write_json(run / runs.AFFINITY, {**about, **current, "history": history})


def describe(state: algorithm.Troa) -> dict[str, Any]:
    """Matrices of an update as plain lists; null where there is no number."""
    moments = state.moments
    return {
        "matrix": rows(state.affinity),
        "mean": rows(moments.mean),
        "error": rows(moments.error),
        "sd": rows(moments.sd),
        "effective": rows(moments.effective),
        "marked": algorithm.marked(moments.mean, moments.error).tolist(),
        "weights": rows(state.weights),
    }


def rows(matrix: Tensor) -> list[list[float | None]]:
    """A matrix as lists for JSON, to 7 digits; what is not finite is null."""
    return [[float(f"{v:.7g}") if math.isfinite(v) else None for v in row] for row in matrix.tolist()]
