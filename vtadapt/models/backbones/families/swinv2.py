"""SwinV2: cosine attention with a continuous position bias, norms after the branches."""

from __future__ import annotations

from torch import Tensor

from vtadapt.models.backbones.block import Grid
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.families.windows import WindowBlock


class SwinV2Block(WindowBlock):
    """y = x + LN1 attention(x), y + LN2 FF(y)."""

    def enter_attention(self, x: Tensor) -> Tensor:
        """Nothing: the norm comes after."""
        return x

    def attend(self, x: Tensor, bias: Tensor, grid: Grid) -> Tensor:
        """What attention adds, see :meth:`AdaptedBlock.attend`."""
        return self.module.norm1(self.windowed(x, bias, grid))

    def enter_feed_forward(self, x: Tensor) -> Tensor:
        """Nothing: the norm comes after."""
        return x

    def transform(self, x: Tensor) -> Tensor:
        """LN2 FF."""
        return self.module.norm2(self.module.mlp(x))


class SwinV2Backbone(SwinBackbone):
    """A timm SwinV2; what is adapted is as in a Swin."""

    Block = SwinV2Block
