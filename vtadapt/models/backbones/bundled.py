"""The architectures of the bundled encoders, read from their ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from vtadapt.models.backbones.cnn import OUTPUT_STRIDE
from vtadapt.models.backbones.state_dict import load_fitting, read_state
from vtadapt.models.plain_swin import PlainSwin

SWIN, CNN = "swin_pico", "resnet_pico"
BUNDLED = (SWIN, CNN)


def config_of(name: str) -> dict[str, Any]:
    """Read a bundled encoder's ``config.json``."""
    text = resources.files("vtadapt").joinpath("assets", name, "config.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def load_pico() -> PlainSwin:
    """The bundled Swin with its bundled weights, without timm, whose import takes longer than a prediction."""
    net = PlainSwin(**config_of(SWIN)["architecture"])
    load_bundled(SWIN, net)
    return net


def load_bundled(name: str, net: nn.Module) -> None:
    """Load the bundled weights of the encoder ``name``."""
    with resources.as_file(resources.files("vtadapt").joinpath("assets", name, "model.safetensors")) as file:
        load_fitting(net, read_state(Path(file)), Path(file), optional=lambda _: False)


def build_bundled(name: str, weights: str = "random") -> nn.Module:
    """A bundled encoder's architecture as timm has it, which draws initial values and knows publishers' files.

    Args:
        name: "swin_pico" or "resnet_pico".
        weights: what it will hold.
    """
    config = config_of(name)
    return build_pico(config, weights) if name == SWIN else build_resnet_pico(config)


def build_pico(config: Mapping[str, Any], weights: str = "random") -> nn.Module:
    """Build timm's Swin in the architecture of ``config``, see :func:`build_bundled`."""
    from timm.models.swin_transformer import SwinTransformer  # here and below: seconds that predicting need not wait

    options: dict[str, Any] = {
        "num_classes": 0,
        "strict_img_size": False,
        "drop_path_rate": 0.0,
        "weight_init": initialisation(weights),
    }
    net: nn.Module = SwinTransformer(**options, **config["architecture"])
    return net


def initialisation(weights: str) -> str:
    """What timm draws as initial values of a Swin: nothing where they are about to be overwritten."""
    return "" if weights == "random" else "skip"


def build_resnet_pico(config: Mapping[str, Any]) -> nn.Module:
    """Build timm's ResNet in the architecture of ``config``: basic blocks, group norm, deep stem."""
    from timm.layers import GroupNorm
    from timm.models.resnet import BasicBlock, ResNet

    architecture = dict(config["architecture"])
    groups = architecture.pop("groups")
    block: Any = BasicBlock  # timm's type asks for an instance
    net: nn.Module = ResNet(
        block,
        num_classes=0,
        output_stride=OUTPUT_STRIDE,
        norm_layer=partial(GroupNorm, num_groups=groups),
        **architecture,
    )
    return net
