"""Convolutional encoders behind the backbones' contract: timm's ResNets at output stride 16, the small one bundled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from timm.models.resnet import ResNet

from vtadapt.models.backbones.pyramid import PyramidBackbone
from vtadapt.models.weights import load_fitting, read_state

OUTPUT_STRIDE = 16  # as DeepLab: the last stage is dilated instead of strided


class CnnBackbone(PyramidBackbone):
    """A timm ResNet as an encoder of four levels, at strides 4, 8, 16 and 16.

    ``resnet_pico`` has group norm and does not depend on the batch at all.
    """

    options: ClassVar[dict[str, Any]] = {"output_stride": OUTPUT_STRIDE}


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
