"""Swin: shifted windows, norms before the branches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from vtadapt.models.backbones.base import Backbone
from vtadapt.models.backbones.block import AdaptedStage, Grid
from vtadapt.models.backbones.families.windows import WindowBlock, fit_shift, keep_mask

# 18-block stages adapt their last 4 blocks (slides); other depths keep that share.
ADAPTED_SHARE = 4 / 18


class SwinBlock(WindowBlock):
    """y = x + attention(LN1 x), y + FF(LN2 y)."""

    def enter_attention(self, x: Tensor) -> Tensor:
        """LN1."""
        return self.module.norm1(x)

    def attend(self, x: Tensor, bias: Tensor, grid: Grid) -> Tensor:
        """What attention adds, see :meth:`AdaptedBlock.attend`."""
        return self.windowed(self.module.norm1(x), bias, grid)

    def enter_feed_forward(self, x: Tensor) -> Tensor:
        """LN2."""
        return self.module.norm2(x)

    def transform(self, x: Tensor) -> Tensor:
        """FF."""
        return self.module.mlp(x)


class SwinBackbone(Backbone):
    """A timm Swin, which must accept any image size (``strict_img_size=False``).

    Adapted are the last ceil(depth * 4 / 18) blocks of the last stage but one, and all blocks of the last stage; for an
    18-block stage 3 these are blocks 15 to 18 and the last stage (slides). :meth:`adapt_last` chooses another number.
    """

    options: ClassVar[dict[str, Any]] = {"strict_img_size": False, "drop_path_rate": 0.0}
    Block: ClassVar[type[WindowBlock]] = SwinBlock

    def __init__(self, name: str, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Wrap ``net``."""
        super().__init__(name, net, mean, std)
        for stage in self._stages:
            for block in stage.blocks:
                keep_mask(block)
        depth = len(self._cut_blocks())
        self.first_adapted = depth - math.ceil(depth * ADAPTED_SHARE)

    @property
    def _stages(self) -> Any:
        """The stages of timm; torch's types do not know that they hold blocks and a patch merging."""
        return self.net.layers

    def _cut_blocks(self) -> Sequence[nn.Module]:
        return list(self._stages[-2].blocks)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage, finest first."""
        return tuple(info["num_chs"] for info in self.net.feature_info)

    @property
    def strides(self) -> tuple[float, ...]:
        """Pixels per token of each stage, finest first."""
        return tuple(int(info["reduction"]) for info in self.net.feature_info)

    @property
    def window(self) -> int:
        """Window size w of the last stage, which sets the default size w^3 of the task embedding."""
        return int(self._stages[-1].blocks[0].window_size[0])

    @property
    def adapted_stages(self) -> tuple[AdaptedStage, ...]:
        """The adapted blocks, stage by stage."""
        return self._adapted(-2, self.first_adapted, None), self._adapted(-1, 0, self._stages[-1].downsample)

    def _adapted(self, index: int, first: int, downsample: nn.Module | None) -> AdaptedStage:
        blocks = tuple(self.Block(block) for block in self._stages[index].blocks[first:])
        stage = len(self._stages) + index + 1
        names = tuple(f"stage {stage} block {first + i + 1}" for i in range(len(blocks)))
        stride = int(self.strides[index])
        return AdaptedStage(blocks, names, downsample, self.channels[index], stride, blocks[-1].norm)

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Parameters of everything before the first adapted block."""
        modules = [self.net.patch_embed, *self._stages[:-2], self._stages[-2].downsample]
        modules += list(self._stages[-2].blocks[: self.first_adapted])
        return [p for module in modules for p in module.parameters()]

    def _begin(self, prepared: Tensor, size: tuple[int, int]) -> list[Tensor]:  # noqa: ARG002 - all tokens are kept
        x, found = self.net.patch_embed(prepared), []
        for stage in self._stages[:-2]:
            x = self._run(stage.blocks, stage.downsample(x))
            found.append(x)
        stage = self._stages[-2]
        return [*found, self._run(stage.blocks[: self.first_adapted], stage.downsample(x))]

    def _finish(self, begun: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:  # noqa: ARG002
        last = self._stages[-1]
        x = self._run(self._stages[-2].blocks[self.first_adapted :], begun[-1])
        return [*begun[:-1], x, self._run(last.blocks, last.downsample(x))]

    @staticmethod
    def _run(blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
        for block in blocks:
            fit_shift(block, (x.shape[1], x.shape[2]))
            x = block(x)
        return x
