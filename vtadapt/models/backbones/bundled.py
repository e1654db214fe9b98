"""The architectures of the bundled encoders, read from their ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from vtadapt.models.backbones.families.cnn import OUTPUT_STRIDE
from vtadapt.models.backbones.plain.hybrid import PlainHybrid
from vtadapt.models.backbones.plain.swin import PlainSwin
from vtadapt.models.backbones.weights.state_dict import IMAGENET_MEAN, IMAGENET_STD, load_fitting, read_state

HYBRID, CNN = "swin_lite", "cnn_lite"
OLD_SWIN, OLD_CNN = "swin_pico", "resnet_pico"
"""The encoders of before, which have seen rendered rooms only; runs that were trained on them still need them."""

BUNDLED = (HYBRID, CNN, OLD_SWIN, OLD_CNN)


def config_of(name: str) -> dict[str, Any]:
    """Read a bundled encoder's ``config.json``."""
    text = resources.files("vtadapt").joinpath("assets", name, "config.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def statistics_of(name: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation that a bundled encoder's images are normalised by."""
    config = config_of(name)
    return config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD)


def build_plain(name: str) -> nn.Module:
    """A bundled transformer without values, and without timm, whose import takes longer than a prediction."""
    network = PlainHybrid if name == HYBRID else PlainSwin
    return network(**config_of(name)["architecture"])


def load_bundled(name: str, net: nn.Module) -> None:
    """Load the bundled weights of the encoder ``name``."""
    with resources.as_file(resources.files("vtadapt").joinpath("assets", name, "model.safetensors")) as file:
        load_fitting(net, read_state(Path(file)), Path(file), optional=lambda _: False)


def build_bundled(name: str, weights: str = "random") -> nn.Module:
    """A bundled encoder's architecture as timm has it, which draws initial values and knows publishers' files.

    Args:
        name: one of :data:`BUNDLED`; only we have :data:`HYBRID`.
        weights: what it will hold.
    """
    config = config_of(name)
    if name == OLD_SWIN:
        return build_pico(config, weights)
    return build_efficientnet(config) if name == CNN else build_resnet_pico(config)


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


def build_efficientnet(config: Mapping[str, Any]) -> nn.Module:
    """Build timm's EfficientNet of ``config`` without what comes after its last level."""
    import timm

    net: Any = timm.create_model(config["timm"], num_classes=0, output_stride=OUTPUT_STRIDE)
    net.conv_head, net.bn2 = nn.Identity(), nn.Identity()
    built: nn.Module = net
    return built


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
