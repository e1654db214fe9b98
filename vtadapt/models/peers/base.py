"""What the other systems of the slides have in common: their settings and their encoder's part of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from vtadapt.errors import ConfigError
from vtadapt.models.heads.make import HeadKind
from vtadapt.models.multitask import Group, MultitaskModel

Kind = Literal["light", "swin", "aspp"]


@dataclass(frozen=True)
class PeerConfig:
    """The architecture around the encoder; the defaults train in about 1 000 steps on 128x128.

    Attributes:
        decoder: "light", "swin" or "aspp"; None = the method's own ("light" for stl, "aspp" for mtl-cnn). xtam has only
            "aspp", mult only "swin".
        decoder_width: channels of the light and ASPP decoders.
        head: what draws each pixel from the light and ASPP decoders' tokens.
        rates: dilations of ASPP's 3x3 convolutions. DeepLab's 6, 12, 18 are for crops of 513; on the 8x8 map of a
            128x128 image all but the first would see padding only.
        reference: the task whose queries and keys MulT shares; None = the first.
        swin_depth: Swin blocks per level of MulT's decoders and of "swin".
        positions: the most positions that XTAM's correlation compares on the side of the source; larger maps are
            averaged down there.
    """

    decoder: Kind | None = None
    decoder_width: int = 48
    head: HeadKind = "subpixel"
    rates: tuple[int, ...] = (2, 4, 6)
    reference: str | None = None
    swin_depth: int = 2
    positions: int = 1024


class Peer(MultitaskModel):
    """One of the other systems: encoder(s) trained end to end, and what follows them -> ``dict[task name, logits]``."""

    Config = PeerConfig
    entry = "network"
    config: PeerConfig

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig) -> None:
        """Keep the encoder and make all of it trainable.

        Args:
            backbone: an :class:`Encoder`; becomes part of this model.
            channels: task name -> number of output channels.
            config: architecture.

        Raises:
            ConfigError: no task, or a reference that is not among the tasks.
        """
        super().__init__(backbone, channels, config)
        if config.reference is not None and config.reference not in channels:
            raise ConfigError(f"reference {config.reference!r} is not a task of this run; wanted one of {[*channels]}")
        backbone.requires_grad_(True)
        for parameter in unused_parameters(backbone):
            parameter.requires_grad_(False)

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
