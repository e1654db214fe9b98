"""Convolutional encoders behind the backbones' contract: timm's ResNets at output stride 16, the small one bundled."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn

from vtadapt.models.backbones.base import Encoder
from vtadapt.models.weights import load_fitting, read_state

OUTPUT_STRIDE = 16  # as DeepLab: the last stage is dilated instead of strided


class CnnBackbone(Encoder):
    """A timm ResNet as an encoder of four levels, at strides 4, 8, 16 and 16.

    Batch norm: where the weights are pretrained, its statistics stay those of the pretraining, also in training (its
    scale and shift are trained). Batches of 8 or less make poor statistics, and a mean that moves is a third source of
    difference between training and evaluation. Networks with random weights have none yet and use the batch's.
    ``resnet_pico`` has group norm and does not depend on the batch at all.
    """

    def __init__(
        self, name: str, net: ResNet, mean: Sequence[float], std: Sequence[float], *, frozen_statistics: bool = False
    ) -> None:
        """Wrap ``net``; ``frozen_statistics``: batch norm keeps the statistics it has."""
        super().__init__(name, net, mean, std)
        self.frozen_statistics = frozen_statistics
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
    def strides(self) -> tuple[float, ...]:
        """Pixels per position of each level, finest first."""
        return tuple(int(info["reduction"]) for info in self._levels)

    def train(self, mode: bool = True) -> CnnBackbone:
        """Switch modes; frozen statistics stay frozen."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def features(self, image: Tensor, *, grad: bool = False) -> list[Tensor]:
        """Outputs of the four stages, (B, h_i, w_i, C_i), finest first; without gradients unless ``grad``."""
        with nullcontext() if grad else torch.no_grad():
            run: Any = self.net.forward_intermediates  # its type does not know that only tensors come back
            levels = run(self.prepare(image), indices=[1, 2, 3, 4], intermediates_only=True)
        return [level.permute(0, 2, 3, 1) for level in levels]


def load_cnn_weights(net: ResNet, path: Path) -> None:
    """Load a timm checkpoint of this ResNet into ``net``; the classification head is left out.

    Raises:
        ConfigError: weights are missing or have other shapes; the message names the first of them.
    """
    # Files of half precision are widened; counters of batch norm have to stay whole numbers.
    state = {k: v if v.dtype == torch.long else v.float() for k, v in read_state(path).items()}
    # The head of ImageNet's classes is of no use here.
    state = {k: v for k, v in state.items() if not k.startswith("fc.")}
    # Older checkpoints lack the counters of batch norm, which nothing here reads.
    load_fitting(net, state, path, optional=lambda key: key.endswith("num_batches_tracked"))
