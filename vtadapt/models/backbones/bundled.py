"""The architectures of the bundled encoders, read from their ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from importlib import resources
from typing import Any

from timm.layers import GroupNorm
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer

from vtadapt.models.backbones.cnn import OUTPUT_STRIDE

SWIN, CNN = "swin_pico", "resnet_pico"


def config_of(name: str) -> dict[str, Any]:
    """Read a bundled encoder's ``config.json``."""
    text = resources.files("vtadapt").joinpath("assets", name, "config.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def build_pico(config: Mapping[str, Any], weights: str = "random") -> SwinTransformer:
    """Build the architecture of the bundled Swin from its ``config.json``; ``weights``: what it will hold."""
    options: dict[str, Any] = {
        "num_classes": 0,
        "strict_img_size": False,
        "drop_path_rate": 0.0,
        "weight_init": initialisation(weights),
    }
    return SwinTransformer(**options, **config["architecture"])


def initialisation(weights: str) -> str:
    """What timm draws as initial values of a Swin: nothing where they are about to be overwritten."""
    return "" if weights == "random" else "skip"


def build_resnet_pico(config: Mapping[str, Any]) -> ResNet:
    """Build the architecture of the bundled CNN from its ``config.json``: basic blocks, group norm, deep stem."""
    architecture = dict(config["architecture"])
    groups = architecture.pop("groups")
    block: Any = BasicBlock  # timm's type asks for an instance
    return ResNet(
        block,
        num_classes=0,
        output_stride=OUTPUT_STRIDE,
        norm_layer=partial(GroupNorm, num_groups=groups),
        **architecture,
    )
