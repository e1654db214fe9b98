"""Losses against closed forms, and the properties that hold for every task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vtadapt.errors import DataError
from vtadapt.tasks import KINDS, TASKS, Task, distances, losses, make_task
from vtadapt.tasks.kinds import boundary, unit_vector
from vtadapt.tasks.kinds.base import chosen

MISSING = {"classes": 255, "unit_vector": 0.0, "boundary": -1.0}


def every_task() -> list[Task]:
    """One task for each loss of each kind; regressions also as a quantity that is no distance."""
    tasks = []
    for kind, behaviour in KINDS.items():
        for loss in behaviour.losses:
            extra: dict[str, Any] = {"classes": ["a", "b", "c"]} if kind == "classes" else {}
            units = "m" if kind == "regression" else ""
            tasks.append(make_task(f"{kind}_{loss}", kind, loss=loss, units=units, **extra))
    tasks.append(make_task("curvature", "regression", channels=2))
    return [*tasks, make_task("reshading", "regression", loss="berhu")]


ALL = pytest.mark.parametrize("task", every_task(), ids=lambda task: task.name)


def sample(task: Task, seed: int = 0, shape: tuple[int, ...] = (3, 6, 7)) -> tuple[Tensor, Tensor]:
    """Return random logits and a complete random target."""
    g = torch.Generator().manual_seed(seed)
    b, h, w = shape
    logits = torch.randn(b, task.channels, h, w, generator=g)
    raw = torch.rand(b, task.channels, h, w, generator=g)
    targets: dict[str, Callable[[], Tensor]] = {
        "classes": lambda: torch.randint(0, task.channels, shape, generator=g),
        "regression": lambda: 0.5 + 9 * raw,
        "unit_vector": lambda: F.normalize(raw - 0.5, dim=1),
        "boundary": lambda: raw,
    }
    return logits, targets[task.kind]()


def missing(task: Task) -> float:
    return MISSING.get(task.kind, 0.0 if task.distance else math.nan)


def knock_out(task: Task, target: Tensor, mask: Tensor) -> Tensor:
    """Mark the pixels of ``mask`` (B, H, W) as missing."""
    target = target.clone()
    if target.ndim == 4:
        target.movedim(1, -1)[mask] = missing(task)
    else:
        target[mask] = int(missing(task))
    return target


@ALL
def test_equals_the_loss_of_the_valid_part_and_sends_no_gradient_elsewhere(task: Task) -> None:
    logits, target = sample(task)
    mask = torch.zeros(3, 6, 7, dtype=torch.bool)
    mask[:, :, 4:] = True
    holed = knock_out(task, target, mask)
    logits.requires_grad_()
    loss = task.loss_fn(logits, holed)
    alone = task.loss_fn(logits[..., :4], target[..., :4])
    assert loss.valid == alone.valid == 3 * 6 * 4
    torch.testing.assert_close(loss.value, alone.value)
    (grad,) = torch.autograd.grad(loss.value, logits)
    assert torch.isfinite(grad).all()
    assert (grad[..., 4:] == 0).all()
    assert (grad[..., :4] != 0).any()
    # ... and what the network says at missing pixels is irrelevant
    elsewhere = logits.detach().clone()
    elsewhere[..., 4:] = 1e4
    assert torch.equal(task.loss_fn(elsewhere, holed).value, loss.value)


@ALL
@pytest.mark.parametrize("content", [0.0, 3e38, math.inf, math.nan])
def test_a_batch_without_labels_gives_a_connected_zero(task: Task, content: float) -> None:
    logits, target = sample(task)
    logits = torch.full_like(logits, content).requires_grad_()
    loss = task.loss_fn(logits, knock_out(task, target, torch.ones(3, 6, 7, dtype=torch.bool)))
    assert loss.valid == 0
    assert loss.value.item() == 0.0
    loss.value.backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@ALL
def test_permuting_the_batch_changes_nothing(task: Task) -> None:
    logits, target = sample(task)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(task.loss_fn(logits[order], target[order]).value, task.loss_fn(logits, target).value)


@ALL
def test_half_precision_logits_are_computed_in_float32(task: Task) -> None:
    logits, target = sample(task)
    loss = task.loss_fn(logits.bfloat16(), target).value
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, task.loss_fn(logits.bfloat16().float(), target).value, rtol=0, atol=0)


@ALL
def test_a_step_against_the_gradient_from_zero_logits_lowers_the_loss(task: Task) -> None:
    """A fresh head gives zeros: the gradient there must be finite, not zero, and point the right way."""
    _, target = sample(task)
    logits = torch.zeros(3, task.channels, 6, 7, requires_grad=True)
    loss = task.loss_fn(logits, target).value
    (grad,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(grad).all()
    assert 1e-6 < float(grad.norm()) < 100
    assert task.loss_fn(logits - 0.1 * grad / grad.norm(), target).value.item() < loss.item()


def test_cross_entropy_by_hand() -> None:
    task = make_task("parts", "classes", classes=["a", "b"])
    logits = torch.tensor([[[[0.0, math.log(3.0), 9.0]], [[0.0, 0.0, -9.0]]]])
    loss = task.loss_fn(logits, torch.tensor([[[1, 0, 255]]]))
    assert loss.valid == 2
    assert loss.value.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_cross_entropy_with_weights_by_hand() -> None:
    task = make_task("parts", "classes", classes=["a", "b"])
    logits = torch.tensor([[[[0.0, math.log(3.0), 9.0]], [[0.0, 0.0, -9.0]]]])
    labels, weights = torch.tensor([[[1, 0, 255]]]), torch.tensor([3.0, 1.0])
    wanted = (math.log(2) + 3 * math.log(4 / 3)) / 4
    assert task.loss_fn(logits, labels, weights).value.item() == pytest.approx(wanted)
    logits.requires_grad_()
    loss = task.loss_fn(logits, torch.tensor([[[1, 1, 255]]]), torch.tensor([3.0, 0.0])).value
    loss.backward()
    assert loss.item() == 0  # labels that count nothing teach nothing, and give no NaN
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_label_without_a_channel_is_named() -> None:
    task = make_task("parts", "classes", classes=["a", "b"])
    with pytest.raises(DataError, match=r"'parts' has 2 classes, found label ids -1, 2, 7;"):
        task.loss_fn(torch.zeros(1, 2, 1, 4), torch.tensor([[[7, 2, -1, 255]]]))


def test_berhu_by_hand_on_both_branches() -> None:
    """Errors 0.1, 0.2, 0.6, 1: c = 0.2; the first two are linear, the others (e^2 + c^2) / 2c."""
    p, g = torch.tensor([[1.1], [0.8], [1.6], [0.0]]), torch.ones(4, 1)
    quadratic = [(e * e + 0.04) / 0.4 for e in (0.6, 1.0)]
    assert float(losses.berhu(p, g)) == pytest.approx((0.1 + 0.2 + sum(quadratic)) / 4)
    assert float(losses.berhu(3 * p, 3 * g)) == pytest.approx(3 * float(losses.berhu(p, g)))
    assert float(losses.berhu(g, g)) == 0.0
    expected = float(losses.berhu(1 / p[:3], 1 / g[:3]))
    assert float(distances.berhu_inverse(p[:3], g[:3])) == pytest.approx(expected)


def test_berhu_is_finite_where_the_prediction_is_right() -> None:
    p = torch.ones(4, 1, requires_grad=True)
    losses.berhu(p, torch.ones(4, 1)).backward()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()


def test_silog_by_hand() -> None:
    p, g = torch.tensor([[2.0], [1.0]]), torch.ones(2, 1)
    d = math.log(2)
    assert float(distances.silog(p, g)) == pytest.approx(d * d / 2 - 0.5 * (d / 2) ** 2)
    scaled = distances.silog(3 * g, g)  # a constant factor costs only half of its squared logarithm
    assert float(scaled) == pytest.approx(0.5 * math.log(3) ** 2)


def test_l1_and_l2_by_hand() -> None:
    p, g = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, -1.0]])
    assert float(losses.l1(p, g)) == 1.5
    assert float(losses.l2(p, g)) == 2.5


@pytest.mark.parametrize("degrees", [0.0, 0.1, 30.0, 90.0, 179.0, 180.0])
def test_directions_by_hand(degrees: float) -> None:
    a = math.radians(degrees)
    p, g = torch.tensor([[math.sin(a), 0.0, -math.cos(a)]], requires_grad=True), torch.tensor([[0.0, 0.0, -1.0]])
    angle = unit_vector.angular(p, g)
    assert angle.item() == pytest.approx(a, abs=2e-6)
    assert unit_vector.cosine(p, g).item() == pytest.approx(1 - math.cos(a), abs=1e-6)
    (grad,) = torch.autograd.grad(angle, p)
    assert torch.isfinite(grad).all()


def test_weighted_bce_by_hand_with_soft_targets() -> None:
    logits, target = torch.tensor([[0.0], [math.log(3.0)], [2.0]]), torch.tensor([[1.0], [0.0], [0.25]])
    p = torch.sigmoid(torch.tensor(2.0)).item()
    terms = [0.95 * math.log(2), 0.05 * math.log(4)]
    terms.append(-0.95 * 0.25 * math.log(p) - 0.05 * 0.75 * math.log(1 - p))
    assert float(boundary.weighted_bce(logits, target)) == pytest.approx(sum(terms) / 3, rel=1e-5)
    assert float(boundary.probability_l1(logits, target)) == pytest.approx((0.5 + 0.75 + p - 0.25) / 3, rel=1e-5)
    extreme = boundary.weighted_bce(torch.tensor([[200.0], [-200.0]]), torch.tensor([[0.0], [1.0]]))
    assert float(extreme) == pytest.approx((0.05 * 200 + 0.95 * 200) / 2)


def test_boundary_targets_above_one_are_refused() -> None:
    with pytest.raises(DataError, match="found 255"):
        TASKS["edges"].loss_fn(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 255.0]]]]))


def test_a_distance_starts_at_typical_and_is_positive() -> None:
    task = make_task("depth", "regression", units="m", typical=12.0)
    depth = task.decode(torch.tensor([-50.0, 0.0, 50.0]).view(1, 1, 1, 3)).flatten()
    assert depth.tolist() == pytest.approx([0.01, 12.01, 12 * 50 / math.log(2) + 0.01], rel=1e-5)


def test_max_value_hides_far_targets_and_clamps_predictions() -> None:
    task = make_task("depth", "regression", units="m", max_value=80.0)
    target = torch.tensor([[[[80.0, 80.1, 655.0, 0.0]]]])
    assert task.valid(target).tolist() == [[[True, False, False, False]]]
    assert float(task.decode(torch.full((1, 1, 1, 1), 99.0))) == 80.0


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        ((1, 2, 4, 4), (1, 1, 4, 4), r"wants logits \(B, 1, H, W\), found \(1, 2, 4, 4\)"),
        ((1, 1, 4, 4), (1, 1, 4, 5), r"want a target \(1, 1, 4, 4\), found \(1, 1, 4, 5\)"),
        ((1, 1, 4, 4), (1, 4, 4), r"want a target \(1, 1, 4, 4\), found \(1, 4, 4\)"),
    ],
)
def test_shapes_that_do_not_fit(logits: tuple[int, ...], target: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TASKS["depth"].loss_fn(torch.zeros(logits), torch.ones(target))


def test_choosing_all_pixels_is_choosing_each():
    x, mask = torch.randn(2, 3, 4, 5), torch.ones(2, 4, 5, dtype=torch.bool)
    assert torch.equal(chosen(x, mask, 40), x.movedim(1, -1)[mask])
    mask[1, 2] = False
    assert torch.equal(chosen(x, mask, 35), x.movedim(1, -1)[mask])


def test_directions_are_normalised_as_torch_does_and_have_a_gradient_everywhere():
    task, x = make_task("n", "unit_vector"), torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x[0, :, 0, 0] = torch.tensor([0.0, 0.0, 1.0])  # plus what faces the camera: no direction at all
    x[0, :, 0, 1] = torch.tensor([1e-5, 0.0, 1.0])
    x.requires_grad_()
    wanted = F.normalize(x + x.new_tensor([0, 0, -1]).view(1, 3, 1, 1), dim=1, eps=1e-4)
    assert torch.allclose(task.decode(x), wanted, atol=1e-12)
    weights = torch.randn_like(wanted)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (task.decode(x), wanted))
    assert torch.allclose(ours, theirs)
