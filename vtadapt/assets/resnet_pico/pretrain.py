"""Pretrain ``resnet_pico`` exactly as ``swin_pico``: the same images, pretexts, losses, batches and schedule.

    python -m vtadapt.assets.resnet_pico.pretrain --images 9000 --epochs 12 --out build/resnet_pico

Everything but the encoder is :mod:`vtadapt.assets.swin_pico.pretrain`, which says what the pretexts are.
"""

from __future__ import annotations

from vtadapt.assets.swin_pico.pretrain import main
from vtadapt.models.backbones.bundled import OLD_CNN, build_resnet_pico, config_of
from vtadapt.models.backbones.families.cnn import CnnBackbone
from vtadapt.models.backbones.weights.state_dict import IMAGENET_MEAN, IMAGENET_STD


def resnet_pico() -> CnnBackbone:
    """The bundled CNN's architecture with random weights."""
    return CnnBackbone(OLD_CNN, build_resnet_pico(config_of(OLD_CNN)), IMAGENET_MEAN, IMAGENET_STD)


if __name__ == "__main__":
    main(resnet_pico, "build/resnet_pico", __doc__)
