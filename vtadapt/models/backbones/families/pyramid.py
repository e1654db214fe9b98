"""Encoders that are pyramids by themselves: whatever gives levels of features in timm, for methods without adapters."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor, nn

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.base import Encoder

LEVELS = 4


class PyramidBackbone(Encoder):
    """An encoder whose last four levels of features are read: ConvNeXt, Hiera, EfficientNet and most others of timm.

    Batch norm: where the weights are pretrained, its statistics stay those of the pretraining, also in training (its
    scale and shift are trained). Batches of 8 or less make poor statistics, and a mean that moves is a third source of
    difference between training and evaluation. Networks with random weights have none yet and use the batch's.
    """

    def __init__(
        self, name: str, net: nn.Module, mean: Sequence[float], std: Sequence[float], *, frozen_statistics: bool = False
    ) -> None:
        """Wrap ``net``; ``frozen_statistics``: batch norm keeps the statistics it has.

        Raises:
            ConfigError: timm's network gives no levels of features, or not for images of any size.
        """
        super().__init__(name, net, mean, std)
        if not hasattr(net, "forward_intermediates") or not getattr(net, "feature_info", None):
            raise ConfigError(f"backbone {name!r} is a {type(net).__name__} of timm, which gives no levels of features")
        self.frozen_statistics = frozen_statistics
        self.train()
        self._check()

    def _check(self) -> None:
        """Run an image once: many encoders of timm take one size only, or multiples of their windows."""
        side = 3 * self.stride
        self.net.eval()
        try:
            with torch.no_grad():
                self.features(torch.zeros(1, 3, side, side + self.stride))
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"backbone {self.name!r}, a {type(self.net).__name__}, does not take images of any size ({reason}); "
                "wanted another, such as convnext_tiny"
            ) from error
        self.train()

    @property
    def _told(self) -> list[dict[str, Any]]:
        """What timm says of the levels, finest first."""
        return list(self.net.feature_info)[-LEVELS:]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(int(info["num_chs"]) for info in self._told)

    @property
    def strides(self) -> tuple[float, ...]:
        """Pixels per position of each level, finest first."""
        return tuple(int(info["reduction"]) for info in self._told)

    def train(self, mode: bool = True) -> Self:
        """Switch modes; frozen statistics stay frozen."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def features(self, image: Tensor, *, grad: bool = False) -> list[Tensor]:
        """Outputs of the four levels, (B, h_i, w_i, C_i), finest first; without gradients unless ``grad``."""
        with nullcontext() if grad else torch.no_grad():
            levels: list[Tensor] = self.net.forward_intermediates(
                self.prepare(image), indices=len(self._told), intermediates_only=True, output_fmt="NCHW"
            )
        return [level.permute(0, 2, 3, 1) for level in levels]
