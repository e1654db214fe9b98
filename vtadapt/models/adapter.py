"""The adapter: what is trained around each adapted block, and the chain of them with skip connections."""

from __future__ import annotations

from typing import cast

from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn

from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.backbones.base import AdaptedBlock, AdaptedStage, Grid
from vtadapt.models.conditioning import TaskScaledNorm


class Bottleneck(nn.Module):
    """C -> C/r -> GELU -> C with the last layer starting at zero, so that a new adapter adds nothing."""

    def __init__(self, dim: int, reduction: int) -> None:
        """Create the two linear layers; the width is at least 8."""
        super().__init__()
        # Small backbones would be left with a bottleneck of two or three numbers.
        width = max(8, dim // reduction)
        self.down = nn.Linear(dim, width)
        self.act = nn.GELU()
        self.up = nn.Linear(width, dim)
        # Only the last layer is zero: were both, neither weight would ever get a gradient.
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

    def __init__(self, block: AdaptedBlock, dim: int, embedding_dim: int, reduction: int) -> None:
        """Create the trained parts for ``block`` with C = ``dim`` channels."""
        super().__init__()
        self.attention = TaskAdaptedAttention(block.window, embedding_dim)
        self.norm_features = TaskScaledNorm(block.norm, embedding_dim)
        self.bottleneck = Bottleneck(dim, reduction)
        self.norm_out = TaskScaledNorm(block.norm, embedding_dim)

    def forward(
        self, block: AdaptedBlock, x: Tensor, skip: Tensor | None, z: Tensor, grid: Grid
    ) -> tuple[Tensor, Tensor]:
        """Run the block with its adapter.

        Args:
            block: the backbone block this adapter was made for.
            x: (B, T, *layout, C).
            skip: s of the previous adapted block, same shape, or None for the first.
            z: (T, E).
            grid: where the tokens lie.

        Returns:
            The block's output and s, both as x.
        """
        x = x + block.attend(x, self.attention.bias(z), grid)
        a = block.enter_feed_forward(x)
        h = self.norm_features(block.transform(a) + a, z)
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

    def of_stage(self, stage: int) -> list[AdapterBlock]:
        """The adapters of the blocks of an adapted stage."""
        return [cast(AdapterBlock, block) for block in cast(nn.ModuleList, self.blocks[stage])]

    def forward(self, stages: tuple[AdaptedStage, ...], x: Tensor, z: Tensor, grids: tuple[Grid, ...]) -> list[Tensor]:
        """Run the adapted part of the backbone for all tasks at once.

        Args:
            stages: the backbone's adapted stages, as given at construction.
            x: (B, T, *layout, C) trunk tokens, repeated over the T tasks.
            z: (T, E).
            grids: where the tokens of each stage lie.

        Returns:
            One tensor (B, T, *layout_i, C_i) per adapted stage.
        """
        outputs: list[Tensor] = []
        skip: Tensor | None = None
        for index, (stage, adapters, grid) in enumerate(zip(stages, self.blocks, grids, strict=True)):
            if stage.downsample is not None:
                # The backbone's own merging serves all tasks; tasks differ in what they merge, not in how.
                x = _per_task(stage.downsample, x)
            if index:
                assert skip is not None
                skip = _per_task(self.skip_merge[index - 1], skip)
            for block, adapter in zip(stage.blocks, cast(nn.ModuleList, adapters), strict=True):
                x, skip = adapter(block, x, skip, z, grid)
            outputs.append(x)
        return outputs


def _per_task(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module for (N, H, W, C) to (B, T, H, W, C)."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
