"""Encoders worth taking, with what was published of them. Figures stand as their source has them, and none without one.

To add one, write an entry with the name that timm has for it; ``tests/models/backbones/test_catalogue.py`` holds
parameters, patch and licence against timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vtadapt.errors import UsageError, near_matches

APACHE, MIT, DINOV3 = "Apache-2.0", "MIT", "DINOv3 License"
COMMERCIAL: Mapping[str, str] = {
    APACHE: "yes",
    MIT: "yes",
    DINOV3: "with conditions",
}
"""Licence -> whether weights under it may be used commercially."""

CONDITIONS: Mapping[str, str] = {
    DINOV3: "royalty-free, also commercially; it is passed on with the weights, publications acknowledge them, and "
    "military, nuclear, espionage and arms uses are ruled out",
}
"""Licence -> what it asks for beyond naming the authors."""

_DINOV2 = "github.com/facebookresearch/dinov2, MODEL_CARD.md"
_DINOV3 = "github.com/facebookresearch/dinov3, MODEL_CARD.md"
_PE = "github.com/facebookresearch/perception_models, README.md"


@dataclass(frozen=True)
class Figure:
    """A published result of a small head on the frozen encoder.

    Attributes:
        data: data set.
        metric: with its unit; higher is better for mIoU, lower for RMSE.
        value: as published.
        protocol: the head and what else the source says of it.
        source: repository and file that say so.
    """

    data: str
    metric: str
    value: float
    protocol: str
    source: str

    @property
    def text(self) -> str:
        """The value with the digits that it is published with."""
        return f"{self.value:.1f}" if self.metric.startswith("mIoU") else f"{self.value:.3f}"


@dataclass(frozen=True)
class Known:
    """An encoder of the catalogue.

    Attributes:
        name: as ``--backbone`` takes it.
        parameters: without a classifier.
        patch: pixels per token of the first layer.
        licence: of the weights.
        trained_on: what the weights were pretrained on, and how.
        figures: published results.
        bundled: whether its weights come with vtadapt.
    """

    name: str
    parameters: int
    patch: int
    licence: str
    trained_on: str
    figures: tuple[Figure, ...] = ()
    bundled: bool = False

    @property
    def commercial(self) -> str:
        """Whether it may be used commercially."""
        return COMMERCIAL[self.licence]

    @property
    def line(self) -> str:
        """What to type to train with it."""
        return f"vtadapt train rooms --backbone {self.name}" + ("" if self.bundled else " --weights timm")

    def to_dict(self) -> dict[str, Any]:
        """As ``vtadapt backbones --json`` prints it."""
        conditions = CONDITIONS.get(self.licence)
        return {**asdict(self), "commercial": self.commercial, "conditions": conditions, "type": self.line}


def _dinov2(miou: float, rmse: float) -> tuple[Figure, ...]:
    return (
        Figure("ADE20K", "mIoU %", miou, "linear, multi-scale", _DINOV2),
        Figure("NYU-Depth v2", "RMSE m", rmse, "linear, 4 layers", _DINOV2),
    )


def _dinov3(miou: float, rmse: float) -> tuple[Figure, ...]:
    protocol = "frozen, as in arXiv:2508.10104"
    return (
        Figure("ADE20K", "mIoU %", miou, protocol, _DINOV3),
        Figure("NYU-Depth v2", "RMSE m", rmse, protocol, _DINOV3),
    )


def _pe(miou: float) -> tuple[Figure, ...]:
    return (Figure("ADE20K", "mIoU %", miou, "linear probe", _PE),)


_ROOMS = "9000 synthetic rooms: albedo, shading, height and object identity"
_DISTILLED = "EfficientNet-Lite0 (ImageNet-1k, classes), distilled on photographs and rendered scenes"
_LVD142M = "LVD-142M, self-supervised (DINOv2)"
_LVD1689M = "LVD-1689M, self-supervised (DINOv3)"
_SPATIAL = "images and captions, then aligned to places in the image (Perception Encoder)"
_WEBLI, _LINGBOT = "WebLI (TIPSv2)", "LingBot-Vision, arXiv:2607.05247"
_IN1K, _IN22K = "ImageNet-1k, classes", "ImageNet-22k and -1k, classes"
_MIM = "ImageNet-22k, masked modelling of a language-image encoder's features (EVA-02)"

CATALOGUE: tuple[Known, ...] = (
    Known("swin_lite", 3_621_536, 4, APACHE, _DISTILLED, bundled=True),
    Known("swin_pico", 3_085_564, 4, APACHE, _ROOMS, bundled=True),
    Known("swin_tiny_patch4_window7_224", 27_519_354, 4, MIT, _IN1K),
    Known("swin_small_patch4_window7_224", 48_837_258, 4, MIT, _IN22K),
    Known("swin_base_patch4_window7_224", 86_743_224, 4, MIT, _IN22K),
    Known("swinv2_tiny_window8_256", 27_578_154, 4, MIT, _IN1K),
    Known("vit_small_patch14_dinov2", 22_056_192, 14, APACHE, _LVD142M, _dinov2(47.2, 0.417)),
    Known("vit_base_patch14_dinov2", 86_579_712, 14, APACHE, _LVD142M, _dinov2(51.3, 0.362)),
    Known("vit_large_patch14_dinov2", 304_367_616, 14, APACHE, _LVD142M, _dinov2(53.1, 0.333)),
    Known("vit_small_patch14_reg4_dinov2", 22_057_344, 14, APACHE, _LVD142M),
    Known("vit_base_patch14_reg4_dinov2", 86_582_016, 14, APACHE, _LVD142M),
    Known("vit_large_patch14_reg4_dinov2", 304_370_688, 14, APACHE, _LVD142M),
    Known("vit_small_patch16_dinov3", 21_586_944, 16, DINOV3, _LVD1689M, _dinov3(47.0, 0.403)),
    Known("vit_small_plus_patch16_dinov3", 28_683_264, 16, DINOV3, _LVD1689M, _dinov3(48.8, 0.399)),
    Known("vit_base_patch16_dinov3", 85_641_216, 16, DINOV3, _LVD1689M, _dinov3(51.8, 0.373)),
    Known("vit_large_patch16_dinov3", 303_079_424, 16, DINOV3, _LVD1689M, _dinov3(54.9, 0.352)),
    Known("vit_pe_spatial_tiny_patch16_512", 5_683_200, 16, APACHE, _SPATIAL, _pe(27.6)),
    Known("vit_pe_spatial_small_patch16_512", 21_983_232, 16, APACHE, _SPATIAL, _pe(37.5)),
    Known("vit_pe_spatial_base_patch16_512", 86_433_792, 16, APACHE, _SPATIAL, _pe(44.4)),
    Known("vit_pe_spatial_large_patch14_448", 303_964_160, 14, APACHE, _SPATIAL, _pe(48.1)),
    Known("vit_base_patch14_reg1_tipsv2", 86_314_752, 14, APACHE, _WEBLI),
    Known("vit_small_patch16_lingbot", 21_596_160, 16, APACHE, _LINGBOT),
    Known("vit_base_patch16_lingbot", 85_659_648, 16, APACHE, _LINGBOT),
    Known("eva02_tiny_patch14_224", 5_502_144, 14, MIT, _MIM),
    Known("eva02_small_patch14_224", 21_621_120, 14, MIT, _MIM),
    Known("eva02_base_patch14_224", 85_758_720, 14, MIT, _MIM),
    Known("eva02_large_patch14_224", 303_268_800, 14, MIT, _MIM),
    Known("deit3_small_patch16_224", 21_674_496, 16, APACHE, _IN1K),
    Known("deit3_medium_patch16_224", 38_336_512, 16, APACHE, _IN1K),
    Known("deit3_base_patch16_224", 85_816_320, 16, APACHE, _IN1K),
    Known("deit3_large_patch16_224", 303_349_760, 16, APACHE, _IN1K),
)


def known(name: str) -> Known:
    """An encoder of the catalogue.

    Raises:
        UsageError: it has none of this name (with near matches).
    """
    for each in CATALOGUE:
        if each.name == name:
            return each
    close = near_matches(name, [each.name for each in CATALOGUE])
    raise UsageError(f"{name!r} is not in the catalogue; vtadapt backbones lists it; --backbone takes others.{close}")
