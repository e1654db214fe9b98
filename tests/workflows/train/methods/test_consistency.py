"""Consistency: coefficients from known gradient norms, the gradient of the whole, masks, the cross-task networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.workflows.conftest import KINDS, missing_of, random_batch
from tests.workflows.train.methods.conftest import small_cnn
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.errors import ConfigError, DataError
from vtadapt.models.peers.base import PeerConfig
from vtadapt.models.peers.cross_task import CrossTaskNetwork, CrossTaskNetworks
from vtadapt.models.peers.stl import MtlCnn
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.loaders import build_train
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.methods.consistency import Consistency, coefficients
from vtadapt.workflows.train.methods.cross_training import CrossTraining, label_pairs
from vtadapt.workflows.train.methods.maps import label_map, prediction_map

PAIRS = [(a, b) for a in KINDS for b in KINDS if a != b]


def method(pairs: list[tuple[str, str]] = PAIRS) -> Consistency:
    settings = TrainSettings(data="none", method="consistency", accelerator="cpu", precision="32-true")
    channels = {name: task.channels for name, task in KINDS.items()}
    model = MtlCnn(small_cnn(), channels, PeerConfig(decoder_width=8))
    found = Consistency(settings, model, KINDS, open_fabric(settings))
    torch.manual_seed(1)
    found.networks = CrossTaskNetworks(channels, pairs, 4).requires_grad_(False).eval()
    return found


@pytest.mark.parametrize(
    ("direct", "paths", "wanted"),
    [
        # S = 6: the direct loss has (6 - 2)/6, the terms (6 - 1)/12 and (6 - 3)/12, divided by the first.
        (2.0, [1.0, 3.0], [5 / 8, 3 / 8]),
        (2.0, [0.5], [4.0]),  # one term pulls as hard as the direct loss
        (1.0, [1.0, 1.0, 1.0], [1 / 3, 1 / 3, 1 / 3]),
        (1.0, [0.0, 0.0], [0.0, 0.0]),
        (0.0, [1.0], [0.0]),
        (1.0, [], []),
    ],
)
def test_coefficients_from_known_gradient_norms(direct: float, paths: list[float], wanted: list[float]) -> None:
    assert coefficients(direct, paths) == pytest.approx(wanted)


def test_running_averages_of_the_norms() -> None:
    """0.9 of the past, corrected for the start at 0; a pair that was not seen keeps what it had."""
    consistency = method()
    seen = torch.full((4, 4), torch.nan)
    seen[0, 0], seen[0, 1] = 2.0, 1.0
    consistency.observe(seen)
    assert consistency.coefficients("semseg", ["depth"]) == {"depth": pytest.approx(2.0)}
    seen[0, 1] = torch.nan
    seen[0, 0] = 4.0
    consistency.observe(seen)
    own = (0.9 * 0.1 * 2.0 + 0.1 * 4.0) / (0.9 * 0.1 + 0.1)
    assert consistency.coefficients("semseg", ["depth"]) == {"depth": pytest.approx(own)}
    other = method()
    other.load_state(consistency.state())
    assert other.coefficients("semseg", ["depth"]) == {"depth": pytest.approx(own)}


def test_the_gradient_is_that_of_the_formula() -> None:
    consistency, batch = method(), random_batch(KINDS)
    batch["targets"]["depth"][0] = missing_of(KINDS["depth"])
    total, shown = consistency.loss(consistency.model, batch, KINDS, 0)
    total.backward()
    found = {name: p.grad.clone() for name, p in consistency.model.named_parameters() if p.grad is not None}
    assert list(shown) == list(KINDS)
    consistency.model.zero_grad()

    logits = consistency.model(batch["image"])
    whole: Any = 0.0
    for name, task in KINDS.items():
        loss = task.loss_fn(logits[name], batch["targets"][name]).value
        label, mask = label_map(task, batch["targets"][name])
        terms = []
        for source, other in PAIRS:
            if source == name:
                h, mean = consistency.networks[source, other], KINDS[other]
                read = prediction_map(mean, h(prediction_map(task, logits[name]) * mask))
                error = (read - prediction_map(mean, h(label))).abs()
                terms.append((error * mask).sum() / (mask.sum() * mean.channels))
        norms = [float(torch.autograd.grad(x, logits[name], retain_graph=True)[0].abs().mean()) for x in (loss, *terms)]
        factors = coefficients(norms[0], norms[1:])
        assert min(factors) > 0
        whole = whole + task.weight * (loss + sum(a * p for a, p in zip(factors, terms, strict=True)))
    whole.backward()
    for name, p in consistency.model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-3, atol=1e-6)
    assert all(p.grad is None for p in consistency.networks.parameters())


def test_what_is_missing_does_not_count() -> None:
    """Predictions where there is no label change neither the term nor get a gradient from it."""
    consistency, batch = method(), random_batch(KINDS)
    for name, task in KINDS.items():
        batch["targets"][name][..., :20, :] = missing_of(task)
        one = torch.randn(3, task.channels, 44, 60)
        two = one.clone()
        two[:, :, :20] += 5.0
        other = next(i for i in KINDS if i != name)
        (first, gradient), (second, _) = (_term(consistency, name, other, x, batch) for x in (one, two))
        assert first == pytest.approx(second)
        assert not gradient[:, :, :20].any()
        assert gradient[:, :, 20:].any()
    batch["targets"]["depth"][:] = missing_of(KINDS["depth"])
    total, shown = consistency.loss(consistency.model, batch, KINDS, 0)
    assert "depth" not in shown
    assert torch.isfinite(total)


def _term(consistency: Consistency, name: str, other: str, logits: Tensor, batch: Any) -> tuple[float, Tensor]:
    leaf = logits.clone().requires_grad_()
    value = consistency.term(name, other, leaf, batch)
    return float(value.detach()), torch.autograd.grad(value, leaf)[0]


def test_a_perfect_prediction_has_no_term() -> None:
    """Labels and predictions are maps of the same meaning."""
    consistency, batch = method(), random_batch(KINDS)
    facing = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1)
    depth = batch["targets"]["depth"] - 0.01
    logits = {
        "semseg": 60.0 * torch.nn.functional.one_hot(batch["targets"]["semseg"], 4).movedim(-1, 1).float(),
        "depth": torch.log(torch.expm1(depth * torch.log(torch.tensor(2.0)) / 3.0)),
        "normals": batch["targets"]["normals"] - facing,
        "edges": 60.0 * (2 * batch["targets"]["edges"] - 1),
    }
    for source, other in PAIRS:
        assert float(consistency.term(source, other, logits[source], batch)) < 1e-5


@pytest.mark.parametrize("size", [(44, 60), (8, 8), (33, 17)])
def test_a_cross_task_network_takes_any_size(size: tuple[int, int]) -> None:
    network = CrossTaskNetwork(4, 3, 8)
    assert network(torch.randn(2, 4, *size)).shape == (2, 3, *size)
    assert sum(p.numel() for p in network.parameters()) < 15_000


def test_cross_task_networks_learn_and_are_kept(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.other(tmp_path, method="consistency", cross_task_width=8, flip=False, colour_jitter=0.0)
    recipes = [find_recipe("tiny", tiny.data_dir)]
    tasks, fabric = build_tasks(recipes, None), open_fabric(settings)
    data = build_train(settings, recipes, tasks, fabric)
    pairs = label_pairs(data, tasks)
    assert len(pairs) == 12

    def trained(steps: int, path: Path) -> CrossTraining:
        training = CrossTraining(settings, tasks, fabric, pairs, steps)
        training.run(data, data.loader, path, quiet=True)
        return training

    first, last = trained(1, tmp_path / "a"), trained(25, tmp_path / "b")
    fell = [last.losses[name] < 0.9 * first.losses[name] for name in first.losses]
    assert sum(fell) >= 10
    again = trained(25, tmp_path / "b")
    assert (again.losses, again.seconds) == (last.losses, last.seconds)
    assert all(map(torch.equal, again.networks.state_dict().values(), last.networks.state_dict().values()))
    assert not any(p.requires_grad for p in again.networks.parameters())
    with pytest.raises(ConfigError, match="was trained for 25 steps, wanted 3"):
        trained(3, tmp_path / "b")


def test_pairs_need_images_with_both_labels(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    settings = tiny.other(tmp_path, data="look+shape", method="consistency", batch_size=2)
    recipes = [find_recipe(name, tiny.data_dir) for name in ("look", "shape")]
    tasks, fabric = build_tasks(recipes, None), open_fabric(settings)
    found = label_pairs(build_train(settings, recipes, tasks, fabric), tasks)
    both = [("semseg", "edges"), ("edges", "semseg"), ("depth", "normals"), ("normals", "depth")]
    assert sorted(found) == sorted(both)
    apart = Consistency(settings, torch.nn.Identity(), {n: tasks[n] for n in ("semseg", "depth")}, fabric)
    data = build_train(settings, recipes, apart.tasks, fabric)
    with pytest.raises(DataError, match="wants images with labels of two tasks"):
        apart.prepare(data, data.loader, tmp_path, 4, True)
