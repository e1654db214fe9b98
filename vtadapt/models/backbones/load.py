"""From the name of an encoder to the network behind its contract, with its weights."""

from __future__ import annotations

import warnings
from importlib import resources
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer, checkpoint_filter_fn
from torch import nn

from vtadapt.errors import ConfigError, near_matches
from vtadapt.models.backbones.base import Encoder
from vtadapt.models.backbones.bundled import CNN, SWIN, build_pico, build_resnet_pico, config_of, initialisation
from vtadapt.models.backbones.cnn import OUTPUT_STRIDE, CnnBackbone, load_cnn_weights
from vtadapt.models.backbones.swin import SwinBackbone
from vtadapt.models.weights import IMAGENET_MEAN, IMAGENET_STD, load_fitting, read_state

BUNDLED = (SWIN, CNN)
COMPUTED = ("attn_mask", "relative_position_index")  # buffers of older checkpoints that timm computes by itself

FAMILIES: dict[type[nn.Module], type[Encoder]] = {SwinTransformer: SwinBackbone, ResNet: CnnBackbone}
"""Class of timm -> what wraps it."""


def load_backbone(name: str = SWIN, weights: str = "auto", *, seed: int = 0) -> Encoder:
    """Build an encoder.

    Args:
        name: "swin_pico" or "resnet_pico" (bundled), or the name of any Swin or ResNet in timm; a ResNet becomes a
            :class:`CnnBackbone`, which the other systems read and adapters cannot.
        weights: "auto" (the bundled weights; other names must say where theirs come from), "random" (drawn
            from ``seed``), "timm" (timm's own pretrained weights: a download, or its cache), or a file: safetensors or
            a timm .pth, read without running code.
        seed: seed of random weights.

    Raises:
        ConfigError: unknown name, neither a Swin nor a ResNet, or weights that do not fit.
    """
    if name in BUNDLED and weights == "timm":
        raise ConfigError(f"timm has no weights for {name!r}; use --weights auto (bundled), random or FILE")
    if name not in BUNDLED:
        _check_name(name, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _build_bundled(name, weights) if name in BUNDLED else _build(name, weights)
    if weights == "auto":
        with resources.as_file(resources.files("vtadapt").joinpath("assets", name, "model.safetensors")) as file:
            _fill(net, Path(file))
    elif weights not in ("random", "timm"):
        _fill(net, Path(weights))
    return _wrap(name, net, weights)


def _check_name(name: str, weights: str) -> None:
    if name.split(".")[0] not in timm.list_models():  # a name may carry the tag of its weights after a point
        close = near_matches(name, [*BUNDLED, *timm.list_models("swin_*"), *timm.list_models("resnet*")])
        raise ConfigError(
            f"unknown backbone {name!r}; wanted {SWIN!r}, {CNN!r} or the name of a Swin or ResNet in timm.{close}"
        )
    if weights == "auto":
        raise ConfigError(
            f"no weights for backbone {name!r}: only {SWIN!r} and {CNN!r} are bundled; add --weights FILE, "
            "--weights timm (downloads) or --weights random"
        )


def _build_bundled(name: str, weights: str) -> nn.Module:
    config = config_of(name)
    return build_pico(config, weights) if name == SWIN else build_resnet_pico(config)


def _build(name: str, weights: str) -> nn.Module:
    options: dict[str, Any] = {"num_classes": 0}
    if name.split(".")[0] in timm.list_models(module="resnet"):
        options |= {"output_stride": OUTPUT_STRIDE}
    else:
        options |= {"strict_img_size": False, "drop_path_rate": 0.0, "weight_init": initialisation(weights)}
    try:
        net = timm.create_model(name, pretrained=weights == "timm", **options)
    except OSError as error:
        raise ConfigError(f"could not get timm's weights of {name!r} ({error}); use --weights FILE") from error
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"backbone {name!r} is not a Swin or ResNet of timm ({error}); "
            "wanted one such as swin_tiny_patch4_window7_224"
        ) from error
    if not isinstance(net, tuple(FAMILIES)):
        raise ConfigError(f"backbone {name!r} is a {type(net).__name__}; wanted a Swin or a ResNet of timm")
    return net


def _wrap(name: str, net: nn.Module, weights: str) -> Encoder:
    cfg: Any = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD} if name in BUNDLED else net.default_cfg
    mean, std = tuple(cfg["mean"]), tuple(cfg["std"])
    family = next(FAMILIES[c] for c in type(net).__mro__ if c in FAMILIES)
    if issubclass(family, CnnBackbone):
        frozen = name not in BUNDLED and weights != "random"
        return family(name, cast(ResNet, net), mean, std, frozen_statistics=frozen)
    return family(name, net, mean, std)


def _fill(net: nn.Module, path: Path) -> None:
    if isinstance(net, ResNet):
        load_cnn_weights(net, path)
    else:
        load_weights(net, path)


def load_weights(net: nn.Module, path: Path) -> None:
    """Load a checkpoint into ``net``; classification heads and timm's computed buffers are left out.

    Raises:
        ConfigError: weights are missing or have other shapes; the message names the first of them.
    """
    state = read_state(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm's interpolation of position biases warns about memory layout
            state = checkpoint_filter_fn(state, net)
    except (AttributeError, IndexError, KeyError, RuntimeError, ValueError):
        pass  # it walks into blocks that this backbone lacks: told below by key
    state = {k: v.float() for k, v in state.items() if not k.startswith("head.") and not k.endswith(COMPUTED)}
    load_fitting(net, state, path, optional=lambda key: key.startswith("head."))
