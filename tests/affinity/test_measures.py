"""Measures on toy networks: what no loss scale, task order or size of gradient may change; memory; the look-ahead.

The brute-force reference on a real model is in ``tests/workflows/train/test_troa.py``.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from vtadapt.affinity import measures
from vtadapt.affinity.measures import Conditioned, cosine, image_gradients, lookahead, plain_cosine, troa

B, P = 4, 6


class Toy:
    """Images that do not meet: features (B, P), a conditioning matrix per target, a head and a label per source."""

    def __init__(self, tasks, *, seed=0, dtype=torch.float64):
        self.tasks, self.dtype = tuple(tasks), dtype
        self.features = self.draw("features", seed, B, P)
        self.conditioning = {t: self.draw(f"conditioning {t}", seed, P, P) for t in tasks}
        self.heads = {t: self.draw(f"head {t}", seed, P) for t in tasks}
        self.labels = {t: self.draw(f"labels {t}", seed, B) for t in tasks}
        self.scales = dict.fromkeys(tasks, 1.0)

    def draw(self, what, seed, *shape):
        """By name, so that a task does not depend on its place among the others."""
        generator = torch.Generator().manual_seed(1000 * seed + sum(map(ord, what)))
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(self.dtype)

    def copy_of(self, copy, original):
        self.heads[copy], self.labels[copy] = self.heads[original], self.labels[original]

    def run(self, target):
        first = self.features.clone().requires_grad_()
        second = torch.tanh(first @ self.conditioning[target])
        losses = {s: self.scales[s] * ((second * self.heads[s]).sum(1) - self.labels[s]).square() for s in self.tasks}
        return Conditioned([first, second], losses)


MEASURES = [troa, plain_cosine]


@pytest.mark.parametrize("measure", MEASURES)
def test_shape_range_and_diagonal(measure):
    C = measure(Toy("abc").run, "abc")
    assert C.shape == (2, B, 3, 3)
    assert not C.requires_grad
    assert bool((C.abs() <= 1 + 1e-12).all())
    assert torch.allclose(C.diagonal(dim1=-2, dim2=-1), torch.ones((), dtype=torch.float64))


def test_troa_is_the_cosine_of_gradients_through_the_targets_conditioning():
    toy = Toy("ab")
    C = troa(toy.run, "ab")
    for i in range(B):
        for column, target in enumerate("ab"):
            grads = []
            for source in "ab":
                f = toy.features[i].clone().requires_grad_()
                error = torch.tanh(f @ toy.conditioning[target]) @ toy.heads[source] - toy.labels[source][i]
                (error**2).backward()
                grads.append(f.grad)
            for row in range(2):
                wanted = torch.nn.functional.cosine_similarity(grads[row], grads[column], dim=0)
                assert abs(float(C[0, i, row, column] - wanted)) < 1e-12


def test_copies_of_a_task_have_the_value_of_the_diagonal():
    toy = Toy(["a", "copy", "other"])
    toy.copy_of("copy", "a")
    C = troa(toy.run, toy.tasks)
    one = torch.ones((), dtype=torch.float64)
    for s, t in ((0, 1), (1, 0)):
        assert torch.allclose(C[..., s, t], one, rtol=0, atol=1e-12)
    # Through each target's own conditioning the rows of a and of its copy are the same.
    assert torch.allclose(C[..., 0, :], C[..., 1, :], rtol=0, atol=1e-12)
    assert bool((C[..., 2, :2].abs() < 1 - 1e-3).any())


def test_a_flipped_loss_is_the_opposite():
    toy = Toy(["a", "flipped"])
    toy.copy_of("flipped", "a")
    toy.scales["flipped"] = -1.0
    C = troa(toy.run, toy.tasks)
    assert torch.allclose(C[..., 0, 1], -torch.ones((), dtype=torch.float64))
    assert torch.allclose(C[..., 1, 0], -torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [1e-6, 3.7, 1e8])
def test_the_scale_of_a_loss_changes_nothing(measure, scale):
    toy = Toy("abc")
    before = measure(toy.run, "abc")
    toy.scales["b"] = scale
    assert torch.allclose(measure(toy.run, "abc"), before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_permuting_tasks_permutes_both_axes(measure):
    toy, order = Toy("abcd"), [2, 0, 3, 1]
    before, after = measure(toy.run, "abcd"), measure(toy.run, [("abcd")[i] for i in order])
    assert torch.equal(after, before[..., order, :][..., order])


def test_plain_cosines_are_symmetric_and_troa_is_not():
    toy = Toy("abc")
    plain, directed = plain_cosine(toy.run, "abc"), troa(toy.run, "abc")
    assert torch.allclose(plain, plain.mT, rtol=0, atol=1e-12)
    assert float((directed - directed.mT).abs().max()) > 0.01


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("size", [1e-30, 1e18])
def test_gradients_of_any_size_have_the_right_cosine_in_float32(measure, size):
    exact, single = Toy("abc"), Toy("abc", dtype=torch.float32)
    single.scales = {"a": size, "b": 1.0, "c": size}
    found = measure(single.run, "abc")
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), measure(exact.run, "abc"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("measure", MEASURES)
def test_an_image_without_a_label_is_no_observation_and_disturbs_no_other(measure):
    toy = Toy("abc")
    whole = measure(toy.run, "abc")
    toy.labels["b"] = toy.labels["b"].clone()
    toy.labels["b"][[0, 2]] = torch.nan
    found = measure(toy.run, "abc")
    missing = torch.zeros(B, 3, 3, dtype=torch.bool)
    missing[[0, 2], 1, :] = missing[[0, 2], :, 1] = True
    assert torch.equal(found.isnan(), missing.expand(2, -1, -1, -1))
    assert torch.equal(found[:, ~missing], whole[:, ~missing])
    toy.labels["b"][:] = torch.nan
    assert bool(measure(toy.run, "abc")[..., 1, :].isnan().all())


@pytest.mark.parametrize("seen", [[1], [0, 1, 2, 3], []])
def test_gradients_of_images_without_a_loss_are_nan(seen):
    f = torch.rand(4, 2, 3, requires_grad=True)
    losses = torch.full((4,), torch.nan)
    losses = losses.index_put((torch.tensor(seen, dtype=torch.long),), f.square().flatten(1).sum(1)[seen])
    (found,) = image_gradients(losses, [f])
    wanted = torch.full((4, 6), torch.nan)
    wanted[seen] = 2 * f.detach().flatten(1)[seen]
    assert torch.equal(found.nan_to_num(-1), wanted.nan_to_num(-1))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_loss_with_no_slope_has_no_cosine(measure):
    toy = Toy("ab")
    toy.heads["b"] = torch.zeros(P, dtype=torch.float64)
    found = measure(toy.run, "ab")
    assert bool(found[..., 1, :].isnan().all())
    assert bool(found[..., 0, 0].isfinite().all())


def test_a_place_that_the_loss_does_not_reach():
    f, unused = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    losses = f.square().sum(1)
    reached, missed = image_gradients(losses, [f, unused])
    assert reached is not None
    assert torch.equal(reached, 2 * f.detach())
    assert missed is None
    assert bool(cosine(reached, missed, f).isnan().all())
    C = troa(lambda _: Conditioned([f, unused], {"a": f.square().sum(1)}), ["a"])
    assert torch.allclose(C[0], torch.ones(2, 1, 1))
    assert bool(C[1].isnan().all())


def test_a_target_with_its_own_loss_is_not_its_source():
    toy = Toy("ab")

    def run(target):
        batch = toy.run(target)
        other = ((batch.features[1] * toy.heads[target]).sum(1) + 2).square()
        return Conditioned(batch.features, batch.losses, other)

    C = troa(run, "ab")
    # Both are losses of one scalar prediction: parallel or opposed, and not 1 by definition.
    diagonal = C[0].diagonal(dim1=-2, dim2=-1)
    assert torch.allclose(diagonal.abs(), torch.ones((), dtype=torch.float64))
    assert bool((diagonal < 0).any())


@pytest.mark.parametrize("count", [4, 12])
def test_troa_holds_a_few_gradients_whatever_the_number_of_tasks(count, monkeypatch):
    tasks = [f"task {i}" for i in range(count)]
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most, calls, whole = [0], [0], measures.image_gradients

    def counted(losses, features):
        gradients = whole(losses, features)
        alive.update(g for g in gradients if g is not None)
        most[0], calls[0] = max(most[0], len(alive)), calls[0] + 1
        return gradients

    monkeypatch.setattr(measures, "image_gradients", counted)
    gc.disable()  # what is freed is freed at once, not when the collector comes by
    try:
        troa(Toy(tasks).run, tasks)
    finally:
        gc.enable()
    places = 2
    assert calls[0] == count * count  # one backward pass per pair
    assert most[0] <= 3 * places  # of the target, of the source, and of the source before
    assert not alive


CENTRES = {"a": [0.0, 0.0, 0.0], "b": [1.0, 2.0, -1.0], "c": [-3.0, 0.5, 4.0]}


class Quadratic:
    """L_t = 0.5 |theta - c_t|^2 of two parameters, together theta."""

    def __init__(self):
        self.parameters = [torch.tensor([0.3, -1.7], dtype=torch.float64), torch.tensor([[2.1]], dtype=torch.float64)]
        for p in self.parameters:
            p.requires_grad_()
        self.centres = {t: torch.tensor(c, dtype=torch.float64) for t, c in CENTRES.items()}
        self.calls = 0

    @property
    def theta(self):
        return torch.cat([p.flatten() for p in self.parameters])

    def losses(self):
        self.calls += 1
        return {t: 0.5 * (self.theta - c).square().sum() for t, c in self.centres.items()}


def test_lookahead_is_its_closed_form():
    toy, lr = Quadratic(), 0.17
    theta = toy.theta.detach().clone()
    before = [p.detach().clone() for p in toy.parameters]
    Z = lookahead(toy.losses, toy.parameters, tuple(CENTRES), lr)
    for row, c_s in enumerate(toy.centres.values()):
        stepped = theta - lr * (theta - c_s)
        for column, c_t in enumerate(toy.centres.values()):
            wanted = 1 - float((stepped - c_t).square().sum() / (theta - c_t).square().sum())
            assert float(Z[row, column]) == pytest.approx(wanted, abs=1e-14)
    diagonal = torch.full((3,), 1 - (1 - lr) ** 2, dtype=torch.float64)
    assert torch.allclose(Z.diagonal(), diagonal)
    assert not torch.allclose(Z, Z.mT, atol=1e-3)
    assert toy.calls == 1 + len(CENTRES)
    assert all(torch.equal(p, b) for p, b in zip(toy.parameters, before, strict=True))
    assert all(p.requires_grad and p.grad is None for p in toy.parameters)


def test_lookahead_leaves_out_what_has_no_label_or_no_loss():
    toy = Quadratic()
    toy.centres["b"] = toy.centres["b"] * torch.nan
    toy.centres["c"] = toy.theta.detach().clone()  # the loss is 0 already: there is no relative fall
    Z = lookahead(toy.losses, toy.parameters, tuple(CENTRES), 0.1)
    assert Z.isfinite().tolist() == [[True, False, False], [False, False, False], [True, False, False]]
    assert float(Z[2, 0]) == 0


def test_lookahead_of_a_parameter_that_no_loss_reads():
    toy, unused = Quadratic(), torch.ones(2, requires_grad=True)
    with_it = lookahead(toy.losses, [*toy.parameters, unused], tuple(CENTRES), 0.1)
    assert torch.equal(with_it, lookahead(toy.losses, toy.parameters, tuple(CENTRES), 0.1))
    assert torch.equal(unused, torch.ones(2))


@pytest.mark.parametrize("last", [2, 3, 4])
def test_lookahead_puts_the_parameters_back_when_a_loss_raises(last):
    toy = Quadratic()
    before = [p.detach().clone() for p in toy.parameters]

    def losses():
        if toy.calls == last - 1:
            moved = any(not torch.equal(p, b) for p, b in zip(toy.parameters, before, strict=True))
            raise RuntimeError(f"stepped: {moved}")
        return toy.losses()

    with pytest.raises(RuntimeError, match="stepped: True"):
        lookahead(losses, toy.parameters, ("b", "c", "a"), 0.1)
    assert all(torch.equal(p, b) for p, b in zip(toy.parameters, before, strict=True))
