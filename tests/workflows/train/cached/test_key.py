"""The key: whatever changes a picture or its features changes it, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vtadapt.data.pack.manifest import FILE
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import make_task
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.cached import key as keys

PACK = {
    "format": "vtadapt-manifest",
    "version": 2,
    "name": "mine",
    "recipe": {"tasks": {}},
    "tasks": {},
    "splits": {"train": {"shards": [{"file": "train.h5", "bytes": 1, "sha256": "a" * 64, "samples": 3}]}},
}
TASKS = {"depth": make_task("depth", "regression")}


def network(settings: TrainSettings) -> MultitaskModel:
    return build_model(settings, TASKS)


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / FILE).write_text(json.dumps(PACK))
    return TrainSettings(data="mine", data_dir=tmp_path, augment_views=2)


def key(
    settings: TrainSettings,
    model: MultitaskModel | None = None,
    size: tuple[int, int] = (48, 64),
    precision: str = "32-true",
    device: str = "cpu",
) -> str:
    about = keys.identity(settings, "mine", model or network(settings), size, precision, device)
    return keys.key_of(json.loads(json.dumps(about)))


def changed(settings: TrainSettings, **changes: Any) -> TrainSettings:
    return TrainSettings(**{**settings.model_dump(), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"scale": (1.0, 1.4)},
        {"flip": False},
        {"colour_jitter": 0.1},
        {"weights": "random"},
        {"adapted_blocks": 1},
        {"method": "linear"},
    ],
    ids=str,
)
def test_settings_that_change_pictures_or_features_change_the_key(settings: TrainSettings, changes: Any) -> None:
    assert key(changed(settings, **changes)) != key(settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment_views": 5},
        {"lr": 0.1},
        {"batch_size": 3},
        {"head": "stem"},
        {"adapter": "slides"},
        {"tasks": ("depth",)},
        {"method": "lora"},
        {"workers": 2},
    ],
    ids=str,
)
def test_settings_that_do_not_share_the_key(settings: TrainSettings, changes: Any) -> None:
    assert key(changed(settings, **changes)) == key(settings)


def test_linear_and_dpt_share_one(settings: TrainSettings) -> None:
    assert key(changed(settings, method="linear")) == key(changed(settings, method="dpt"))


def test_size_precision_and_device_change_the_key(settings: TrainSettings) -> None:
    model = network(settings)
    different = [
        key(settings, model),
        key(settings, model, size=(64, 48)),
        key(settings, model, precision="bf16-mixed"),
        key(settings, model, device="cuda"),
    ]
    assert len(set(different)) == 4


def test_one_weight_of_the_encoder_changes_the_key_and_one_of_the_adapters_does_not(settings: TrainSettings) -> None:
    model = network(settings)
    before = key(settings, model)
    next(iter(model.adapters.parameters())).data.add_(1)  # type: ignore[union-attr]
    assert key(settings, model) == before
    weight = next(iter(model.encoder.net.parameters())).data
    weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(9.0))
    assert key(settings, model) != before


def test_what_weights_do_not_tell_changes_the_key(settings: TrainSettings) -> None:
    model = network(settings)
    before = key(settings, model)
    model.encoder.mean += 0.01
    shifted = key(settings, model)
    model.encoder.net.layers[2].blocks[0].mlp.act = torch.nn.ReLU()
    assert len({before, shifted, key(settings, model)}) == 3


def test_another_pack_library_or_format_changes_the_key(settings: TrainSettings, monkeypatch: Any) -> None:
    model = network(settings)
    found = {key(settings, model)}
    others = [("FORMAT", 0), *(("version", {name: "0"}.get) for name in ("torch", "timm"))]
    for count, (name, other) in enumerate(others):
        with monkeypatch.context() as patch:
            patch.setattr(keys, name, other)
            found.add(key(settings, model))
        assert len(found) == count + 2
    manifest = json.loads(json.dumps(PACK))
    manifest["splits"]["train"]["shards"][0]["sha256"] = "b" * 64
    (settings.data_dir / "mine" / FILE).write_text(json.dumps(manifest))
    assert key(settings, model) not in found
