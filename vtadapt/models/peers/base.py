"""What the other systems of the slides have in common: their contract, their settings, their parameter ledger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from vtadapt.errors import ConfigError
from vtadapt.models.adapted import Group

Kind = Literal["light", "swin", "aspp"]


class Encoder(Protocol):
    """What a peer asks of its encoder: a :class:`SwinBackbone` or a :class:`CnnBackbone`."""

    name: str

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""

    @property
    def stride(self) -> int:
        """Images are padded to a multiple of it."""

    def digest(self) -> str:
        """SHA-256 over names and values of the weights."""

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise and pad (B, 3, H, W) in 0..1."""

    def features(self, image: Tensor, *, grad: bool = False) -> list[Tensor]:
        """(B, 3, H, W) in 0..1 -> levels (B, h, w, C), finest first."""


@dataclass(frozen=True)
class PeerConfig:
    """The architecture around the encoder; the defaults train in about 1 000 steps on 128x128.

    Attributes:
        decoder: "light", "swin" or "aspp"; None = the method's own ("light" for stl, "aspp" for mtl-cnn). xtam has only
            "aspp", mult only "swin".
        decoder_width: channels of the light and ASPP decoders.
        rates: dilations of ASPP's 3x3 convolutions. DeepLab's 6, 12, 18 are for crops of 513; on the 8x8 map of a
            128x128 image all but the first would see padding only.
        reference: the task whose queries and keys MulT shares; None = the first.
        swin_depth: Swin blocks per level of MulT's decoders and of "swin".
        positions: the most positions that XTAM's correlation compares on the side of the source; larger maps are
            averaged down there.
    """

    decoder: Kind | None = None
    decoder_width: int = 48
    rates: tuple[int, ...] = (2, 4, 6)
    reference: str | None = None
    swin_depth: int = 2
    positions: int = 1024


class Peer(nn.Module, ABC):
    """One of the other systems: encoder(s) trained end to end, and what follows them -> ``dict[task name, logits]``.

    Attributes:
        tasks: names, in order.
        backbone: the encoder (of the first task, where each has its own); kept under this name by every model.
        config: the architecture.
    """

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig) -> None:
        """Keep the encoder and make all of it trainable.

        Args:
            backbone: an :class:`Encoder`; becomes part of this model.
            channels: task name -> number of output channels.
            config: architecture.

        Raises:
            ConfigError: no task, or a reference that is not among the tasks.
        """
        super().__init__()
        if not channels:
            raise ConfigError("no task given; wanted at least one")
        if config.reference is not None and config.reference not in channels:
            raise ConfigError(f"reference {config.reference!r} is not a task of this run; wanted one of {[*channels]}")
        self.tasks, self.config = tuple(channels), config
        self.backbone = backbone.requires_grad_(True)
        for parameter in unused_parameters(backbone):
            parameter.requires_grad_(False)

    @property
    def encoder(self) -> Encoder:
        """The encoder, typed by its contract."""
        return self.backbone  # type: ignore[return-value]

    @abstractmethod
    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`vtadapt.models.adapted.AdaptedModel.components`; all is trained."""

    @abstractmethod
    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1, any size -> task name -> logits (B, channels, H, W), for all tasks or those named."""

    def levels(self, image: Tensor, tasks: Sequence[str] | None = None) -> list[dict[str, Tensor]]:
        """Every supervised level of predictions, each as :meth:`forward` returns them; the last is what it returns."""
        return [self(image, tasks)]

    def names(self, tasks: Sequence[str] | None) -> tuple[str, ...]:
        """The tasks asked for."""
        return self.tasks if tasks is None else tuple(tasks)

    def padded(self, image: Tensor) -> tuple[int, int]:
        """(H', W') of the image after :meth:`Encoder.prepare`."""
        (h, w), stride = image.shape[-2:], self.encoder.stride
        return h + -h % stride, w + -w % stride

    def encoder_components(self) -> list[tuple[str, str, Group]]:
        """The ledger's entries of the one shared encoder."""
        unused = unused_parameters(self.backbone)
        left_out = {id(p) for p in unused}
        used = [p for p in self.backbone.parameters() if id(p) not in left_out]
        entries = [("encoder", f"{self.encoder.name}, shared, trained end to end", Group(used, True))]
        return entries + ([("unused", "the encoder's final norm", Group(unused, False))] if unused else [])


def unused_parameters(backbone: nn.Module) -> list[nn.Parameter]:
    """Parameters of an encoder that none of its levels reads (a Swin's final norm); often none."""
    find = getattr(backbone, "unused_parameters", None)
    return [] if find is None else list(find())
