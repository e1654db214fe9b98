"""Domain adaptation around any method: closed forms, who is updated when, what is read, exact resume, refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.workflows.conftest import random_batch
from tests.workflows.train.cutting import CutError, assert_same, cut
from tests.workflows.train.methods.conftest import changes_of, watch_target
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.errors import ConfigError
from vtadapt.models.discriminator import Discriminator
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.methods import those
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.train.methods import build_objective, class_ratios
from vtadapt.workflows.train.methods.adversarial import SOURCE, TARGET, Adversarial, Seen, domain_loss
from vtadapt.workflows.train.methods.base import Objective
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.second_data import TargetStream
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train

BASE: dict[str, Any] = {"target": "shape", "discriminator_width": 4, "discriminator_lr": 1e-2}


def of(tiny: Any, run_dir: Path, method: str = "adapters", **changes: Any) -> TrainSettings:
    small = changes_of(method) | {"tasks": ["semseg", "depth"], **BASE}
    return tiny.other(run_dir, **{**small, **changes})


def built(tiny: Any, run_dir: Path, **changes: Any) -> tuple[Adversarial, dict[str, Any]]:
    """The method of a run that was never started, and a batch for it."""
    settings = of(tiny, run_dir, **changes)
    tasks = build_tasks([find_recipe("tiny", tiny.data_dir)], settings.tasks)
    method = build_objective(settings, build_model(settings, tasks), tasks, open_fabric(settings))
    assert isinstance(method, Adversarial)
    return method, random_batch(tasks, images=2, size=(48, 48))


def test_domain_loss_by_hand() -> None:
    logits = torch.tensor([0.0, 2.0, -1.0])
    on_source = [math.log1p(math.exp(x)) for x in logits.tolist()]
    assert float(domain_loss(logits, SOURCE)) == pytest.approx(sum(on_source) / 3)
    assert float(domain_loss(logits, TARGET)) == pytest.approx(sum(on_source) / 3 - sum(logits.tolist()) / 3)
    assert float(domain_loss(torch.zeros(2, 1, 3, 6), TARGET)) == pytest.approx(math.log(2))


def chain_rule(network: Discriminator, logits: Tensor) -> Tensor:
    """d BCE(D(self-information of softmax of logits), source) / d logits, without autograd."""
    p = logits.softmax(1)
    maps = [-p * p.log2() / math.log2(p.shape[1])]
    weights, gates = [], []
    for index in range(0, len(network.layers), 2):
        weight, bias = normalised(network, index)
        weights.append(weight)
        before = F.conv2d(maps[-1], weight, bias, stride=2, padding=1)
        gates.append(torch.where(before > 0, 1.0, 0.2) if index < 8 else torch.ones_like(before))
        maps.append(before * gates[-1])
    g = torch.sigmoid(maps[-1]) / maps[-1].numel()  # of BCE against 0
    for weight, gate, before in zip(weights[::-1], gates[::-1], maps[-2::-1], strict=True):
        g = F.conv_transpose2d(g * gate, weight, stride=2, padding=1)
        assert g.shape == before.shape
    a = -g * (p.log() + 1) / math.log(p.shape[1])  # by d(-p log p) / dp
    return p * (a - (a * p).sum(1, keepdim=True))  # by the softmax


def normalised(network: Discriminator, index: int) -> tuple[Tensor, Tensor]:
    """A convolution's weight over its largest singular value as the stored vectors estimate it, and its bias."""
    state = {k.removeprefix(f"layers.{index}."): v for k, v in network.state_dict().items()}
    original = state["parametrizations.weight.original"]
    u, v = (state[f"parametrizations.weight.0.{name}"] for name in ("_u", "_v"))
    return original / (u @ original.flatten(1) @ v), state["bias"]


def test_the_generators_gradient_goes_through_the_frozen_discriminator(tiny: Any, tmp_path: Path) -> None:
    method, _ = built(tiny, tmp_path)
    task = method.tasks["semseg"]
    logits = 3 * torch.randn(2, task.channels, 64, 96, generator=torch.Generator().manual_seed(0))
    leaf = logits.clone().requires_grad_()
    method.fooling("semseg", task.for_discriminator(leaf)).backward()
    assert leaf.grad is not None
    network = method.discriminators["semseg"]
    wanted = chain_rule(network, logits)
    assert wanted.abs().max() > 1e-7
    assert torch.allclose(leaf.grad, wanted, rtol=1e-3, atol=float(1e-4 * wanted.abs().max()))
    assert all(p.grad is None for p in network.parameters())


def test_the_loss_is_the_methods_own_and_lambda_times_the_mean_over_tasks(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path, adversarial_weight=0.3)
    total, shown = method.loss(method.model, batch, method.tasks, 5)
    own, own_shown = method.inner.loss(method.model, batch, method.tasks, 5)
    logits = method.model(method.stream.images(5))
    terms = []
    for name, task in method.tasks.items():
        maps = task.for_discriminator(logits[name], task.limits(batch["targets"][name]))
        terms.append(float(F.softplus(method.discriminators[name](maps)).mean().detach()))
    assert float(total.detach()) == pytest.approx(float(own.detach()) + 0.3 * sum(terms) / 2, rel=1e-5)
    assert shown == own_shown


def test_lambda_rises_evenly_and_then_stays(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path, adversarial_weight=0.3, adversarial_warmup=0.5)
    method.prepare(None, None, tmp_path, 20, True)  # type: ignore[arg-type]
    assert [method.factor(step) for step in (0, 5, 10, 19)] == pytest.approx([0.0, 0.15, 0.3, 0.3])
    total, _ = method.loss(method.model, batch, method.tasks, 0)
    own, _ = method.inner.loss(method.model, batch, method.tasks, 0)
    assert float(total.detach()) == pytest.approx(float(own.detach()), rel=1e-6)
    method, _ = built(tiny, tmp_path, adversarial_weight=0.3, adversarial_warmup=0.0)
    assert method.factor(0) == 0.3


def test_weighted_domain_loss_by_hand() -> None:
    logits = torch.tensor([[[[1.0, -2.0]]]])
    weights = torch.tensor([[[[1.0, 3.0, 5.0, 5.0], [1.0, 3.0, 5.0, 5.0]]]])  # patches of 2x2 pixels: 2 and 5
    terms = [math.log1p(math.exp(x)) for x in (1.0, -2.0)]
    wanted = (2 * terms[0] + 5 * terms[1]) / 7
    assert float(domain_loss(logits, SOURCE, weights)) == pytest.approx(wanted)
    same = domain_loss(logits, TARGET, torch.full_like(weights, 3.0))
    assert float(same) == pytest.approx(float(domain_loss(logits, TARGET)))


def copies(module: torch.nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(module: torch.nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_each_half_step_leaves_the_other_network_alone(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path, adversarial_weight=1.0)
    optimiser = torch.optim.SGD([p for p in method.model.parameters() if p.requires_grad], 0.1)
    for step in range(2):
        model, networks = copies(method.model), copies(method.discriminators)
        total, _ = method.loss(method.model, batch, method.tasks, step)
        total.backward()
        optimiser.step()
        optimiser.zero_grad()
        assert not same(method.model, model)
        assert same(method.discriminators, networks), "the generator's half-step"
        assert all(p.grad is None for p in method.discriminators.parameters()) or step > 0

        model = copies(method.model)
        method.after_step(batch, step)
        assert same(method.model, model), "the discriminators' half-step"
        assert all(p.grad is None for p in method.model.parameters())
        moved = [n for n, p in method.discriminators.named_parameters() if not torch.equal(p, networks[n])]
        assert len(moved) == len(list(method.discriminators.parameters()))


def test_only_the_discriminators_of_labelled_tasks_are_trained(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path)
    networks = copies(method.discriminators)
    method.loss(method.model, batch, {"depth": method.tasks["depth"]}, 0)
    method.after_step(batch, 0)
    moved = {n.split(".")[0] for n, v in method.discriminators.state_dict().items() if not torch.equal(v, networks[n])}
    assert moved == {"depth"}


def test_discriminators_learn_which_domain_it_is(tiny: Any, tmp_path: Path) -> None:
    method, batch = built(tiny, tmp_path)
    source, target = torch.rand(2, 2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    target = target + 1.0
    shown = []
    for step in range(60):
        method.seen = {"depth": Seen(source, target)}
        method.after_step(batch, step)
        shown.append(float(method.shown[1, 1:].sum()))
    with torch.no_grad():
        said = [float(method.judge("depth", maps).mean()) for maps in (source, target)]
    assert said[0] < 0 < said[1]
    assert shown[0] == pytest.approx(2 * math.log(2), abs=0.2), "it guesses at first"
    assert shown[-1] < shown[0] / 2


def test_target_images_are_decided_by_the_step_alone(tiny: Any, tmp_path: Path) -> None:
    settings = of(tiny, tmp_path)
    fabric = open_fabric(settings)
    walked = TargetStream(settings, fabric)
    images = [walked.images(step) for step in range(7)]  # 3 steps an epoch
    jumped = TargetStream(settings, fabric)
    for step in (5, 2, 6, 6):
        assert torch.equal(jumped.images(step), images[step])
    assert images[0].shape == (4, 3, 48, 48)
    assert not any(torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])


@pytest.mark.parametrize("method", those(lambda m: m.adapts))
def test_resume_is_exact_and_no_label_of_the_target_is_read(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    del small
    seen = watch_target(monkeypatch)
    monkeypatch.setattr(class_ratios, "LEAST_STEPS", 1)  # so that classes are weighed in a run of six steps
    monkeypatch.setattr(class_ratios, "DOUBT", 0.0)
    whole = Path(train(of(tiny, tmp_path / "whole", method), quiet=True)["run"])
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda t: t.step == 5)
        with pytest.raises(CutError):
            train(of(tiny, tmp_path / "cut", method), quiet=True)
    run = tmp_path / "cut" / "tiny-0001"
    assert checkpoint.load_state(run / LAST).about["step"] == 4
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    assert_same(run, whole)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    weighed = [set(r["class_weights"]["semseg"]) for r in records if "class_weights" in r]
    assert weighed
    assert method != "adapters" or any(found != {1.0} for found in weighed), "others' fresh heads predict all alike"
    assert seen == {"train.h5"}


def test_the_target_changes_what_is_learned_and_its_losses_are_recorded(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    run = Path(train(of(tiny, tmp_path / "adapted", epochs=1), quiet=True)["run"])
    alone = Path(train(of(tiny, tmp_path / "alone", epochs=1, target=None), quiet=True)["run"])
    one, other = (checkpoint.load_state(path / LAST) for path in (alone, run))
    assert one.model.keys() == other.model.keys(), "a discriminator is no part of the network"
    assert any(not torch.equal(value, other.model[key]) for key, value in one.model.items())
    assert not one.method
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    records = [r for r in found if r["split"] == "adversarial"]
    assert [r["step"] for r in records] == [2, 3]
    assert list(records[0]["bce"]) == ["semseg", "depth"]
    assert all(0 < v < 3 for r in records for losses in r["bce"].values() for v in losses.values())


def test_without_a_target_the_method_is_not_wrapped(tiny: Any, tmp_path: Path) -> None:
    trainer = build_trainer(tiny.other(tmp_path), quiet=True)
    assert type(trainer.objective) is Objective


@pytest.mark.parametrize("method", ["linear", "stl", "mtl-cnn", "tawt"])
def test_methods_that_cannot_be_adapted(tiny: Any, tmp_path: Path, small: None, method: str) -> None:
    del small
    with pytest.raises(ConfigError, match=rf"method '{method}' cannot be adapted to a target; wanted adapters"):
        build_trainer(of(tiny, tmp_path, method), quiet=True)


def test_too_few_target_images(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    with pytest.raises(ConfigError, match="12 training images are fewer than one batch"):
        TargetStream(of(tiny, tmp_path, batch_size=16), open_fabric(tiny.settings))
