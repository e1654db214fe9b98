"""Learning rates: by hand, and what is trained when."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.conftest import KINDS, small_model
from tests.workflows.train.test_starting_run import transfer, weights
from vtadapt.errors import ConfigError
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.learning_rates import Rates, make_optimiser
from vtadapt.workflows.train.train import train


def rates_of(model: Any, **changes: Any) -> tuple[Rates, Any]:
    rates = Rates(model, TrainSettings(data="tiny", lr=0.1, **changes), 100)
    return rates, torch.optim.AdamW(rates.groups)


def by_name(model: Any, optimiser: Any) -> dict[str, float]:
    found = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    return {name: found[id(p)] for name, p in model.named_parameters() if p.requires_grad}


def test_warm_up_and_cosine_by_hand() -> None:
    rates, _ = rates_of(small_model(KINDS))
    assert [rates.at(step) for step in (0, 4, 9)] == pytest.approx([0.01, 0.05, 0.1])
    assert rates.at(55) == pytest.approx(0.05)
    assert rates.at(100) == pytest.approx(0.0, abs=1e-12)
    assert rates.at(28) == pytest.approx(0.05 * (1 + math.cos(math.pi * 0.2)))


def test_all_alike_unless_asked() -> None:
    model = small_model(KINDS)
    rates, optimiser = rates_of(model)
    rates.set(optimiser, 30)
    assert set(by_name(model, optimiser).values()) == {rates.at(30)}
    decays = {p.dim() > 1: group["weight_decay"] for group in rates.groups for p in group["params"]}
    assert (len(rates.groups), decays) == (2, {True: 0.01, False: 0.0})


def test_what_is_shared_begins_later_and_is_slower() -> None:
    model = small_model(KINDS, train_blocks="full")
    rates, optimiser = rates_of(model, own_first=0.3, shared_lr_scale=0.2, backbone_lr_scale=0.5)
    for step, factor in ((0, 0.0), (29, 0.0), (30, 0.2), (90, 0.2)):
        rates.set(optimiser, step)
        for name, lr in by_name(model, optimiser).items():
            scale = 1.0 if name.startswith("heads.") else factor * (0.5 if name.startswith("backbone.") else 1.0)
            assert lr == pytest.approx(rates.at(step) * scale), name
    owned = small_model(KINDS, decoder_sharing="per_task")
    rates, optimiser = rates_of(owned, own_first=0.3)
    rates.set(optimiser, 0)
    there = {name for name, lr in by_name(owned, optimiser).items() if lr}
    assert {name.split(".")[0] for name in there} == {"heads", "decoders"}


def test_only_heads_move_at_first(tiny: Any, runs: Callable[..., Path], tmp_path: Path) -> None:
    source = runs()
    settings = transfer(tiny, tmp_path, source, own_first=0.9, weight_decay=0.5)  # 0.9 of 3 steps: all of them
    run = Path(train(settings, quiet=True)["run"])
    before, after = weights(source), weights(run)
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {f"heads.heads.{t}.{k}" for t in ("semseg", "depth", "edges") for k in ("weight", "bias")}


@pytest.mark.parametrize("changes", [{"own_first": 0.5}, {"shared_lr_scale": 0.5}])
def test_a_method_that_shares_nothing(tiny: Any, tmp_path: Path, changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="is read by methods 'adapters', .*, not by 'stl'"):
        train(tiny.other(tmp_path, method="stl", tasks=["depth"], **changes), quiet=True)


@pytest.mark.parametrize(("precision", "fused"), [("32-true", True), ("bf16-mixed", True), ("16-mixed", False)])
def test_the_optimiser_is_fused_but_where_gradients_are_scaled(precision, fused):
    weights = torch.nn.Parameter(torch.randn(5, 3))
    plain = weights.detach().clone().requires_grad_()
    optimiser = make_optimiser([{"params": [weights], "lr": 0.1, "weight_decay": 0.2}], precision)
    wanted = torch.optim.AdamW([plain], lr=0.1, weight_decay=0.2, betas=(0.9, 0.99))
    assert bool(optimiser.param_groups[0]["fused"]) == fused
    for _ in range(3):
        weights.grad = torch.randn(5, 3)
        plain.grad = weights.grad.clone()
        optimiser.step()
        wanted.step()
    assert torch.allclose(weights, plain, atol=1e-6)
    assert optimiser.state_dict()["state"][0].keys() == wanted.state_dict()["state"][0].keys()  # old runs go on
