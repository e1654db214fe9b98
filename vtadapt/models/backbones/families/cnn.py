"""Convolutional encoders behind the backbones' contract: timm's ResNets at output stride 16, the small one bundled."""

from __future__ import annotations

from typing import Any, ClassVar

from vtadapt.models.backbones.families.pyramid import PyramidBackbone

OUTPUT_STRIDE = 16  # as DeepLab: the last stage is dilated instead of strided


class CnnBackbone(PyramidBackbone):
    """A timm ResNet as an encoder of four levels, at strides 4, 8, 16 and 16.

    ``resnet_pico`` has group norm and does not depend on the batch at all.
    """

    options: ClassVar[dict[str, Any]] = {"output_stride": OUTPUT_STRIDE}
