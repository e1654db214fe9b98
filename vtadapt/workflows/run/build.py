"""From settings to the network of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.base import Backbone, Encoder
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.methods import METHODS, listed
from vtadapt.workflows.run.settings import TrainSettings


def build_model(settings: TrainSettings, tasks: Mapping[str, Task]) -> MultitaskModel:
    """The network of the method that the settings name; initial values are drawn from the seed.

    Settings that have the name of a field of the network's ``Config`` go there; None leaves the field's own default.

    Raises:
        ConfigError: a decoder that the method does not have, or a backbone that it cannot use.
    """
    method = METHODS[settings.method]
    if settings.decoder is not None and settings.decoder not in method.decoders:
        has = f"wanted {listed([*method.decoders])}" if method.decoders else "it has none to choose"
        raise ConfigError(f"decoder {settings.decoder!r} is not for method {settings.method!r}; {has}")
    network: Any = method.network()
    backbone = load_encoder(settings)
    given = {f.name: getattr(settings, f.name, None) for f in fields(network.Config)}
    config = network.Config(**{key: value for key, value in given.items() if value is not None})
    channels = {name: task.channels for name, task in tasks.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model: MultitaskModel = network(backbone, channels, config)
    return model


def load_encoder(settings: TrainSettings) -> Encoder:
    """The backbone as it is before training.

    Raises:
        ConfigError: the method needs another kind, or it has fewer blocks than ``adapted_blocks``.
    """
    method = METHODS[settings.method]
    backbone = load_backbone(settings.encoder, settings.weights, seed=settings.seed)
    if method.needs == "transformer" and not isinstance(backbone, Backbone):
        raise ConfigError(
            f"method {settings.method!r} wants a Swin, SwinV2 or plain ViT of timm, or swin_lite; found "
            f"{settings.encoder!r}, a {type(backbone.net).__name__}"
        )
    if "adapted_blocks" in method.own and settings.adapted_blocks is not None and isinstance(backbone, Backbone):
        backbone.adapt_last(settings.adapted_blocks)
    return backbone
