"""Settings that a run does not read are refused, wherever they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vtadapt.errors import ConfigError
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings, load, resolve
from vtadapt.workflows.run.settings.fields import GROUPS, KEYS
from vtadapt.workflows.run.settings.reading import CONDITIONS, OF_SOME_METHODS, readers, reads


def refused(given: dict[str, Any], file: Path | None = None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve({"data": "rooms", **given}, file, environ or {})
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_setting_of_another_method_names_that_method() -> None:
    assert refused({"tawt_eta": 5}).startswith("setting 'tawt_eta' is read by method 'tawt', not by 'adapters'; leave")
    assert "'reference' is read by method 'mult', not by 'adapters'" in refused({"reference": "nonsense"})
    assert "'reduction' is read by method 'adapters', not by 'stl'" in refused({"method": "stl", "reduction": 8})
    said = refused({"method": "xtam", "own_first": 0.1})
    assert "read by methods 'adapters', 'lora', 'mtl-cnn', 'consistency', 'tawt' and 'mult', not by 'xtam'" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"affinity": "identity", "troa_every": 3}, "read only with affinity=troa or troa_weights=true"),
        (
            {"held": "depth"},
            "read only by a run that starts from another; leave it out, or name that with --set start=",
        ),
        ({"rehearse": "rooms"}, "read only by a run that starts from another"),
        (
            {"adversarial_weight": 0.1},
            "read only with a target and strategy=adversarial or both; leave it out, or name",
        ),
        ({"match_camera": True}, "read only with a target"),
        ({"backbone_lr_scale": 0.1}, "read only where the backbone is trained; leave it out, or set train_blocks"),
        ({"decoder": "swin", "decoder_width": 64}, "read only by the light and aspp decoders"),
        ({"decoder": "swin", "head": "stem"}, "read only by the light and aspp decoders"),
        ({"method": "dpt", "head": "stem"}, "setting 'head' is read by"),
    ],
)
def test_a_setting_without_what_it_belongs_to(given: dict[str, Any], said: str) -> None:
    assert said in refused(given)


@pytest.mark.parametrize(
    "given",
    [
        {"affinity": "identity", "troa_weights": True, "troa_every": 3},
        {"start": "a", "held": "depth", "affinity": "start"},
        {"target": "camvid", "adversarial_weight": 0.1},
        {"train_blocks": "full", "backbone_lr_scale": 0.1},
        {"method": "tawt", "tawt_eta": 5, "backbone_lr_scale": 0.1},
        {"method": "stl", "decoder": "aspp", "decoder_width": 64},
    ],
)
def test_with_it_the_same_setting_is_taken(given: dict[str, Any]) -> None:
    settings = resolve({"data": "rooms", **given}, None, {})
    assert all(settings.changed(key) for key in given)


def test_what_was_typed_counts_at_its_default_too() -> None:
    assert "'tawt_eta' is read by" in refused({"tawt_eta": 1.0})
    assert refused({}, environ={"VTADAPT_TAWT_ETA": "1"}).startswith("VTADAPT_TAWT_ETA: setting 'tawt_eta' is read by")


def test_a_file_may_name_everything_at_its_default(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(TrainSettings(data="rooms").to_yaml(), encoding="utf-8")
    assert resolve({"method": "linear"}, file, {}).method == "linear"
    file.write_text(TrainSettings(data="rooms", reduction=8).to_yaml(), encoding="utf-8")
    assert resolve({}, file, {}).reduction == 8
    assert f"settings {str(file)!r}: setting 'reduction' is read by" in refused({"method": "linear"}, file)


def test_runs_from_before_load_with_what_they_never_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(TrainSettings(data="rooms", tawt_eta=5, reference="x").to_yaml(), encoding="utf-8")
    assert load(file).tawt_eta == 5


@pytest.mark.parametrize("method", METHODS)
def test_every_default_is_fine_for_every_method(method: str) -> None:
    assert resolve({"data": "rooms", "method": method}, None, {}).method == method
    assert {key for key in KEYS if reads(method, key)} >= {"data", "lr", "seed", "size", "start", "loss_weights"}


def test_every_setting_belongs_to_one_group_is_described_and_read_by_somebody() -> None:
    assert sorted(KEYS) == sorted(TrainSettings.model_fields)
    for key, field in TrainSettings.model_fields.items():
        assert field.description, key
        assert readers(key), key
    own = [key for method in METHODS.values() for key in method.own]
    assert {*own, *OF_SOME_METHODS, *CONDITIONS} <= set(KEYS)
    assert not {*own} & OF_SOME_METHODS.keys(), "who reads it is said once"
    for name in GROUPS.keys() & METHODS.keys():
        assert set(GROUPS[name].model_fields) <= set(METHODS[name].own), name
