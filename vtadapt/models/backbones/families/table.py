"""The encoders of timm: built by name, and wrapped by what their family needs."""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.models.eva import Eva
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vtadapt.errors import ConfigError, near_matches
from vtadapt.models.backbones.base import Encoder
from vtadapt.models.backbones.bundled import BUNDLED, CNN, HYBRID, initialisation, statistics_of
from vtadapt.models.backbones.families.cnn import CnnBackbone
from vtadapt.models.backbones.families.pyramid import PyramidBackbone
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.families.swinv2 import SwinV2Backbone
from vtadapt.models.backbones.families.vit import EvaBackbone, ViTBackbone
from vtadapt.models.backbones.weights.find import ACCEPTED

FAMILIES: dict[type[nn.Module], type[Encoder]] = {
    SwinTransformer: SwinBackbone,
    SwinTransformerV2: SwinV2Backbone,
    VisionTransformer: ViTBackbone,
    Eva: EvaBackbone,
    ResNet: CnnBackbone,
}
"""Class of timm -> what wraps it; whatever is not here and gives levels of features is a :class:`PyramidBackbone`."""

WANTED = "wanted a Swin, SwinV2, plain ViT, Eva, ResNet or another encoder of timm that gives levels of features"


def check_name(name: str, weights: str) -> None:
    """See that timm has an encoder, and that it is said where its weights come from.

    Raises:
        ConfigError: unknown name, or ``weights`` are "auto".
    """
    bare = name.split(".")[0]  # a name may carry the tag of its weights after a point
    if not timm.is_model(bare):
        close = near_matches(name, [*BUNDLED, *timm.list_models()])
        raise ConfigError(
            f"unknown backbone {name!r}; wanted {HYBRID!r}, {CNN!r} or the name of an encoder in timm.{close}"
        )
    if weights == "auto":
        raise ConfigError(f"no weights for backbone {name!r}: only {HYBRID!r} and {CNN!r} are bundled; add {ACCEPTED}")


def build(name: str, weights: str, seed: int) -> nn.Module:
    """Build an encoder of timm with initial values.

    Args:
        name: in timm.
        weights: what it will hold, as for :func:`vtadapt.models.backbones.load.load_backbone`.
        seed: of the initial values.

    Raises:
        ConfigError: it takes one size of images only.
    """
    family = family_of(name)
    torch.manual_seed(seed)
    options: dict[str, Any] = {"num_classes": 0, **family.options}
    if family is SwinBackbone:
        options["weight_init"] = initialisation(weights)
    try:
        net: nn.Module = timm.create_model(name, pretrained=False, **options)
    except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"backbone {name!r} cannot be built for images of any size ({reason}); {WANTED}") from error
    return net


def family_of(name: str) -> type[Encoder]:
    """What wraps the network ``name`` of timm, by its class; it is built without memory for that."""
    with torch.device("meta"):
        return wrapper_of(timm.create_model(name, pretrained=False))


def wrapper_of(net: nn.Module) -> type[Encoder]:
    """What wraps a network of timm."""
    return next((FAMILIES[kind] for kind in type(net).__mro__ if kind in FAMILIES), PyramidBackbone)


def wrap(name: str, net: nn.Module, weights: str, seed: int = 0) -> Encoder:
    """A network of timm behind the contract; its images are normalised as timm says.

    Args:
        name: what the user calls it.
        net: built with the ``options`` of its wrapper.
        weights: where they come from, as for :func:`vtadapt.models.backbones.load.load_backbone`.
        seed: of the initial values of what a wrapper adds.
    """
    told: Any = getattr(net, "default_cfg", None)
    mean, std = statistics_of(name) if name in BUNDLED else (tuple(told["mean"]), tuple(told["std"]))
    family = wrapper_of(net)
    if issubclass(family, PyramidBackbone):
        return family(name, net, mean, std, frozen_statistics=weights != "random")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family(name, net, mean, std)
