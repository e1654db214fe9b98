"""Meters: hand examples, merging and protocols."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vtadapt.errors import ConfigError
from vtadapt.tasks import TASKS, Meter, Task, make_task
from vtadapt.tasks.kinds.boundary import BoundaryMeter

PARTS = make_task("parts", "classes", classes=["a", "b", "c"])
DEPTH = TASKS["depth"]
CURVATURE = make_task("curvature", "regression", channels=2)
EVERY = [PARTS, DEPTH, CURVATURE, TASKS["normals"], TASKS["edges"], make_task("saliency", "boundary")]
ALL = pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)


def logits_of(task: Task, prediction: Tensor) -> Tensor:
    """Return logits that decode to ``prediction``, from the documented formulas."""
    if task.kind == "classes":
        return F.one_hot(prediction, task.channels).movedim(-1, 1).float()
    if task.kind == "unit_vector":
        return prediction - torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1)
    if task.kind == "boundary":
        return torch.logit(prediction.double().clamp(1e-9, 1 - 1e-9)).float()
    if task.distance:
        return torch.log(torch.expm1((prediction.double() - 0.01) * math.log(2) / task.typical)).float()
    return prediction


def sample(task: Task, seed: int, batch: int = 4) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    raw = torch.rand(batch, task.channels, 24, 20, generator=g)
    if task.kind == "classes":
        return (raw.argmax(1)).long()
    if task.kind == "unit_vector":
        return F.normalize(raw - 0.5, dim=1)
    return (raw > 0.8).float() if task.kind == "boundary" else 0.5 + 5 * raw


def run(task: Task, prediction: Tensor, target: Tensor, **options: object) -> dict[str, float]:
    meter = task.meter(**options)
    meter.update(logits_of(task, prediction), target)
    return meter.compute()


def merged(a: Meter, b: Meter, into: Meter) -> Meter:
    into.load_state({key: a.state()[key] + b.state()[key] for key in a.state()})
    return into


def row(*values: float) -> Tensor:
    """Return a (1, 1, 1, N) map."""
    return torch.tensor(values).view(1, 1, 1, -1)


@ALL
def test_the_truth_itself_is_perfect(task: Task) -> None:
    target = sample(task, 0)
    values = run(task, target, target)
    assert task.meter().headline == task.headline
    assert task.headline in values
    for key, value in values.items():
        assert value == pytest.approx(1.0 if task.higher_is_better(key) else 0.0, abs=0.01), key


@ALL
def test_two_halves_merge_to_the_whole(task: Task) -> None:
    target, logits = sample(task, 0), logits_of(task, sample(task, 1))
    whole, first, second = task.meter(), task.meter(), task.meter()
    whole.update(logits, target)
    first.update(logits[:1], target[:1])
    second.update(logits[1:], target[1:])
    assert merged(first, second, task.meter()).compute() == pytest.approx(whole.compute())
    assert merged(first, second, task.meter()).counts() == whole.counts() == {"pixels": 4 * 24 * 20, "images": 4}
    for value in whole.state().values():
        assert value.dtype in (torch.int64, torch.float64)
    whole.reset()
    assert whole.compute() == {}


@ALL
def test_nothing_to_measure_gives_nothing(task: Task) -> None:
    lost = {"classes": 255.0, "boundary": -1.0, "unit_vector": 0.0, "regression": 0.0 if task.distance else math.nan}
    target = sample(task, 0)
    meter = task.meter()
    assert meter.compute() == {}
    meter.update(logits_of(task, target), torch.full_like(target, lost[task.kind]))
    assert meter.compute() == {}
    assert meter.counts() == {"pixels": 0, "images": 0}


@ALL
def test_missing_pixels_and_what_the_network_says_there_do_not_matter(task: Task) -> None:
    lost = {"classes": 255.0, "boundary": -1.0, "unit_vector": 0.0, "regression": 0.0 if task.distance else math.nan}
    target, prediction = sample(task, 0), sample(task, 1)
    target[..., 12:] = lost[task.kind]
    other = logits_of(task, prediction)
    other[..., 12:] = torch.randn_like(other[..., 12:])
    a, b = task.meter(), task.meter()
    a.update(logits_of(task, prediction), target)
    b.update(other, target)
    assert a.compute() == b.compute()
    assert a.counts()["pixels"] == 4 * 24 * 12


def test_state_of_another_meter_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit task 'parts'"):
        PARTS.meter().load_state(DEPTH.meter().state())


def test_a_state_is_a_copy() -> None:
    meter = PARTS.meter()
    meter.state()["confusion"] += 5
    assert meter.compute() == {}


def test_iou_by_hand() -> None:
    """Truth a a b b b, prediction a b b b c: IoU a = 1/2, b = 2/4; c is predicted but not in the truth: no term."""
    target, prediction = torch.tensor([[[0, 0, 1, 1, 1, 255]]]), torch.tensor([[[0, 1, 1, 1, 2, 2]]])
    assert run(PARTS, prediction, target) == pytest.approx(
        {"miou/dataset": 0.5, "pixacc/dataset": 3 / 5, "iou/a": 0.5, "iou/b": 0.5}
    )


def test_miou_is_pooled_and_not_a_mean_over_images() -> None:
    first = torch.tensor([[[0, 0, 0, 1]]]), torch.tensor([[[0, 0, 0, 0]]])  # prediction, truth
    second = torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[1, 1, 1, 1]]])
    per_image = [run(PARTS, *pair)["miou/dataset"] for pair in (first, second)]
    assert per_image == [0.75, 0.75]
    both = run(PARTS, torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]))
    assert both["miou/dataset"] == pytest.approx(3 / 5)


def test_depth_by_hand() -> None:
    """Pixels (g, p): (2, 1), (2, 4), (5, 5); the fourth has no truth."""
    values = run(DEPTH, row(1.0, 4.0, 5.0, 9.0), row(2.0, 2.0, 5.0, 0.0))
    logs = [-math.log(2), math.log(2), 0.0]
    assert values == pytest.approx(
        {
            "rmse/pixel": math.sqrt(5 / 3),
            "rmse/image": math.sqrt(5 / 3),
            "absrel/pixel": (0.5 + 1.0) / 3,
            "delta1.25/pixel": 1 / 3,
            "delta1.25^2/pixel": 1 / 3,
            "delta1.25^3/pixel": 1 / 3,
            "silog/pixel": 100 * float(np.std(logs)),
        },
        rel=1e-5,
    )


def test_rmse_pooled_differs_from_rmse_per_image() -> None:
    target = torch.full((2, 1, 1, 4), 2.0)
    target[1, ..., 1:] = 0.0  # one valid pixel only
    prediction = target.clone().clamp_min(1.0)
    prediction[0], prediction[1] = 3.0, 5.0
    values = run(DEPTH, prediction, target)
    assert values["rmse/pixel"] == pytest.approx(math.sqrt((4 * 1 + 9) / 5), rel=1e-5)
    assert values["rmse/image"] == pytest.approx((1 + 3) / 2, rel=1e-5)


def test_caps_choose_targets_clamp_predictions_and_name_the_key() -> None:
    meter = DEPTH.meter(min_value=1e-3, max_value=10)
    meter.update(logits_of(DEPTH, row(14.0, 5.0)), row(8.0, 12.0))
    assert meter.headline == "rmse/pixel@0.001..10m"
    assert meter.compute()[meter.headline] == pytest.approx(2.0)
    assert meter.counts()["pixels"] == 1
    assert not DEPTH.higher_is_better(meter.headline)


def test_max_value_of_a_task_is_in_its_keys() -> None:
    task = make_task("depth", "regression", units="m", max_value=80.0)
    assert task.headline == task.meter().headline == "rmse/pixel@0..80m"
    assert run(task, row(90.0, 3.0), row(79.0, 100.0))[task.headline] == pytest.approx(1.0)
    signed = make_task("curvature", "regression", max_value=2.0)
    assert signed.headline == signed.meter().headline == "rmse/pixel@-inf..2"
    assert run(signed, row(-3.0, 3.0), row(-3.0, 1.0))[signed.headline] == pytest.approx(math.sqrt(0.5))


def test_median_alignment_forgives_the_scale_of_each_image() -> None:
    target = torch.rand(2, 1, 8, 8) + 1
    prediction = target * torch.tensor([3.0, 0.5]).view(2, 1, 1, 1)
    values = run(DEPTH, prediction, target, align="median")
    assert values["rmse/pixel+median"] == pytest.approx(0.0, abs=1e-5)
    assert run(DEPTH, prediction, target)["rmse/pixel"] > 0.5


def test_eigen_crop() -> None:
    target = torch.full((1, 1, 480, 640), 2.0)
    prediction = target.clone()
    prediction[..., :45, :], prediction[..., 471:, :] = 9.0, 9.0
    prediction[..., :41], prediction[..., 601:] = 9.0, 9.0
    meter = DEPTH.meter(crop="eigen", align="median", max_value=10)
    meter.update(logits_of(DEPTH, prediction), target)
    assert meter.headline == "rmse/pixel@0..10m+eigen+median"
    assert meter.compute()[meter.headline] == pytest.approx(0.0, abs=1e-5)
    assert meter.counts()["pixels"] == (471 - 45) * (601 - 41)


def test_other_quantities_may_be_negative_and_zero() -> None:
    task = make_task("reshading", "regression")
    values = run(task, row(-1.0, 2.0, 7.0), row(0.0, -2.0, math.nan))
    assert values == pytest.approx({"rmse/pixel": math.sqrt(17 / 2), "rmse/image": math.sqrt(17 / 2), "mae/pixel": 2.5})


def test_angles_by_hand() -> None:
    angles = [5.0, 11.3, 20.0, 29.0, 90.0]
    a = torch.deg2rad(torch.tensor(angles))
    prediction = torch.stack([a.sin(), torch.zeros(5), -a.cos()]).view(1, 3, 1, 5)
    target = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 5)
    assert run(TASKS["normals"], prediction, target) == pytest.approx(
        {
            "angle_mean/pixel": sum(angles) / 5,
            "angle_median/pixel": 20.0,
            "within11.25/pixel": 0.2,
            "within22.5/pixel": 0.6,
            "within30/pixel": 0.8,
        },
        abs=0.011,
    )


def test_the_histogram_median_is_the_median() -> None:
    g = torch.Generator().manual_seed(3)
    p, t = (F.normalize(torch.randn(2, 3, 40, 40, generator=g), dim=1) for _ in range(2))
    exact = torch.rad2deg(torch.acos((p * t).sum(1).clamp(-1, 1))).median()
    assert run(TASKS["normals"], p, t)["angle_median/pixel"] == pytest.approx(float(exact), abs=0.02)


def test_opposite_directions_are_180_degrees() -> None:
    up = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    values = run(TASKS["normals"], -up, up)
    assert values["angle_mean/pixel"] == pytest.approx(180.0)
    assert values["angle_median/pixel"] == pytest.approx(180.0, abs=0.01)


def test_edges_by_hand() -> None:
    """One column off: no pixelwise hit, yet within the tolerance of 2 pixels every pixel matches."""
    target, prediction = torch.zeros(1, 1, 128, 128), torch.zeros(1, 1, 128, 128)
    target[..., 20:100, 50], prediction[..., 20:100, 51] = 1.0, 0.8
    values = run(TASKS["edges"], prediction, target)
    assert list(values)[0] == "odsf/d0.011"
    assert values == pytest.approx({"odsf/d0.011": 1.0, "f1/t0.5": 0.0, "l1/pixel": 80 * 1.8 / 128**2}, abs=1e-6)


def test_the_threshold_is_chosen_once_for_the_set() -> None:
    """Image 1 is perfect at a high threshold only, image 2 at a low one only: the set gets one of them."""
    target = torch.zeros(2, 1, 128, 128)
    target[:, :, 20:100, 30] = 1.0
    prediction = torch.zeros_like(target)
    prediction[0, :, 20:100, 30], prediction[0, :, 20:100, 90] = 0.9, 0.4
    prediction[1, :, 20:100, 30] = 0.4
    alone = [run(TASKS["edges"], prediction[i : i + 1], target[i : i + 1])["odsf/d0.011"] for i in range(2)]
    assert alone == [1.0, 1.0]
    meter = TASKS["edges"].meter()
    assert isinstance(meter, BoundaryMeter)
    meter.update(logits_of(TASKS["edges"], prediction), target)
    assert meter.compute()["odsf/d0.011"] == pytest.approx(2 * 160 / (240 + 160))  # low: all found, 80 too many
    assert meter.threshold() == pytest.approx(0.05)


def test_edge_options_are_in_the_key() -> None:
    edges = TASKS["edges"]
    assert edges.meter(max_dist=0.0075, thresholds=99).headline == "odsf/d0.0075+t99"
    assert edges.meter(thin_prediction=False, thin_target=False).headline == "odsf/d0.011+thickp+thickg"
    assert edges.meter(thresholds=[0.3, 0.5]).headline == "odsf/d0.011+t2"
    assert "odsf/d0.011" not in run(edges, sample(edges, 0), sample(edges, 0), match=False)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("edges", {"max_dist": 3}, "share of the image diagonal"),
        ("edges", {"thresholds": [1.5]}, "between 0 and 1"),
        ("edges", {"crop": "eigen"}, "do not fit task 'edges'"),
        ("depth", {"crop": "eigne"}, "Did you mean 'eigen'"),
        ("depth", {"align": "mean"}, "only 'median'"),
        ("depth", {"min_value": 5, "max_value": 1}, "must be below"),
    ],
)
def test_bad_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TASKS[name].meter(**options)
