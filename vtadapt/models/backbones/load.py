"""From the name of an encoder to the network behind its contract, with its weights."""

from __future__ import annotations

from pathlib import Path

import torch

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.base import Encoder
from vtadapt.models.backbones.bundled import (
    BUNDLED,
    HYBRID,
    OLD_SWIN,
    build_bundled,
    build_plain,
    load_bundled,
    statistics_of,
)
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.plain.swin import initialise
from vtadapt.models.backbones.weights.find import AUTO, RANDOM, TIMM, locate
from vtadapt.models.backbones.weights.state_dict import load_weights


def load_backbone(name: str = HYBRID, weights: str = AUTO, *, seed: int = 0) -> Encoder:
    """Build an encoder.

    Args:
        name: "swin_lite" or "cnn_lite" (bundled), or a name in timm, with the tag of its weights or without: a Swin,
            a SwinV2 or a plain ViT, which adapters can adapt, or any other encoder that gives levels of features.
        weights: "auto" (the bundled weights; other names must say where theirs come from), "random" (drawn
            from ``seed``), "timm" (timm's own: a download, or what an earlier one left), "hf-hub:ORG/NAME" (likewise),
            or a file, safetensors or .pth, in timm's layout or its publisher's, read without running code.
        seed: seed of random weights.

    Raises:
        ConfigError: unknown name, a network that gives no levels of features, or weights that do not fit.
    """
    if name in BUNDLED and weights == TIMM:
        raise ConfigError(f"timm has no weights for {name!r}; use --weights auto (bundled), random or FILE")
    if name == HYBRID or (name, weights) == (OLD_SWIN, AUTO):
        return _plain(name, weights, seed)
    from vtadapt.models.backbones.families import table  # here, since timm takes seconds to import

    if name not in BUNDLED:
        table.check_name(name, weights)
    if weights != AUTO and (path := locate(name, weights)) is not None:
        weights = str(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = table.build(name, weights, seed) if name not in BUNDLED else build_bundled(name, weights)
    if weights == AUTO:
        load_bundled(name, net)
    elif weights != RANDOM:
        load_weights(net, Path(weights))
    return table.wrap(name, net, weights, seed)


def _plain(name: str, weights: str, seed: int) -> SwinBackbone:
    """A bundled transformer that needs no library."""
    path = None if weights == AUTO else locate(name, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build_plain(name)
        if weights == AUTO:
            load_bundled(name, net)
        elif path is None:
            initialise(net)
        else:
            load_weights(net, path)
        return SwinBackbone(name, net, *statistics_of(name))
