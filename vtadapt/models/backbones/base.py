"""What the networks ask of an encoder, and what the adapted model asks of a vision transformer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.block import AdaptedStage, Grid
from vtadapt.models.backbones.weights.state_dict import digest_of


class Encoded(NamedTuple):
    """What the frozen part of an encoder makes of a batch of images; networks take it in place of the images.

    Attributes:
        parts: as :meth:`vtadapt.models.multitask.MultitaskModel.encode` gives them, of any floating type; B first.
        size: (H, W) of the images before padding.
        image: (B, 3, H, W) in 0..1 where a network looks at the images themselves; else None.
    """

    parts: tuple[Tensor, ...]
    size: tuple[int, int]
    image: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        return self.parts[0].device

    def wide(self) -> list[Tensor]:
        """The parts in float32, which the residual streams of frozen blocks have under autocast, too."""
        return [part.float() for part in self.parts]


def size_of(image: Tensor | Encoded) -> tuple[int, int]:
    """(H, W) of images (B, 3, H, W), or of those that were encoded."""
    return image.size if isinstance(image, Encoded) else (int(image.shape[-2]), int(image.shape[-1]))


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

    def seen(self, image: Tensor | Encoded) -> Tensor:
        """:meth:`prepare`; of images that were encoded and are not there, NaN of the same shape, which takes no memory.

        Whoever looks at those after all is told by the loss.
        """
        if isinstance(image, Tensor):
            return self.prepare(image)
        if image.image is not None:
            return self.prepare(image.image)
        h, w = image.size
        nothing = self.mean.new_full((), torch.nan)
        return nothing.expand(len(image.parts[0]), self.mean.shape[1], h + -h % self.stride, w + -w % self.stride)

    @property
    def plain_channels(self) -> tuple[int, ...]:
        """Channels of :meth:`plain_features`."""
        return self.channels

    def plain_features(self, image: Tensor) -> list[Tensor]:
        """What the network itself computes, (B, h_i, w_i, C_i): no part that is trained afterwards is in it."""
        return self.features(image)

    def levels_of(self, plain: Sequence[Tensor]) -> list[Tensor]:
        """:meth:`features` from :meth:`plain_features`: what is trained in between runs here."""
        return list(plain)

    def added_parameters(self) -> list[nn.Parameter]:
        """Parameters that are not the network's, but trained to make levels of its features; often none."""
        return []

    def own_parameters(self) -> list[nn.Parameter]:
        """All parameters but the :meth:`added_parameters`."""
        added = {id(p) for p in self.added_parameters()}
        return [p for p in self.parameters() if id(p) not in added]

    def unused_parameters(self) -> list[nn.Parameter]:
        """Parameters that no level reads; none unless a family says so."""
        return []

    def digest(self) -> str:
        """SHA-256 over the names and values of the weights; saved with a run and compared when it is loaded."""
        return digest_of(self.net)


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
    def _begin(self, prepared: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """Plain features before the first adapted block, finest first, and last the tokens (B, *layout, C) there.

        Args:
            prepared: (B, 3, H', W'), images as :meth:`prepare` makes them.
            size: (H, W) before padding.
        """

    @abstractmethod
    def _finish(self, begun: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """All plain features from what :meth:`_begin` gave: the blocks after it as they are, without adapters."""

    def _skips(self, begun: Sequence[Tensor], grids: tuple[Grid, ...]) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The skips of :class:`TrunkFeatures` from what :meth:`_begin` gave."""
        return tuple(begun[:-1])

    def begun(self, image: Tensor) -> tuple[Tensor, ...]:
        """All that lies before the first adapted block, of images (B, 3, H, W) in 0..1, without gradients.

        Plain features (B, h_i, w_i, C_i), finest first, then the tokens (B, *layout, C) that enter the block. In an
        :class:`Encoded` they take the place of the images in :meth:`trunk` and :meth:`features`.
        """
        with torch.no_grad():
            return tuple(self._begin(self.prepare(image), size_of(image)))

    def trunk(self, image: Tensor | Encoded, *, grad: bool = False) -> TrunkFeatures:
        """Run everything before the first adapted block, without gradients unless ``grad``.

        Args:
            image: (B, 3, H, W) in 0..1, any size, or what :meth:`begun` made of them.
            grad: True only when the trunk itself is trained (``train_blocks = "all"``).
        """
        size = size_of(image)
        with nullcontext() if grad else torch.no_grad():
            prepared = self.seen(image)
            begun = image.wide() if isinstance(image, Encoded) else self._begin(prepared, size)
        grids = self.grids(size, prepared.device)
        return TrunkFeatures(begun[-1], self._skips(begun, grids), grids, size, prepared)

    def features(self, image: Tensor | Encoded, *, grad: bool = False) -> list[Tensor]:
        """The levels, see :meth:`Encoder.features`; also of what :meth:`begun` made of images."""
        return self.levels_of(self._plain(image, grad))

    def plain_features(self, image: Tensor) -> list[Tensor]:
        """What the network itself computes, see :meth:`Encoder.plain_features`."""
        return self._plain(image, grad=False)

    def _plain(self, image: Tensor | Encoded, grad: bool) -> list[Tensor]:
        size = size_of(image)
        with nullcontext() if grad else torch.no_grad():
            begun = image.wide() if isinstance(image, Encoded) else self._begin(self.prepare(image), size)
            return self._finish(begun, size)

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

    @property
    def cut(self) -> str:
        """Where :meth:`begun` ends, in words that tell two cuts of one network apart."""
        return f"before {self.adapted_stages[0].names[0]}"

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
