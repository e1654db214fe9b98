"""Convolutional encoders behind the backbones' contract: timm's ResNets at output stride 16, the small one bundled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import GroupNorm
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.weights import IMAGENET_MEAN, IMAGENET_STD, digest_of, load_fitting, read_state

BUNDLED_CNN = "resnet_pico"
OUTPUT_STRIDE = 16  # as DeepLab: the last stage is dilated instead of strided


class CnnBackbone(nn.Module):
    """A timm ResNet as an encoder of four levels, at strides 4, 8, 16 and 16.

    Batch norm: where the weights are pretrained, its statistics stay those of the pretraining, also in training (its
    scale and shift are trained). Batches of 8 or less make poor statistics, and a mean that moves is a third source of
    difference between training and evaluation. Networks with random weights have none yet and use the batch's.
    ``resnet_pico`` has group norm and does not depend on the batch at all.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        net: ResNet,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        *,
        frozen_statistics: bool = False,
    ) -> None:
        """Wrap ``net``; ``frozen_statistics``: batch norm keeps the statistics it has."""
        super().__init__()
        self.name = name
        self.net = net
        self.frozen_statistics = frozen_statistics
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.train()

    @property
    def _levels(self) -> list[dict[str, Any]]:
        """What timm says of the four stages; the first entry is the stem."""
        return list(self.net.feature_info)[1:]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(int(info["num_chs"]) for info in self._levels)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per position of each level, finest first."""
        return tuple(int(info["reduction"]) for info in self._levels)

    @property
    def stride(self) -> int:
        """Pixels per position of the last level; images are padded to a multiple of it."""
        return self.strides[-1]

    def train(self, mode: bool = True) -> CnnBackbone:
        """Switch modes; frozen statistics stay frozen."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) in 0..1 and pad it right and bottom, by its border, to a multiple of the stride."""
        h, w = image.shape[-2:]
        image = F.pad(image, (0, -w % self.stride, 0, -h % self.stride), mode="replicate")
        return (image - self.mean) / self.std

    def features(self, image: Tensor, *, grad: bool = False) -> list[Tensor]:
        """Outputs of the four stages, (B, h_i, w_i, C_i), finest first; without gradients unless ``grad``."""
        with nullcontext() if grad else torch.no_grad():
            run: Any = self.net.forward_intermediates  # its type does not know that only tensors come back
            levels = run(self.prepare(image), indices=[1, 2, 3, 4], intermediates_only=True)
        return [level.permute(0, 2, 3, 1) for level in levels]

    def digest(self) -> str:
        """SHA-256 over the names and values of the weights; saved with a run and compared when it is loaded."""
        return digest_of(self.net)


def is_resnet(name: str) -> bool:
    """True for the bundled CNN and for what timm says is one of its ResNets (a tag after a point is allowed)."""
    return name == BUNDLED_CNN or name.split(".")[0] in timm.list_models(module="resnet")


def load_cnn(name: str = BUNDLED_CNN, weights: str = "auto", *, seed: int = 0) -> CnnBackbone:
    """Build a convolutional encoder; arguments and errors as :func:`vtadapt.models.backbone.load_backbone`."""
    bundled = name == BUNDLED_CNN
    if weights == "auto" and not bundled:
        raise ConfigError(
            f"no weights for backbone {name!r}: of the CNNs only {BUNDLED_CNN!r} is bundled; add --weights FILE, "
            "--weights timm (downloads) or --weights random"
        )
    if weights == "timm" and bundled:
        raise ConfigError(f"timm has no weights for {BUNDLED_CNN!r}; use --weights auto (bundled), random or FILE")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build_resnet_pico(resnet_pico_config()) if bundled else _build(name, weights == "timm")
    if weights == "auto":
        with resources.as_file(resources.files("vtadapt").joinpath("assets", name, "model.safetensors")) as file:
            load_cnn_weights(net, Path(file))
    elif weights not in ("random", "timm"):
        load_cnn_weights(net, Path(weights))
    if bundled:
        return CnnBackbone(name, net)
    cfg: Any = net.default_cfg
    return CnnBackbone(name, net, tuple(cfg["mean"]), tuple(cfg["std"]), frozen_statistics=weights != "random")


def _build(name: str, pretrained: bool) -> ResNet:
    try:
        net = timm.create_model(name, pretrained=pretrained, num_classes=0, output_stride=OUTPUT_STRIDE)
    except OSError as error:
        raise ConfigError(f"could not get timm's weights of {name!r} ({error}); use --weights FILE") from error
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        raise ConfigError(f"timm cannot build {name!r} at output stride {OUTPUT_STRIDE} ({error})") from error
    if not isinstance(net, ResNet):
        raise ConfigError(f"backbone {name!r} is a {type(net).__name__}; wanted a ResNet of timm")
    return net


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


def resnet_pico_config() -> dict[str, Any]:
    """Read the bundled CNN's ``config.json``."""
    text = resources.files("vtadapt").joinpath("assets", BUNDLED_CNN, "config.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def load_cnn_weights(net: ResNet, path: Path) -> None:
    """Load a timm checkpoint of this ResNet into ``net``; the classification head is left out.

    Raises:
        ConfigError: weights are missing or have other shapes; the message names the first of them.
    """
    state = {k: v if v.dtype == torch.long else v.float() for k, v in read_state(path).items()}
    state = {k: v for k, v in state.items() if not k.startswith("fc.")}
    # Older checkpoints lack the counters of batch norm, which nothing here reads.
    load_fitting(net, state, path, optional=lambda key: key.endswith("num_batches_tracked"))
