"""What the networks around a frozen encoder have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from vtadapt.models.backbones.base import Encoded
from vtadapt.models.multitask import Group, MultitaskModel


class FrozenModel(MultitaskModel):
    """An encoder that is never changed, and trained parts that read its levels."""

    trains_pyramid: ClassVar[bool] = True
    """Whether it reads the levels that a trained pyramid makes of a plain transformer."""

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: Any) -> None:
        """Freeze the encoder whole; arguments and errors as :class:`MultitaskModel`."""
        super().__init__(backbone.requires_grad_(False), channels, config)
        for parameter in self.encoder.added_parameters():
            parameter.requires_grad_(self.trains_pyramid)

    def train(self, mode: bool = True) -> Self:
        """Switch modes; the backbone always stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The encoder's plain features, (B, h_i, w_i, C_i), finest first, see :meth:`MultitaskModel.encode`."""
        return tuple(self.encoder.plain_features(image))

    @property
    def encoding(self) -> str:
        """What :meth:`encode` gives."""
        return "plain features"

    def plain(self, image: Tensor | Encoded) -> list[Tensor]:
        """The encoder's plain features of images (B, 3, H, W) in 0..1, computed or known."""
        return image.wide() if isinstance(image, Encoded) else self.encoder.plain_features(image)

    def frozen_components(self) -> list[tuple[str, str, Group]]:
        """The ledger's entries of the encoder, and of the levels made of its features where those are read."""
        if not self.trains_pyramid:
            return [("backbone", "frozen", Group(list(self.backbone.parameters()), False))]
        return [("backbone", "frozen", Group(self.encoder_parameters(), False)), *self.added_component()]
