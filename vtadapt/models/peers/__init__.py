"""The other systems of the slides, as networks; what they differ in besides (losses, weights) is in the workflows."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from vtadapt.errors import ConfigError
from vtadapt.models.peers.base import Encoder, Peer, PeerConfig
from vtadapt.models.peers.mult import MulT
from vtadapt.models.peers.stl import MtlCnn, SingleTask
from vtadapt.models.peers.xtam import Xtam

__all__ = ["PEERS", "Encoder", "Peer", "PeerConfig", "build_peer"]

# By the method's name; consistency and tawt train the network of mtl-cnn with other losses and weights.
PEERS: dict[str, type[Peer]] = {
    "stl": SingleTask,
    "mtl-cnn": MtlCnn,
    "consistency": MtlCnn,
    "tawt": MtlCnn,
    "xtam": Xtam,
    "mult": MulT,
}


def build_peer(method: str, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig | None = None) -> Peer:
    """Build the network of a method.

    Args:
        method: a key of ``PEERS``.
        backbone: an :class:`Encoder`, trained end to end from the weights it has; it becomes part of the model.
        channels: task name -> number of output channels; the order of the tasks.
        config: architecture; None for the defaults.

    Raises:
        ConfigError: unknown method, no task, or an encoder or decoder that does not go with the method.
    """
    if method not in PEERS:
        raise ConfigError(f"unknown method {method!r}; wanted one of {[*PEERS]}")
    return PEERS[method](backbone, channels, config or PeerConfig())
