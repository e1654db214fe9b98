"""The adapter: what is trained around each adapted block, and the chain of them with skip connections."""

from __future__ import annotations

from typing import Literal, cast

from torch import Tensor, nn

from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.backbones.block import AdaptedBlock, AdaptedStage, Grid
from vtadapt.models.backbones.plain.swin import PatchMerging
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
    """What is trained around one transformer block, and the block run with it; two orders exist.

    LN, FF and the attention's qkv and projection are the backbone block's own (frozen unless ``train_blocks`` says
    otherwise); the block is handed to :meth:`forward` and is not registered here, so it is counted and saved once.
    """

    def __init__(self, block: AdaptedBlock, dim: int, embedding_dim: int, reduction: int) -> None:
        """Create the trained parts for ``block`` with C = ``dim`` channels."""
        super().__init__()
        self.attention = TaskAdaptedAttention(block.window, embedding_dim)
        self.norm_features = TaskScaledNorm(block.norm, embedding_dim)
        self.bottleneck = Bottleneck(dim, reduction)

    @property
    def norms(self) -> list[TaskScaledNorm]:
        """The task-scaled norms."""
        return [self.norm_features]

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
        raise NotImplementedError


class ResidualAdapter(AdapterBlock):
    """The pretrained block as it is, and a bottleneck beside it.

    y = x + TAA(LN1 x),  y = y + FF(LN2 y);  h = TSN(y),  s = h + s_prev,  out = y + bottleneck(s)

    Norms after a branch and LayerScale stay where the block has them. At step 0 the bottleneck and the bias of the
    attention are zero: the output is the frozen block's, but where padding is masked, which that block attends to.
    (Ours; the slides' order is :class:`SlidesAdapter`.)
    """

    def forward(
        self, block: AdaptedBlock, x: Tensor, skip: Tensor | None, z: Tensor, grid: Grid
    ) -> tuple[Tensor, Tensor]:
        """Run the block with its adapter, see :class:`AdapterBlock`."""
        y = x + block.attend(x, self.attention.bias(z), grid)
        y = y + block.feed_forward(y)
        h = self.norm_features(y, z)
        s = h if skip is None else h + skip
        return y + self.bottleneck(s), s


class SlidesAdapter(AdapterBlock):
    """The order of the slides.

    x -> LN -> TAA -> + x -> LN = a -> FF -> + a -> TSN = h -> h + s_prev = s -> bottleneck -> + a -> TSN -> out

    At step 0 the output is TSN(a), whatever the block's FF computes.
    """

    def __init__(self, block: AdaptedBlock, dim: int, embedding_dim: int, reduction: int) -> None:
        """As :class:`AdapterBlock`, with one norm more."""
        super().__init__(block, dim, embedding_dim, reduction)
        self.norm_out = TaskScaledNorm(block.norm, embedding_dim)

    @property
    def norms(self) -> list[TaskScaledNorm]:
        """The task-scaled norms."""
        return [self.norm_features, self.norm_out]

    def forward(
        self, block: AdaptedBlock, x: Tensor, skip: Tensor | None, z: Tensor, grid: Grid
    ) -> tuple[Tensor, Tensor]:
        """Run the block with its adapter, see :class:`AdapterBlock`."""
        x = x + block.attend(x, self.attention.bias(z), grid)
        a = block.enter_feed_forward(x)
        h = self.norm_features(block.transform(a) + a, z)
        s = h if skip is None else h + skip
        return self.norm_out(self.bottleneck(s) + a, z), s


Order = Literal["residual", "slides"]
ORDERS: dict[Order, type[AdapterBlock]] = {"residual": ResidualAdapter, "slides": SlidesAdapter}


class AdapterChain(nn.Module):
    """All adapted blocks of a backbone, first to last.

    s is handed from each adapted block to the next (dotted line on the slides); between stages it goes through its own,
    trained patch merging.
    """

    def __init__(
        self, stages: tuple[AdaptedStage, ...], embedding_dim: int, reduction: int, order: Order = "residual"
    ) -> None:
        """Create one :class:`AdapterBlock` per adapted block and one skip merge per stage boundary.

        In the residual order there is also one norm per stage, of what it hands to the decoder: the slides' order has
        it in its last block.
        """
        super().__init__()
        make = ORDERS[order]
        self.blocks = nn.ModuleList(
            nn.ModuleList(make(block, stage.dim, embedding_dim, reduction) for block in stage.blocks)
            for stage in stages
        )
        self.skip_merge = nn.ModuleList(
            PatchMerging(before.dim, after.dim) for before, after in zip(stages, stages[1:], strict=False)
        )

        norms = [TaskScaledNorm(stage.norm, embedding_dim) for stage in stages] if order == "residual" else []
        self.norms_out = nn.ModuleList(norms)

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
            outputs.append(self.norms_out[index](x, z) if len(self.norms_out) else x)
        return outputs


def _per_task(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module for (N, H, W, C) to (B, T, H, W, C)."""
    return module(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))
