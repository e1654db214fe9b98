"""What the adapters ask of a transformer's blocks, and of the stages that hold them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vtadapt.models.attention_maps import AttentionMaps, Head


@dataclass(frozen=True)
class Grid:
    """Where the tokens of a stage lie, for images of one size.

    Attributes:
        size: (h, w) of the map of tokens.
        valid: (h, w) bool, False for tokens that only see padding; None without any.
    """

    size: tuple[int, int]
    valid: Tensor | None = None

    @staticmethod
    def covering(size: tuple[int, int], stride: int, multiple: int, device: torch.device) -> Grid:
        """The tokens of ``stride`` pixels on an image of ``size`` (H, W) that is padded to ``multiple``."""
        h, w = ((n + -n % multiple) // stride for n in size)
        rows, columns = (math.ceil(n / stride) for n in size)
        if (rows, columns) == (h, w):
            return Grid((h, w))
        valid = torch.zeros(h, w, dtype=torch.bool, device=device)
        valid[:rows, :columns] = True
        return Grid((h, w), valid)


class AdaptedBlock(ABC):
    """One transformer block as the adapters see it: two branches that are added to what enters.

    A frozen block computes y = x + attend(x), y + feed_forward(y). Where the norms lie (before a branch, or after it),
    LayerScale, windows and shifts, class and register tokens and rotary positions are inside.

    Tokens come as (..., *layout, C), where the layout of a family is its own: the map (h, w) of a Swin, or the (1, N)
    of a sequence with its prefix tokens; everything that acts on each token by itself need not know.

    Attributes:
        module: timm's block; it belongs to the backbone.
    """

    def __init__(self, module: Any) -> None:
        """Look at a block of timm."""
        self.module = module

    @property
    def heads(self) -> int:
        """Attention heads."""
        return int(self.module.attn.num_heads)

    @property
    @abstractmethod
    def window(self) -> tuple[int, int]:
        """(height, width) in tokens of the windows on which the task-adapted bias lies."""

    @property
    @abstractmethod
    def cell(self) -> tuple[int, int]:
        """(height, width) in tokens to multiples of which a map needs no padding inside the block."""

    @property
    def norm(self) -> nn.Module:
        """The norm whose scale and shift the task-scaled norms of this block start from."""
        return self.module.norm2

    @abstractmethod
    def attend(self, x: Tensor, bias: Tensor, grid: Grid) -> Tensor:
        """What attention adds to x, with each task's own bias on its logits.

        Args:
            x: (B, T, *layout, C), what enters the block.
            bias: (T, N, N) for the N tokens of a window; [t, i, j] is added to the logit of query i and key j.
            grid: where the tokens lie.

        Returns:
            As x.
        """

    @abstractmethod
    def enter_feed_forward(self, x: Tensor) -> Tensor:
        """Apply the norm before the feed-forward part, where there is one there."""

    @abstractmethod
    def transform(self, x: Tensor) -> Tensor:
        """The feed-forward part of what :meth:`enter_feed_forward` gave, with all that follows in its branch."""

    def feed_forward(self, x: Tensor) -> Tensor:
        """What the feed-forward part adds to x, (..., C)."""
        return self.transform(self.enter_feed_forward(x))

    @abstractmethod
    def look(self, x: Tensor, bias: Tensor | None, grid: Grid, head: Head = "mean") -> list[AttentionMaps]:
        """Where the block looks when ``x`` enters it.

        Args:
            x: what entered: (B, T, *layout, C), or as timm's own block has it.
            bias: as for :meth:`attend`; None: the block's own attention, as timm runs it.
            grid: where the tokens lie.
            head: "mean" over heads, one head's number, or "all".

        Returns:
            One entry per image and task, in the order of the folded batch (B, T), on the CPU.
        """


@dataclass(frozen=True)
class AdaptedStage:
    """The blocks of one backbone stage that carry adapters.

    Attributes:
        blocks: in order.
        names: of the blocks, for people: "stage 4 block 2".
        downsample: the backbone's patch merging that leads into this stage, or None where the trunk has done it.
        dim: channels C of the stage.
        stride: pixels per token and side.
        norm: whose scale and shift the norm of what the stage hands on starts from.
    """

    blocks: tuple[AdaptedBlock, ...]
    names: tuple[str, ...]
    downsample: nn.Module | None
    dim: int
    stride: int
    norm: nn.Module

    @property
    def heads(self) -> int:
        """Attention heads of each block."""
        return self.blocks[0].heads
