"""A backbone whose attention is far from uniform, and a model on it, for the tests of captured attention."""

from __future__ import annotations

import pytest
import torch

from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


@pytest.fixture
def backbone() -> SwinBackbone:
    backbone = load_backbone(weights="random", seed=3)
    torch.manual_seed(2)
    for stage in backbone.adapted_stages:
        for block in (adapted.module for adapted in stage.blocks):
            # Weights of any size are as good; these make attention that is far from uniform.
            block.attn.relative_position_bias_table.data.normal_()
            block.attn.qkv.weight.data.mul_(4)
            block.attn.qkv.bias.data.normal_()
    return backbone


@pytest.fixture
def model(backbone: SwinBackbone) -> AdaptedModel:
    torch.manual_seed(0)
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig()).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model
