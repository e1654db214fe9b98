"""What the networks ask of an encoder, and what the adapters ask of a transformer and of its adapted blocks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.attention_maps import AttentionMaps, Head
from vtadapt.models.weights import digest_of


class Encoder(nn.Module, ABC):
    """A network from timm that gives four levels of features; it normalises and pads images by itself.

    Attributes:
        name: what the user calls it.
        net: timm's network; its weights alone make the :meth:`digest`.
    """

    options: ClassVar[dict[str, Any]] = {}
    """What timm is told where it builds the network."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Wrap ``net``, which wants images less ``mean`` and divided by ``std``."""
        super().__init__()
        self.name = name
        self.net: Any = net
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    @property
    @abstractmethod
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""

    @property
    @abstractmethod
    def strides(self) -> tuple[float, ...]:
        """Pixels per position and side of each level, finest first."""

    @abstractmethod
    def features(self, image: Tensor, *, grad: bool = False) -> list[Tensor]:
        """The levels, (B, h_i, w_i, C_i), finest first.

        Args:
            image: (B, 3, H, W) in 0..1, any size.
            grad: True only where the encoder is trained; a probe on frozen features needs none.
        """

    @property
    def stride(self) -> int:
        """Pixels per position of the last level: the levels cover the image padded to a multiple of it."""
        return int(self.strides[-1])

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) in 0..1 and pad it right and bottom, by its border, to a multiple of the stride."""
        h, w = image.shape[-2:]
        image = F.pad(image, (0, -w % self.stride, 0, -h % self.stride), mode="replicate")
        return (image - self.mean) / self.std

    @property
    def plain_channels(self) -> tuple[int, ...]:
        """Channels of :meth:`plain_features`."""
        return self.channels

    def plain_features(self, image: Tensor) -> list[Tensor]:
        """What the network itself computes, (B, h_i, w_i, C_i): no part that is trained afterwards is in it."""
        return self.features(image)

    def added_parameters(self) -> list[nn.Parameter]:
        """Parameters that are not the network's, but trained to make levels of its features; often none."""
        return []

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters that no level reads; none unless a family says so."""
        return []

    def digest(self) -> str:
        """SHA-256 over the names and values of the weights; saved with a run and compared when it is loaded."""
        return digest_of(self.net)


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


@dataclass(frozen=True)
class TrunkFeatures:
    """What the trunk knows of a batch of images, computed once whatever the number of tasks.

    Attributes:
        tokens: (B, *layout, C) input of the first adapted block.
        skips: features of the blocks before it, finest first, each (B, h_i, w_i, C_i).
        grids: where the tokens of each adapted stage lie.
        size: (H, W) of the images before padding.
        image: (B, 3, H', W') as the encoder reads them: normalised and padded.
    """

    tokens: Tensor
    skips: tuple[Tensor, ...]
    grids: tuple[Grid, ...]
    size: tuple[int, int]
    image: Tensor


class Backbone(Encoder):
    """A vision transformer cut into a trunk (everything before the first adapted block) and adapted stages.

    Attributes:
        first_adapted: how many blocks of the stage that is cut belong to the trunk.
    """

    first_adapted: int

    @property
    @abstractmethod
    def window(self) -> int:
        """Window size w of the last stage, which sets the default size w^3 of the task embedding."""

    @property
    @abstractmethod
    def adapted_stages(self) -> tuple[AdaptedStage, ...]:
        """The adapted blocks, stage by stage."""

    @abstractmethod
    def _cut_blocks(self) -> Sequence[nn.Module]:
        """The blocks of the stage that is cut."""

    @abstractmethod
    def trunk(self, image: Tensor, *, grad: bool = False) -> TrunkFeatures:
        """Run everything before the first adapted block, without gradients unless ``grad``.

        Args:
            image: (B, 3, H, W) in 0..1, any size.
            grad: True only when the trunk itself is trained (``train_blocks = "all"``).
        """

    @abstractmethod
    def trunk_parameters(self) -> list[nn.Parameter]:
        """Parameters of everything before the first adapted block."""

    def levels(self, skips: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """The levels that a decoder reads.

        Args:
            skips: of :class:`TrunkFeatures`.
            outputs: (B, T, h, w, C) of each adapted stage.

        Returns:
            Finest first: (B, h_i, w_i, C_i) shared by all tasks, and (B, T, h_i, w_i, C_i); together they have the
            :attr:`channels`.
        """
        return tuple(skips), list(outputs)

    def to_map(self, x: Tensor, grid: Grid) -> Tensor:
        """(..., *layout, C) -> (..., h, w, C); tokens that are no place of the image fall away."""
        assert tuple(x.shape[-3:-1]) == grid.size
        return x

    def grids(self, size: tuple[int, int], device: torch.device) -> tuple[Grid, ...]:
        """Where the tokens of each adapted stage lie on images of ``size`` (H, W)."""
        return tuple(Grid.covering(size, stage.stride, self.stride, device) for stage in self.adapted_stages)

    def adapt_last(self, count: int) -> None:
        """Adapt the last ``count`` blocks of the stage that is cut, and all of later stages.

        Raises:
            ConfigError: the stage has fewer blocks, or ``count`` is not positive.
        """
        depth = len(self._cut_blocks())
        if not 1 <= count <= depth:
            raise ConfigError(f"adapted_blocks = {count}; {self.cut_words} of {self.name!r} has 1 to {depth}")
        self.first_adapted = depth - count

    cut_words = "the last stage but one"

    def adapted_parameters(self) -> list[nn.Parameter]:
        """Parameters of the adapted blocks and of the patch merging between them."""
        modules = [
            m for stage in self.adapted_stages for m in (*(b.module for b in stage.blocks), stage.downsample) if m
        ]
        return [p for module in modules for p in module.parameters()]

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters that no adapted model reads (the final norm, a classification head)."""
        used = {id(p) for p in (*self.trunk_parameters(), *self.adapted_parameters(), *self.added_parameters())}
        return [p for p in self.parameters() if id(p) not in used]
