"""Domain adaptation with weighed classes: where the weights act, their record, several processes, and without."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.workflows.train.methods.test_adversarial import built
from vtadapt.workflows.train.methods.adversarial import Adversarial
from vtadapt.workflows.train.methods.class_ratios import ClassRatios


def told(method: Adversarial, weights: Tensor) -> None:
    """Let the ratios of semseg say these weights."""
    method.ratios["semseg"].weights = lambda: weights  # type: ignore[method-assign]


def test_classes_that_the_target_has_more_of_weigh_more(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path, adversarial_weight=0.0)
    task, labels = method.tasks["semseg"], batch["targets"]["semseg"]
    weights = torch.linspace(1.0, 4.0, task.channels)
    told(method, weights)
    method.rising = 3
    for step, rises in ((2, False), (3, True)):
        _, shown = method.loss(method.model, batch, method.tasks, step)
        logits = method.model(batch["image"])["semseg"].detach()
        each = F.cross_entropy(logits, labels, reduction="none", ignore_index=255)
        pixels = weights[labels.where(labels != 255, 0)] * (labels != 255) if rises else (labels != 255).float()
        assert shown["semseg"] == pytest.approx(float((each * pixels).sum() / pixels.sum()), rel=1e-4)
        seen = method.seen["semseg"].weights
        if not rises:
            assert seen is None
            continue
        assert seen is not None
        assert torch.equal(seen[:, 0], torch.where(labels != 255, weights[labels.where(labels != 255, 0)], 1.0))
        assert method.seen["depth"].weights is None, "depth has no classes"
    assert float(method.ratios["semseg"].known) > 0
    record = method.before_step(batch, method.settings.log_steps)
    assert record is not None
    assert record["class_weights"] == {"semseg": [round(w, 3) for w in weights.tolist()]}


class Two:
    """A Fabric of two processes, of which the other one has no label and predicts the same."""

    world_size = 2

    def all_reduce(self, values: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "sum"
        classes = round(math.sqrt(len(values)) - 0.5)  # K * K + K + 1 values
        other = values.clone()
        other[: classes**2] = 0.0
        other[-1] = 0.0
        return values + other


def test_a_process_without_a_label_changes_no_ratio(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path)
    task, labels = method.tasks["semseg"], batch["targets"]["semseg"]
    logits = [torch.randn(2, task.channels, 48, 48, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    method._observe("semseg", logits[0], labels, logits[1])
    alone = method.ratios["semseg"]
    method.ratios["semseg"] = ClassRatios(task.channels)
    method.fabric = Two()  # type: ignore[assignment]
    method._observe("semseg", logits[0], labels, logits[1])
    for key, value in method.ratios["semseg"].state().items():
        assert torch.allclose(value, alone.state()[key]), key


def test_without_class_ratios_the_loss_is_the_papers(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path, class_ratios=False)
    method.loss(method.model, batch, method.tasks, 50)
    assert method.ratios == {}
    assert method.class_weights == {}
    assert method.seen["semseg"].weights is None
