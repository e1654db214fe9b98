"""Losses for rare classes: against their formulas written out pixel by pixel, and what they are for."""

from __future__ import annotations

import math

import pytest
import torch

from vtadapt.tasks import make_task
from vtadapt.tasks.class_losses import CLASS_LOSSES

K = 4


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, K, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, K - 1, (2, 5, 6), generator=generator)  # the last class is in no pixel
    labels[0, :2] = 255
    return logits, labels


def by_pixel(logits: torch.Tensor, labels: torch.Tensor) -> list[tuple[list[float], int]]:
    """Probabilities and label of every labelled pixel."""
    found = []
    for b in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                if (label := int(labels[b, y, x])) != 255:
                    exps = [math.exp(v) for v in logits[b, :, y, x].tolist()]
                    found.append(([e / sum(exps) for e in exps], label))
    return found


WEIGHTS = [1.0, 2.0, 0.5, 7.0]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_is_its_formula(weights):
    logits, labels = example()
    of = weights or [1.0] * K
    total = sum(of[label] * (1 - p[label]) ** 2 * -math.log(p[label]) for p, label in by_pixel(logits, labels))
    expected = total / sum(of[label] for _, label in by_pixel(logits, labels))
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    assert float(CLASS_LOSSES["focal"](logits, labels, given)) == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_dice_is_its_formula(weights):
    logits, labels = example()
    pixels, of = by_pixel(logits, labels), weights or [1.0] * K
    terms = []
    for c in range(K):
        truth = sum(label == c for _, label in pixels)
        if truth:
            hit = sum(p[c] for p, label in pixels if label == c)
            terms.append((of[c], 1 - 2 * hit / (truth + sum(p[c] for p, _ in pixels))))
    expected = sum(w * v for w, v in terms) / sum(w for w, _ in terms)
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    assert float(CLASS_LOSSES["dice"](logits, labels, given)) == pytest.approx(expected)


def test_the_sum_is_the_sum():
    logits, labels = example()
    parts = CLASS_LOSSES["dice"](logits, labels) + CLASS_LOSSES["cross_entropy"](logits, labels)
    assert torch.equal(CLASS_LOSSES["cross_entropy_dice"](logits, labels), parts)


@pytest.mark.parametrize("name", CLASS_LOSSES)
class TestEveryLoss:
    def task(self, name: str):
        return make_task("x", "classes", num_classes=K, loss=name)

    def test_void_pixels_have_no_gradient(self, name):
        logits, labels = example()
        logits.requires_grad_()
        self.task(name).loss_fn(logits, labels).value.backward()
        assert logits.grad is not None
        assert (logits.grad[0, :, :2] == 0).all()
        assert (logits.grad[1] != 0).any()

    def test_it_falls_to_nothing_where_all_is_right(self, name):
        logits, labels = example()
        right = 50.0 * torch.nn.functional.one_hot(labels.where(labels != 255, 0), K).movedim(-1, 1).double()
        assert float(self.task(name).loss_fn(right, labels).value) == pytest.approx(0, abs=1e-6)
        assert float(self.task(name).loss_fn(logits, labels).value) > 0.1

    def test_no_label_at_all_is_zero_with_a_graph(self, name):
        logits, labels = example()
        logits.requires_grad_()
        loss = self.task(name).loss_fn(logits, torch.full_like(labels, 255))
        loss.value.backward()
        assert (float(loss.value.detach()), loss.valid) == (0.0, 0)

    def test_its_gradient_is_that_of_differences(self, name):
        logits, labels = example()
        logits = logits[:1, :, :3, :3].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: self.task(name).loss_fn(x, labels[:1, :3, :3]).value, logits)


def test_dice_hears_a_rare_class_where_cross_entropy_does_not():
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, 0, 0] = 1
    found = {}
    for name in ("cross_entropy", "dice"):
        logits = torch.zeros(1, 2, 20, 20, dtype=torch.float64)
        logits[:, 0] = 4.0
        logits.requires_grad_()
        CLASS_LOSSES[name](logits, labels).backward()
        assert logits.grad is not None
        found[name] = float(logits.grad[0, 1, 0, 0].abs() / logits.grad.abs().sum())
    assert found["dice"] > found["cross_entropy"]
