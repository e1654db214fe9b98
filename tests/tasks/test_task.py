"""Task construction, serialisation, decoding and pictures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks import KINDS, NYU13, TASKS, Task, make_task
from vtadapt.tasks.colour.void import STRIPES


def test_the_built_in_tasks() -> None:
    found = {name: (t.kind, t.channels, t.loss, t.headline) for name, t in TASKS.items()}
    assert found == {
        "semseg": ("classes", 13, "cross_entropy", "miou/dataset"),
        "depth": ("regression", 1, "berhu", "rmse/pixel"),
        "normals": ("unit_vector", 3, "cosine", "angle_mean/pixel"),
        "edges": ("boundary", 1, "weighted_bce", "odsf/d0.011"),
    }
    assert TASKS["semseg"].classes == NYU13
    assert TASKS["depth"].distance
    assert TASKS["depth"].units == "m"
    assert all(name == task.name for name, task in TASKS.items())


def test_every_kind_knows_its_name_and_its_defaults() -> None:
    assert sorted(KINDS) == ["boundary", "classes", "regression", "unit_vector"]
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.default_loss in kind.losses
        assert kind.default_headline.split("/")[0] in kind.metrics


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (make_task("saliency", "boundary"), ("bce", "f1/t0.5", 1, False)),
        (make_task("human_parts", "classes", classes=["head", "torso"]), ("cross_entropy", "miou/dataset", 2, False)),
        (make_task("human_parts", "classes", num_classes=6), ("cross_entropy", "miou/dataset", 6, False)),
        (make_task("reshading", "regression"), ("l1", "rmse/pixel", 1, False)),
        (make_task("keypoints", "regression"), ("l1", "rmse/pixel", 1, False)),
        (make_task("curvature", "regression", channels=2), ("l1", "rmse/pixel", 2, False)),
        (make_task("range", "regression", units="metres"), ("berhu", "rmse/pixel", 1, True)),
        (make_task("depth", "regression"), ("berhu", "rmse/pixel", 1, True)),
        (make_task("depth", "regression", loss="silog", max_value=80), ("silog", "rmse/pixel@0..80m", 1, True)),
        (make_task("flow_direction", "unit_vector", loss="angular"), ("angular", "angle_mean/pixel", 3, False)),
    ],
    ids=lambda x: x.name if isinstance(x, Task) else "",
)
def test_defaults_of_new_tasks(task: Task, expected: tuple[str, str, int, bool]) -> None:
    assert (task.loss, task.headline, task.channels, task.distance) == expected
    target = torch.zeros(1, 4, 4, dtype=torch.long) if task.kind == "classes" else torch.ones(1, task.channels, 4, 4)
    logits = torch.zeros(1, task.channels, 4, 4)
    assert task.loss_fn(logits, target).valid == 16
    assert task.decode(logits).shape == target.shape
    meter = task.meter()
    meter.update(logits, target)
    assert task.headline in meter.compute()
    assert task.colour(task.decode(logits)[0]).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("name", "kind", "options", "message"),
    [
        ("depth", "regresion", {}, "Did you mean 'regression'"),
        ("", "boundary", {}, "needs a name"),
        ("parts", "classes", {}, "has no classes"),
        ("parts", "classes", {"num_classes": 256}, "at most 255"),
        ("parts", "classes", {"classes": ["a", "b"], "num_classes": 3}, "names 2 classes but num_classes is 3"),
        ("parts", "classes", {"classes": ["a", "b"], "channels": 3}, "3 channels, wanted 2"),
        ("parts", "classes", {"classes": ["a", "a"]}, "names classes twice: a"),
        ("parts", "classes", {"classes": ["a", "b"], "colours": [(1, 2, 3)]}, "2 classes but 1 colours"),
        ("parts", "classes", {"classes": ["a"], "colours": [(1, 2, 300)]}, "three whole numbers 0..255"),
        ("parts", "classes", {"classes": ["a"], "colours": [(1, 2)]}, "three whole numbers 0..255"),
        ("depth", "regression", {"loss": "berhuu"}, "Did you mean 'berhu'"),
        ("depth", "regression", {"loss": "cosine"}, "unknown loss 'cosine'"),
        ("reshading", "regression", {"loss": "silog"}, "needs a distance"),
        ("reshading", "regression", {"distance": True}, "a distance is in 'm'"),
        ("depth", "regression", {"max_value": float("inf")}, "max_value inf"),
        ("depth", "regression", {"typical": 0.0}, "typical 0.0 .* wanted positive metres"),
        ("depth", "regression", {"weight": -1.0}, "weight -1.0"),
        ("depth", "regression", {"headline": "miou/dataset"}, "Unknown metric 'miou/dataset'"),
        ("depth", "regression", {"max_vlaue": 3}, "Did you mean 'max_value'"),
        ("edges", "boundary", {"classes": ["a"]}, "takes no classes"),
        ("depth", "regression", {"channels": 0}, "has 0 channels, wanted 1"),
        ("parts", "classes", {"classes": ["a", "b"], "channels": -5}, "has -5 channels, wanted 2"),
        ("edges", "boundary", {"channels": 2}, "has 2 channels, wanted 1"),
        ("normals", "unit_vector", {"channels": 2}, "has 2 channels, wanted 3"),
    ],
)
def test_errors_are_one_line_and_say_what_to_do(name: str, kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_task(name, kind, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "task", [*TASKS.values(), make_task("far", "regression", units="m", max_value=80.0)], ids=lambda task: task.name
)
def test_json_round_trip(task: Task) -> None:
    text = json.dumps(task.to_dict())
    assert Task.from_dict(json.loads(text)) == task
    assert hash(Task.from_dict(json.loads(text))) == hash(task)


def test_from_dict_refuses_what_it_does_not_know() -> None:
    saved = TASKS["depth"].to_dict()
    with pytest.raises(ConfigError, match="Did you mean 'units'"):
        Task.from_dict({**saved, "unitz": "m"})
    with pytest.raises(ConfigError, match="lacks kind, channels"):
        Task.from_dict({"name": "depth"})


def test_classes_are_drawn_with_their_colours() -> None:
    task = make_task("parts", "classes", classes=["a", "b"], colours=[[10, 20, 30], [40, 50, 60]])
    picture = task.colour(torch.tensor([[0, 1, 255]]))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[10, 20, 30], [40, 50, 60], [250, 250, 250]]]  # a stripe
    assert task.colour(np.array([[0, 1, 255]], dtype=np.uint8)).tolist() == picture.tolist()
    assert task.value_range(torch.tensor([[0, 1]])) is None
    with pytest.raises(DataError, match="found label ids 2"):
        task.colour(np.array([[2]]))


def test_near_is_bright_and_missing_is_striped() -> None:
    depth = TASKS["depth"]
    values = torch.tensor([[[1.0, 2.0, 5.0, 0.0]]])
    picture = depth.colour(values, value_range=(1.0, 5.0)).astype(int)
    luminance = picture[0, :3] @ np.array([0.299, 0.587, 0.114])
    assert luminance[0] > luminance[1] > luminance[2]
    assert tuple(picture[0, 3]) in STRIPES
    reshading = make_task("reshading", "regression").colour(values, value_range=(1.0, 5.0)).astype(int)
    assert reshading[0, 2].tolist() == picture[0, 0].tolist()  # there, high is bright


def test_a_shared_range_makes_pictures_comparable() -> None:
    depth = TASKS["depth"]
    truth, prediction = torch.tensor([[[1.0, 9.0]]]), torch.tensor([[[9.0, 100.0]]])
    shown = depth.value_range(truth)
    assert shown == pytest.approx((1.16, 8.84))
    a, b = depth.colour(truth, value_range=shown), depth.colour(prediction, value_range=shown)
    assert a[0, 1].tolist() == b[0, 0].tolist() == b[0, 1].tolist()


def test_depth_without_values_and_constant_depth_can_be_drawn() -> None:
    depth = TASKS["depth"]
    nothing = torch.zeros(1, 2, 2)
    assert depth.value_range(nothing) is None
    assert depth.colour(torch.full((2, 2), 3.0)).shape == (2, 2, 3)


def test_normals_that_face_the_camera_are_bluish() -> None:
    vectors = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]).T.reshape(3, 1, 4)
    expected = [[[128, 128, 255], [255, 128, 128], [128, 255, 128], [168, 172, 178]]]  # a stripe where there is none
    assert TASKS["normals"].colour(vectors).tolist() == expected
    assert TASKS["normals"].colour(vectors.half().numpy()).tolist() == expected


def test_edges_are_dark_on_white() -> None:
    picture = TASKS["edges"].colour(torch.tensor([[[1.0, 0.0, 0.4, -1.0]]]))
    assert picture.tolist() == [[[0, 0, 0], [255, 255, 255], [153, 153, 153], [168, 172, 178]]]


def test_decoded_forms() -> None:
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    normals = TASKS["normals"].decode(logits)
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(2, 4, 5))
    assert normals.dtype == torch.float32
    edges = TASKS["edges"].decode(logits[:, :1])
    assert edges.dtype == torch.float32
    assert bool(((edges > 0) & (edges < 1)).all())
    parts = make_task("parts", "classes", num_classes=3).decode(logits)
    assert torch.equal(parts, logits.argmax(1))


def test_zero_logits_of_a_fresh_head_face_the_camera() -> None:
    assert TASKS["normals"].decode(torch.zeros(1, 3, 1, 1)).flatten().tolist() == [0.0, 0.0, -1.0]
