"""TAWT: one mirror step by hand, and cosines against gradients taken one by one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.workflows.conftest import KINDS, missing_of, random_batch
from tests.workflows.train.methods.conftest import small_cnn
from vtadapt.models.peers.base import PeerConfig
from vtadapt.models.peers.stl import MtlCnn
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.methods.tawt import Tawt

TWO = {name: KINDS[name] for name in ("semseg", "depth")}


def method(tasks: dict[str, Any] = KINDS, **changes: Any) -> Tawt:
    settings = TrainSettings(data="none", method="tawt", accelerator="cpu", precision="32-true", **changes)
    channels = {name: task.channels for name, task in tasks.items()}
    model = MtlCnn(small_cnn(), channels, PeerConfig(decoder_width=8))
    return Tawt(settings, model, tasks, open_fabric(settings))


def test_weights_after_one_mirror_step() -> None:
    """Columns are targets: w_s,t = 1/2 exp(eta c_s,t) / Z_t; factors are twice the means over targets."""
    tawt = method(TWO, tawt_eta=0.5)
    assert tawt.factors() == {"semseg": 1.0, "depth": 1.0}
    tawt.update(torch.tensor([[0.8, 0.2], [-0.4, 0.6]], dtype=torch.float64))
    first = math.exp(0.4) / (math.exp(0.4) + math.exp(-0.2))  # semseg for the target semseg
    second = math.exp(0.1) / (math.exp(0.1) + math.exp(0.3))  # semseg for the target depth
    wanted = torch.tensor([[first, second], [1 - first, 1 - second]], dtype=torch.float64)
    torch.testing.assert_close(tawt.weights, wanted)
    assert tawt.factors() == pytest.approx({"semseg": first + second, "depth": 2 - first - second})


def test_the_loss_is_weighed_by_the_factors() -> None:
    tawt, batch = method(TWO, loss_weights={"depth": 3.0}), random_batch(TWO)
    tawt.update(torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64))
    share = 1 / (1 + math.exp(-2))
    total, shown = tawt.loss(tawt.model, batch, TWO, 0)
    wanted = 2 * share * shown["semseg"] + 2 * (1 - share) * 3 * shown["depth"]
    assert float(total.detach()) == pytest.approx(wanted, rel=1e-4)


def test_cosines_are_those_of_gradients_taken_one_by_one() -> None:
    """Sources from the first half of the batch, targets from the second."""
    tawt, batch = method(), random_batch(KINDS, images=4)
    found = tawt.similarities(batch)
    assert tawt.model.training
    assert all(p.grad is None for p in tawt.model.parameters())

    def gradient(name: str, images: slice) -> Tensor:
        tawt.model.eval()
        logits = tawt.model(batch["image"][images], [name])[name]
        KINDS[name].loss_fn(logits, batch["targets"][name][images]).value.backward()
        parts = [p.grad.flatten() for p in tawt.model.backbone.parameters() if p.grad is not None]
        tawt.model.zero_grad()
        return torch.cat(parts)

    for s, source in enumerate(KINDS):
        for t, target in enumerate(KINDS):
            a, b = gradient(source, slice(0, 2)), gradient(target, slice(2, 4))
            assert float(found[s, t]) == pytest.approx(float(a @ b / (a.norm() * b.norm())), abs=1e-5)
    assert (found.diagonal() < 1).all()  # other images: a task is not told that it is like itself


def test_a_task_without_labels_keeps_its_weights() -> None:
    tawt, batch = method(), random_batch(KINDS, images=4)
    batch["targets"]["depth"][:2] = missing_of(KINDS["depth"])  # as a source
    found = tawt.similarities(batch)
    assert found.isnan().tolist() == [[s == 1] * 4 for s in range(4)]
    tawt.update(found)
    assert tawt.weights[1].tolist() == pytest.approx([0.25] * 4)
    assert tawt.weights.sum(0).tolist() == pytest.approx([1.0] * 4)


def test_mirror_steps_come_when_they_are_due() -> None:
    tawt, batch = method(TWO, tawt_every=3), random_batch(TWO)
    records = [tawt.before_step(batch, step) for step in range(6)]
    assert [record and record["step"] for record in records] == [None, None, 3, None, None, 6]
    assert records[2] is not None
    assert records[2]["factors"] != {"semseg": 1.0, "depth": 1.0}
    other = method(TWO)
    other.load_state(tawt.state())
    assert other.factors() == tawt.factors()
    assert method(TWO).every == 18  # 6 (T + 1)
