"""TROA beside training: a planted case, when and what is updated, and what is left alone.

The cosines of a batch are in ``test_troa_cosines.py``, processes in ``test_ranks.py``, resuming in ``test_resume.py``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from tests.workflows.conftest import KINDS, random_batch, small_backbone, small_model
from vtadapt.errors import ConfigError
from vtadapt.models.frozen.probe import LinearProbe
from vtadapt.tasks import Task, make_task
from vtadapt.tasks.losses import Loss
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.troa import TroaUpdates, batch_cosines, default_interval

PLANTED = ("a", "copy", "negative", "random", "other")


def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def updates(model: Any, tasks: dict[str, Task], **settings: Any) -> TroaUpdates:
    return TroaUpdates(TrainSettings(data="none", **settings), model, tasks, fabric())


def same(a: Tensor, b: Tensor) -> bool:
    """Equal bit for bit, NaN included."""
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())


def smooth_field(images: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(B, 1, H, W), about standard normal, with structure of a quarter of the image."""
    coarse = torch.randn(images, 1, 4, 4, generator=generator)
    field = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    return field / field.std()


def planted_batch(seed: int, images: int = 8, size: tuple[int, int] = (64, 64)) -> dict[str, Any]:
    """``a`` and ``other`` are unrelated smooth targets that can be read off the image's colours."""
    generator = torch.Generator().manual_seed(seed)
    a, other, noise = (smooth_field(images, size, generator) for _ in range(3))
    white = torch.randn(a.shape, generator=generator)
    image = 0.5 + 0.15 * torch.cat([a, other, 0.3 * white], 1)
    targets = {
        "a": a,
        "copy": a + 0.4 * noise,
        "negative": -a,
        "random": torch.randn(a.shape, generator=generator),
        "other": other,
    }
    return {"image": image.clamp(0, 1), "targets": targets}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_affinities_are_found(seed: int) -> None:
    """Copies highest, the negative lowest and below 0; random labels and an unrelated target about 0.

    The five tasks read one head, so that their targets decide and not the random directions of five heads.
    Conditioning differs by task; predictions are still about 0, where the gradient of the squared error is that of
    -<prediction, target>. Later it is that of the residual, which the five share in part: the best that random labels
    can do is to pull what was learned of ``a`` back to 0, which is harm and rightly measured as such.
    """
    tasks = {name: make_task(name, "regression", loss="l2") for name in PLANTED}
    model = small_model(tasks, seed)
    head = model.heads.heads["a"]
    torch.nn.init.normal_(head.weight, std=1e-3, generator=torch.Generator().manual_seed(seed))
    torch.nn.init.zeros_(head.bias)
    for name in tasks:
        model.heads.heads[name] = head
    chosen = updates(model, tasks, troa_every=1)
    for number in range(8):
        chosen.update(planted_batch(1000 * seed + number), number)
    C, error = chosen.state.moments.mean, chosen.state.moments.error
    a, copy, negative, random, other = range(5)
    for column, partner in ((a, copy), (copy, a)):
        others = [row for row in range(5) if row != column]
        assert max(others, key=lambda row: float(C[row, column])) == partner
        assert min(others, key=lambda row: float(C[row, column])) == negative
        assert 0.7 < float(C[partner, column]) < 0.99
        assert float(C[negative, column]) < -0.7
    for unrelated, most in ((random, 0.15), (other, 0.2)):
        for partner in (a, copy, negative):
            for cell in ((unrelated, partner), (partner, unrelated)):
                assert abs(float(C[cell])) < max(most, 3 * float(error[cell])), cell
    A = model.affinity
    assert float(A[negative, a]) == float(A[a, negative]) == float(A[negative, copy]) == 0
    assert float(A[copy, a]) == pytest.approx(float(C[copy, a]), abs=0.01)
    assert float(A[random].sum() - A[random, random]) < 0.2
    harm = chosen.state.weights[:, a]
    assert int(harm.argmin()) == negative
    assert set(harm.topk(2).indices.tolist()) == {a, copy}


def test_when_an_update_is_due() -> None:
    assert [default_interval(t) for t in (2, 4, 12)] == [18, 30, 78]
    model = small_model(KINDS)
    chosen = updates(model, KINDS, troa_every=3)
    assert [step for step in range(9) if chosen.due(step)] == [2, 5, 8]
    assert updates(model, KINDS).every == default_interval(4)
    assert [step for step in range(61) if updates(model, KINDS).due(step)] == [29, 59]


@pytest.mark.parametrize(("fixed", "wanted"), [("identity", torch.eye(4)), ("uniform", torch.ones(4, 4))])
def test_a_fixed_affinity_stays_and_costs_nothing(fixed: str, wanted: Tensor) -> None:
    model = small_model(KINDS)
    model.affinity.copy_(torch.eye(4))
    chosen = updates(model, KINDS, affinity=fixed, troa_every=1)
    assert torch.equal(model.affinity, wanted)
    assert not any(chosen.due(step) for step in range(50))
    assert chosen.factors() == {}
    weighted = updates(model, KINDS, affinity=fixed, troa_every=1, troa_weights=True)
    assert weighted.due(0)
    weighted.update(random_batch(KINDS), 0)
    assert torch.equal(model.affinity, wanted)
    assert list(weighted.factors()) == list(KINDS)
    assert weighted.factors() != dict.fromkeys(KINDS, 1.0)


def test_an_update_moves_the_affinity_and_weights_only_if_asked() -> None:
    model = small_model(KINDS)
    chosen = updates(model, KINDS, troa_every=2)
    before = model.affinity.clone()
    chosen.apply()
    assert torch.equal(model.affinity, before), "nothing is known before the first update"
    record = chosen.update(random_batch(KINDS), 1)
    assert torch.equal(model.affinity, chosen.state.affinity.float())
    assert model.affinity.diagonal().tolist() == pytest.approx([1.0] * 4)
    assert (record["step"], record["split"]) == (2, "troa")
    assert torch.allclose(torch.tensor(record["matrix"]), model.affinity, atol=1e-5)
    assert chosen.factors() == {}
    factors = updates(model, KINDS, troa_every=2, troa_weights=True).factors()
    assert factors == pytest.approx(dict.fromkeys(KINDS, 1.0))
    json.dumps(record, allow_nan=False)


def test_eta_and_momentum_are_the_settings() -> None:
    chosen = updates(small_model(KINDS), KINDS, troa_momentum=0.5, troa_eta=0.7)
    assert (chosen.state.moments.decay, chosen.state.eta) == (0.5, 0.7)


def test_a_task_without_a_label_in_the_batch_is_not_updated() -> None:
    model = small_model(KINDS)
    chosen = updates(model, KINDS, troa_every=1)
    chosen.update(random_batch(KINDS, seed=1), 0)
    before = {name: value.clone() for name, value in chosen.state.state().items()}
    batch = random_batch(KINDS, seed=2)
    batch["targets"]["normals"].zero_()
    record = chosen.update(batch, 1)
    after = chosen.state.state()
    pair = torch.zeros(4, 4, dtype=torch.bool)
    pair[2] = pair[:, 2] = True
    for name in ("weight", "weight2", "total", "square"):
        assert torch.equal(after[name][pair], before[name][pair]), name
        assert not torch.equal(after[name][~pair], before[name][~pair]), name
    assert torch.allclose(after["weights"][pair], before["weights"][pair], rtol=0, atol=1e-15)
    assert torch.allclose(after["weights"].sum(0), torch.ones(4, dtype=torch.float64))
    assert record["effective"][2] == [3.0] * 4


def test_a_task_that_never_has_a_label() -> None:
    model, batch = small_model(KINDS), random_batch(KINDS)
    batch["targets"]["edges"].fill_(-1)
    chosen = updates(model, KINDS, troa_every=1)
    record = chosen.update(batch, 0)
    assert record["mean"][3] == [None] * 4
    assert [row[3] for row in record["marked"]] == [True] * 4
    assert torch.equal(model.affinity[3], torch.zeros(4))
    assert all(torch.isfinite(x).all() for x in model(batch["image"]).values()), "it keeps its own embedding"


def test_one_task_is_never_measured() -> None:
    tasks = {"depth": KINDS["depth"]}
    model = small_model(tasks)
    chosen = updates(model, tasks, troa_every=1, troa_weights=True)
    assert not any(chosen.due(step) for step in range(20))
    assert chosen.factors() == {}
    assert model.affinity.tolist() == [[1.0]]
    assert torch.allclose(batch_cosines(model, tasks, random_batch(tasks))[0], torch.ones(3, 1, 1))


@pytest.mark.parametrize("changes", [{"affinity": "uniform"}, {"troa_weights": True}])
def test_a_linear_probe_has_no_affinity(changes: dict[str, Any]) -> None:
    probe = LinearProbe(small_backbone(), {n: t.channels for n, t in KINDS.items()})
    with pytest.raises(ConfigError, match="method 'linear' has no affinity matrix; leave the affinity settings out"):
        updates(probe, KINDS, method="linear", **changes)
    assert not updates(probe, KINDS, method="linear", troa_every=1).due(0)


@pytest.mark.parametrize("broken", ["nan", "inf", "slope"])
def test_a_loss_that_is_no_number_leaves_the_other_pairs_alone(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch, whole = small_model(KINDS), random_batch(KINDS), Task.loss_fn
    wanted = batch_cosines(model, KINDS, batch)

    def loss_fn(self: Task, logits: Tensor, target: Tensor) -> Loss:
        loss = whole(self, logits, target)
        if self.name != "depth":
            return loss
        # The square root's slope at 0 is infinite: a loss that is a number with a gradient that is none.
        bad = {"nan": loss.value * torch.nan, "inf": loss.value * torch.inf, "slope": (loss.value * 0).sqrt()}
        return Loss(bad[broken], loss.valid)

    monkeypatch.setattr(Task, "loss_fn", loss_fn)
    found = batch_cosines(model, KINDS, batch)
    hit = torch.zeros(4, 4, dtype=torch.bool)
    hit[1] = hit[:, 1] = True
    assert torch.equal(found.isnan(), hit.expand_as(found))
    assert torch.equal(found[..., ~hit], wanted[..., ~hit])
    chosen = updates(model, KINDS, troa_every=1)
    record = chosen.update(batch, 0)
    assert record["mean"][1] == [None] * 4
    assert bool(model.affinity.isfinite().all())
    assert torch.allclose(chosen.state.weights.sum(0), torch.ones(4, dtype=torch.float64))


def test_twelve_tasks() -> None:
    tasks = {f"t{i}": make_task(f"t{i}", "regression", loss="l2") for i in range(12)}
    model = small_model(tasks)
    chosen = updates(model, tasks, troa_weights=True)
    assert chosen.every == 78
    record = chosen.update(random_batch(tasks, size=(32, 32)), 77)
    assert model.affinity.diagonal().tolist() == pytest.approx([1.0] * 12)
    assert bool(((model.affinity >= 0) & (model.affinity <= 1)).all())
    assert torch.allclose(chosen.state.weights.sum(0), torch.ones(12, dtype=torch.float64))
    assert sum(chosen.factors().values()) == pytest.approx(12)
    assert len(record["matrix"]) == len(record["matrix"][0]) == 12


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_no_trace(training: bool) -> None:
    model, batch = small_model(KINDS), random_batch(KINDS)
    model.affinity.copy_(torch.eye(4))
    chosen = updates(model, KINDS, affinity="identity", troa_weights=True, troa_every=1)
    model.train(training)
    modes = [m.training for m in model.modules()]
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        before = model(batch["image"])
    kept = {"image": batch["image"].clone(), "targets": {n: y.clone() for n, y in batch["targets"].items()}}
    random = torch.get_rng_state()
    chosen.update(batch, 0)
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert all(not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(batch["image"], kept["image"])
    assert not batch["image"].requires_grad
    assert all(same(y.float(), kept["targets"][n].float()) for n, y in batch["targets"].items())
    with torch.no_grad():
        after = model(batch["image"])
    assert all(torch.equal(after[name], before[name]) for name in KINDS)


def test_the_affinity_is_a_saved_buffer_without_gradient() -> None:
    model, batch = small_model(KINDS), random_batch(KINDS)
    updates(model, KINDS, troa_every=1).update(batch, 0)
    sum(x.sum() for x in model(batch["image"]).values()).backward()
    assert not model.affinity.requires_grad
    assert model.affinity.grad is None
    assert "affinity" not in dict(model.named_parameters())
    assert torch.equal(model.saved_state()["affinity"], model.affinity)
