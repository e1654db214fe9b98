"""The bundled CNN encoder: there, small, loadable, made from the images and in the way of the bundled Swin."""

from __future__ import annotations

import json
from importlib import resources

import torch

from vtadapt.models.backbones.load import load_backbone

ASSETS = resources.files("vtadapt") / "assets"
FOLDER = ASSETS / "resnet_pico"


def test_the_bundled_weights_are_small_and_load():
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000
    backbone = load_backbone("resnet_pico")
    assert backbone.digest() != load_backbone("resnet_pico", "random").digest()
    assert all(torch.isfinite(x).all() for x in backbone.features(torch.rand(1, 3, 128, 128)))


def test_it_was_made_as_the_bundled_swin():
    cnn, swin = (json.loads((ASSETS / name / "training.json").read_text()) for name in ("resnet_pico", "swin_pico"))
    assert cnn["settings"] == swin["settings"]
    assert cnn["epoch"] == swin["epoch"]


def test_its_readme_is_complete():
    assert "TO FILL" not in (FOLDER / "README.md").read_text(encoding="utf-8")
