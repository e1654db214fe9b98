"""Trivial predictors: the constants of every kind, strengths by chance, and Canny's edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.workflows.conftest import KINDS, labels_of, missing_of
from vtadapt.tasks import make_task
from vtadapt.tasks.trivial.edges import Canny, RandomStrengths

EDGES = KINDS["edges"]


def test_constants_of_the_training_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    models = {n: t.behaviour.trivials(t) for n, t in KINDS.items()}
    assert [n for n, each in models.items() if "constant" in each] == ["semseg", "depth", "normals"]
    batches = [{n: labels_of(t, 2, (6, 8), generator) for n, t in KINDS.items()} for _ in range(2)]
    image = torch.zeros(1, 3, 5, 7)
    found: dict[str, Tensor] = {}
    for name in ("semseg", "depth", "normals"):
        model, task = models[name]["constant"], KINDS[name]
        assert not model.ready
        for batch in batches:
            if name == "normals":
                batch[name][:, 2] -= 3.0
            batch[name][..., :2, :] = missing_of(task)
            model.add(torch.zeros(2, 3, 6, 8), batch[name])
        assert model.ready
        found[name] = task.decode(model.predict(image, 0))[0]
    labelled = {n: torch.cat([b[n][..., 2:, :] for b in batches]) for n in KINDS}
    assert found["semseg"].shape == (5, 7)
    assert set(found["semseg"].flatten().tolist()) == {int(labelled["semseg"].flatten().mode().values)}
    assert torch.allclose(found["depth"], labelled["depth"].mean(), atol=1e-4)
    direction = labelled["normals"].mean((0, 2, 3))
    assert torch.allclose(found["normals"][:, 0, 0], direction / direction.norm(), atol=1e-5)


def test_a_constant_without_a_label_is_not_ready() -> None:
    model = KINDS["depth"].behaviour.trivials(KINDS["depth"])["constant"]
    model.add(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))
    assert not model.ready


def test_random_strengths_are_of_every_share_and_of_the_image_alone() -> None:
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    model = RandomStrengths()
    strengths = EDGES.decode(model.predict(images, 0))
    for threshold in (0.05, 0.5, 0.9):
        share = (1 - threshold) ** 3 / 2
        error = (share * (1 - share) / strengths.numel()) ** 0.5
        assert float((strengths > threshold).float().mean()) == pytest.approx(share, abs=4 * error)
    assert torch.equal(EDGES.decode(model.predict(images[1:2], 0))[0], strengths[1])  # whatever came before
    assert not torch.equal(EDGES.decode(model.predict(images, 1)), strengths)


def squares(blurred: float, seed: int) -> tuple[Tensor, Tensor]:
    """A grey square on another grey with noise, and its outline; 0.011 of the diagonal is more than a pixel."""
    rng = np.random.default_rng(seed)
    image = np.full((96, 96), 90, np.float32)
    image[24:72, 24:72] = 160
    image = np.clip(cv2.GaussianBlur(image, (0, 0), blurred) + rng.normal(0, 4, image.shape), 0, 255)
    edges = np.zeros((96, 96), np.float32)
    cv2.rectangle(edges, (24, 24), (71, 71), 1.0)
    pixels = torch.from_numpy(image / 255).float().expand(1, 3, 96, 96)
    return pixels, torch.from_numpy(edges).view(1, 1, 96, 96)


def score(model: Any, image: Tensor, target: Tensor) -> float:
    meter = EDGES.meter()
    meter.update(model.predict(image, 0), target)
    return meter.compute()[EDGES.headline]


def test_canny_takes_what_suits_the_training_labels() -> None:
    model = EDGES.behaviour.trivials(EDGES)["canny"]
    assert isinstance(model, Canny)
    assert not model.ready
    model.add(*squares(2.0, 0))
    image, target = squares(2.0, 1)
    best = score(model, image, target)
    assert best > 0.95
    assert model.ready
    assert score(RandomStrengths(), image, target) < 0.3
    blur, upper = model.chosen or (0, 0)
    grey = (image[0, 0] * 255).round().numpy().astype(np.uint8)
    grey = cv2.GaussianBlur(grey, (0, 0), blur) if blur else grey
    wanted = cv2.Canny(grey, 0.4 * upper, upper, L2gradient=True) > 0
    assert np.array_equal(EDGES.decode(model.predict(image, 0))[0, 0].numpy() > 0.5, wanted)


def test_canny_chooses_by_the_headline_of_the_task() -> None:
    region = make_task("saliency", "boundary")  # pixelwise F1: everywhere is better than an outline
    image, _ = squares(2.0, 0)
    target = torch.zeros(1, 1, 96, 96)
    target[..., 24:72, 24:72] = 1
    found = {}
    for name, model in region.behaviour.trivials(region).items():
        model.add(image, target)
        meter = region.meter()
        meter.update(model.predict(image, 0), target)
        found[name] = meter.compute()["f1/t0.5"]
    assert found["everywhere"] == pytest.approx(2 * 0.25 / 1.25)
    assert found["nowhere"] == 0
    assert found["canny"] < found["everywhere"]
