"""What a discriminator sees of each kind of prediction, by hand; and tasks under a lower cap."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vtadapt.tasks import Task, make_task
from vtadapt.tasks.distances import LEAST

SEMSEG = make_task("semseg", "classes", num_classes=4)
DEPTH = make_task("depth", "regression", units="m", max_value=10)


def logits_of(probabilities: list[float]) -> Tensor:
    return torch.tensor(probabilities).log().view(1, -1, 1, 1)


def depth_logits(metres: list[float]) -> Tensor:
    """The logits whose decoded distances these are."""
    x = (torch.tensor(metres, dtype=torch.float64) - LEAST) * math.log(2.0) / DEPTH.typical
    return torch.log(torch.expm1(x)).view(1, 1, 1, -1)


def test_self_information_of_a_one_hot_and_of_a_uniform_prediction() -> None:
    certain = torch.full((1, 4, 2, 2), -1e4)
    certain[:, 2] = 1e4
    assert torch.equal(SEMSEG.for_discriminator(certain), torch.zeros(1, 4, 2, 2))
    uniform = SEMSEG.for_discriminator(torch.full((1, 4, 2, 2), 3.7))
    assert torch.allclose(uniform, torch.full((1, 4, 2, 2), 1 / 4), atol=1e-7)
    assert torch.allclose(uniform.sum(1), torch.ones(1, 2, 2))


def test_self_information_by_hand() -> None:
    found = SEMSEG.for_discriminator(logits_of([0.5, 0.25, 0.125, 0.125])).flatten()
    # -p log2 p = 1/2, 1/2, 3/8, 3/8; log2 4 = 2
    assert found.tolist() == pytest.approx([1 / 4, 1 / 4, 3 / 16, 3 / 16])


def test_a_certain_prediction_has_a_finite_gradient() -> None:
    logits = torch.tensor([1e4, -1e4, 0.0, 3.0]).view(1, 4, 1, 1).requires_grad_()
    SEMSEG.for_discriminator(logits)[:, 3].sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_one_class_is_always_certain() -> None:
    one = make_task("sky", "classes", num_classes=1)
    assert torch.equal(one.for_discriminator(torch.rand(1, 1, 2, 2)), torch.zeros(1, 1, 2, 2))


def test_inverse_depth_in_the_range_of_the_source_labels() -> None:
    target = torch.tensor([2.0, 8.0, 4.0, 0.0, 12.0]).view(1, 1, 1, 5)  # 0 is missing, 12 beyond the cap
    limits = DEPTH.limits(target)
    assert limits is not None
    assert [float(x) for x in limits] == pytest.approx([1 / 8, 1 / 2])
    found = DEPTH.for_discriminator(depth_logits([2.0, 8.0, 4.0, 1.0]), limits).flatten()
    assert found.tolist() == pytest.approx([1.0, 0.0, 1 / 3, 7 / 3], abs=1e-5)
    assert DEPTH.limits(torch.zeros(1, 1, 1, 5)) is None
    alone = DEPTH.for_discriminator(depth_logits([2.0, 8.0, 4.0]))
    assert alone.flatten().tolist() == pytest.approx([1.0, 0.0, 1 / 3], abs=1e-5)


def test_the_logarithm_of_a_distance_and_one_metre_in_the_range_of_the_source_labels() -> None:
    target = torch.tensor([1.0, 7.0, 3.0, 0.0]).view(1, 1, 1, 4)  # logarithms of 2, 8 and 4; 0 is missing
    limits = DEPTH.limits(target, log=True)
    assert limits is not None
    assert [float(x) for x in limits] == pytest.approx([math.log(2), math.log(8)])
    found = DEPTH.for_discriminator(depth_logits([1.0, 3.0, 7.0]), limits, log=True).flatten()
    assert found.tolist() == pytest.approx([0.0, 0.5, 1.0], abs=1e-5)
    heat = make_task("heat", "regression")
    value = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    assert torch.equal(heat.for_discriminator(value, log=True), heat.for_discriminator(value)), "no distance"


def test_a_range_without_extent_is_finite() -> None:
    limits = DEPTH.limits(torch.full((1, 1, 2, 2), 4.0))
    assert torch.isfinite(DEPTH.for_discriminator(depth_logits([4.0, 5.0]), limits)).all()


def test_other_quantities_are_not_inverted() -> None:
    heat = make_task("heat", "regression")
    target = torch.tensor([1.0, 5.0, torch.nan]).view(1, 1, 1, 3)
    found = heat.for_discriminator(torch.tensor([1.0, 3.0, 9.0]).view(1, 1, 1, 3), heat.limits(target))
    assert found.flatten().tolist() == pytest.approx([0.0, 0.5, 2.0])


@pytest.mark.parametrize("task", [make_task("normals", "unit_vector"), make_task("edges", "boundary")])
def test_unit_vectors_and_probabilities_are_seen_as_decoded(task: Task) -> None:
    logits = torch.randn(2, task.channels, 3, 4, generator=torch.Generator().manual_seed(0))
    found = task.for_discriminator(logits)
    assert torch.equal(found, task.decode(logits))
    assert found.shape == logits.shape
    assert task.limits(torch.rand(2, task.channels, 3, 4)) is None


@pytest.mark.parametrize("task", [SEMSEG, DEPTH, make_task("normals", "unit_vector"), make_task("edges", "boundary")])
def test_half_precision_is_seen_as_float32_with_a_gradient(task: Task) -> None:
    logits = torch.randn(1, task.channels, 3, 4).bfloat16().requires_grad_()
    found = task.for_discriminator(logits)
    assert found.dtype == torch.float32
    (found * torch.rand_like(found)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.any()


def test_a_lower_cap_is_named_in_the_keys() -> None:
    free = make_task("depth", "regression", units="m")
    assert free.capped(None) is free
    assert DEPTH.capped(20.0) is DEPTH
    for task in (free, DEPTH):
        low = task.capped(5.0)
        assert (low.max_value, low.headline) == (5.0, "rmse/pixel@0..5m")
        meter = low.meter()
        meter.update(torch.zeros(1, 1, 1, 2), torch.tensor([3.0, 9.0]).view(1, 1, 1, 2))
        assert meter.counts()["pixels"] == 1
        assert low.headline in meter.compute()
