"""The adapter: what is trained around each adapted block, and the chain of them with skip connections."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor, nn

from vtadapt.models.attention import TaskAdaptedAttention, recording
from vtadapt.models.attention_maps import AttentionMaps, Head
from vtadapt.models.conditioning import TaskScaledNorm


@dataclass(frozen=True)
class AdaptedStage:
    """The blocks of one backbone stage that carry adapters.

    Attributes:
        blocks: timm blocks, in order; they belong to the backbone.
        downsample: the backbone's patch merging that leads into this stage, or None where the trunk has done it.
        dim: channels C of the stage.
    """

    blocks: tuple[SwinTransformerBlock, ...]
    downsample: nn.Module | None
    dim: int

    @property
    def heads(self) -> int:
        """Attention heads of each block."""
        return int(self.blocks[0].attn.num_heads)

    def recording(
        self, index: int, attention: TaskAdaptedAttention | None, head: Head = "mean"
    ) -> AbstractContextManager[list[AttentionMaps]]:
        """Note where block ``index`` looks, see :func:`vtadapt.models.attention.recording`.

        This is all that the capture of attention asks of a backbone: one of another kind gives its own maps here.
        """
        return recording(self.blocks[index], attention, head)


class Bottleneck(nn.Module):
    """C -> C/r -> GELU -> C with the last layer starting at zero, so that a new adapter adds nothing."""

    def __init__(self, dim: int, reduction: int) -> None:
        """Create the two linear layers; the width is at least 8."""
        super().__init__()
        width = max(8, dim // reduction)
        self.down = nn.Linear(dim, width)
        self.act = nn.GELU()
        self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.up(self.act(self.down(x)))


class AdapterBlock(nn.Module):
    """One adapted transformer block, in the order of the slides.

    x -> LN -> TAA -> + x -> LN = a -> FF -> + a -> TSN = h -> h + s_prev = s -> bottleneck -> + a -> TSN -> out

    LN, FF and the attention's qkv and projection are the backbone block's own (frozen unless ``train_blocks`` says
    otherwise); the block is handed to :meth:`forward` and is not registered here, so it is counted and saved once.
    """

    def __init__(self, block: SwinTransformerBlock, dim: int, embedding_dim: int, reduction: int) -> None:
        """Create the trained parts for ``block`` with C = ``dim`` channels."""
        super().__init__()
        self.attention = TaskAdaptedAttention(block.window_size, embedding_dim)
        self.norm_features = TaskScaledNorm(cast(nn.LayerNorm, block.norm2), embedding_dim)
        self.bottleneck = Bottleneck(dim, reduction)
        self.norm_out = TaskScaledNorm(cast(nn.LayerNorm, block.norm2), embedding_dim)

    def forward(
        self, block: SwinTransformerBlock, x: Tensor, skip: Tensor | None, z: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Run the block with its adapter.

        Args:
            block: the backbone block this adapter was made for.
            x: (B, T, H, W, C).
            skip: s of the previous adapted block, same shape, or None for the first.
            z: (T, E).
            valid: (H, W) bool or None, see :class:`TaskAdaptedAttention`.

        Returns:
            The block's output and s, both (B, T, H, W, C).
        """
        x = x + self.attention(block, block.norm1(x), z, valid)
        a = block.norm2(x)
        h = self.norm_features(block.mlp(a) + a, z)
        s = h if skip is None else h + skip
        return self.norm_out(self.bottleneck(s) + a, z), s


class AdapterChain(nn.Module):
    """All adapted blocks of a backbone, first to last.

    s is handed from each adapted block to the next (dotted line on the slides); between stages it goes through its own,
    trained patch merging.
    """

    def __init__(self, stages: tuple[AdaptedStage, ...], embedding_dim: int, reduction: int) -> None:
        """Create one :class:`AdapterBlock` per adapted block and one skip merge per stage boundary."""
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList(AdapterBlock(block, stage.dim, embedding_dim, reduction) for block in stage.blocks)
            for stage in stages
        )
        self.skip_merge = nn.ModuleList(
            PatchMerging(before.dim, after.dim) for before, after in zip(stages, stages[1:], strict=False)
        )

    def attentions(self, stage: int) -> list[TaskAdaptedAttention]:
        """The task-adapted attention of each block of an adapted stage."""
        return [cast(AdapterBlock, block).attention for block in cast(nn.ModuleList, self.blocks[stage])]

    def forward(self, stages: tuple[AdaptedStage, ...], x: Tensor, z: Tensor, valid: Tensor | None) -> list[Tensor]:
        """Run the adapted part of the backbone for all tasks at once.

        Args:
            stages: the backbone's adapted stages, as given at construction.
            x: (B, T, H, W, C) trunk tokens, repeated over the T tasks.
            z: (T, E).
            valid: (H, W) bool at the resolution of ``x``, or None.

        Returns:
            One tensor (B, T, H_i, W_i, C_i) per adapted stage.
        """
        outputs: list[Tensor] = []
        skip: Tensor | None = None
        for index, (stage, adapters) in enumerate(zip(stages, self.blocks, strict=True)):
            if stage.downsample is not None:
                x = _per_task(stage.downsample, x)
                valid = None if valid is None else valid[::2, ::2]
            if index:
                assert skip is not None
                skip = _per_task(self.skip_merge[index - 1], skip)
            for block, adapter in zip(stage.blocks, cast(nn.ModuleList, adapters), strict=True):
                x, skip = adapter(block, x, skip, z, valid)
            outputs.append(x)
        return outputs


def _per_task(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module for (N, H, W, C) to (B, T, H, W, C)."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
