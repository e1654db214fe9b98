"""``vtadapt backbones``: the catalogue, one encoder, the store."""

from __future__ import annotations

import json

import pytest

from vtadapt.models.backbones.catalogue import CATALOGUE
from vtadapt.models.backbones.weights import store


@pytest.fixture
def typed(cli, tmp_path, monkeypatch):
    """Run ``vtadapt backbones`` with a store of its own; gives what it printed."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> str:
        ran = cli("backbones", *arguments)
        assert ran.code == 0, ran.err
        return ran.out

    return run


def test_all_encoders_are_listed_with_what_to_type(typed):
    listed = json.loads(typed("--json"))
    assert [each["name"] for each in listed] == [each.name for each in CATALOGUE]
    (one,) = (each for each in listed if each["name"] == "vit_base_patch16_dinov3")
    assert one["commercial"] == "with conditions" and "military" in one["conditions"]
    assert one["type"] == "vtadapt train rooms --backbone vit_base_patch16_dinov3 --weights timm"
    lines = typed().splitlines()
    (row,) = (line for line in lines if " vit_base_patch16_dinov3 " in line)
    assert [word for word in row.split() if word[0].isdigit()] == ["85.6", "16", "51.8", "0.373"]


def test_one_encoder_is_described_with_the_source_of_its_figures(typed):
    assert json.loads(typed("vit_small_patch14_dinov2", "--json"))["figures"][1] == {
        "data": "NYU-Depth v2",
        "metric": "RMSE m",
        "value": 0.417,
        "protocol": "linear, 4 layers",
        "source": "github.com/facebookresearch/dinov2, MODEL_CARD.md",
    }
    text = typed("vit_small_patch14_dinov2")
    assert "RMSE m 0.417 (linear, 4 layers; github.com/facebookresearch/dinov2, MODEL_CARD.md)" in text


def test_the_store_is_listed_and_struck_from(typed, tmp_path):
    assert json.loads(typed("--store", "--json")) == []
    for number, name in enumerate(("one", "two")):
        (tmp_path / name).write_bytes(b"x" * 2_000_000)
        store.remember(tmp_path / name, f"{number:064x}", name)
    (tmp_path / "one").unlink()
    there = {e["backbone"]: [p["there"] for p in e["places"]] for e in json.loads(typed("--store", "--json"))}
    assert there == {"one": [False], "two": [True]}
    assert "2.0" in typed("--store")
    assert [e["backbone"] for e in json.loads(typed("--forget", "gone", "--json"))] == ["one"]
    assert "1 forgotten" in typed("--forget", "two")
    assert (tmp_path / "two").exists() and json.loads(typed("--store", "--json")) == []


def test_a_name_and_the_store_do_not_go_together(cli):
    ran = cli("backbones", "swin_pico", "--store")
    assert ran.code == 2 and "--store" in ran.err
