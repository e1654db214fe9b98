"""The networks of the other systems, by the method that trains them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import nn

from vtadapt.models.peers.base import Peer, PeerConfig
from vtadapt.workflows.run.methods import METHODS


def build_peer(method: str, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig | None = None) -> Peer:
    """The network of a method, around a backbone."""
    network = cast(type[Peer], METHODS[method].network())
    return network(backbone, channels, config or PeerConfig())
