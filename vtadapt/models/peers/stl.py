"""Single-task learning and the shared CNN: one encoder per task or one for all, then a decoder and head per task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from vtadapt.models.multitask import Encoder, Group, Owned
from vtadapt.models.peers.base import Kind, Peer, PeerConfig, unused_parameters
from vtadapt.models.peers.decoders import Branch


def branch_components(branches: nn.ModuleDict) -> list[tuple[str, str, Group]]:
    """The ledger's entries of decoders and heads."""
    found = [branch for branch in branches.values() if isinstance(branch, Branch)]
    return [
        ("decoders", "one per task", Group([p for b in found for p in b.decoder.parameters()], True)),
        ("heads", "one per task", Group([p for b in found for p in b.heads.parameters()], True)),
    ]


class SingleTask(Peer):
    """STL: one network per task, all of the same encoder and decoder [slide]; nothing is shared, at any step.

    Every task's encoder starts from the same weights. Decoder: that of the adapted model by default, ASPP on a CNN, so
    that STL differs from the method beside it in nothing but the sharing [ours].
    """

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig) -> None:
        """Create the networks; arguments and errors as :class:`Peer`."""
        super().__init__(backbone, channels, config)
        own: Kind = "light" if hasattr(backbone, "window") else "aspp"
        self.copies = nn.ModuleDict({task: copy.deepcopy(backbone) for task in self.tasks[1:]})
        self.branches = nn.ModuleDict(
            {task: Branch(task, n, self.encoder, config.decoder or own, config) for task, n in channels.items()}
        )

    def encoder_of(self, task: str) -> Encoder:
        """The encoder of one task: ``backbone`` for the first, a copy for each other."""
        return self.encoder if task == self.tasks[0] else self.copies[task]  # type: ignore[return-value]

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Those of all tasks' encoders."""
        return [p for task in self.tasks for p in self.encoder_of(task).own_parameters()]

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger."""
        encoders = [self.backbone, *self.copies.values()]
        unused = [p for encoder in encoders for p in unused_parameters(encoder)]
        left_out = {id(p) for p in unused}
        used = [p for encoder in encoders for p in encoder.parameters() if id(p) not in left_out]
        entries = [("encoders", f"{self.encoder.name}, one per task, trained end to end", Group(used, True))]
        if unused:
            entries.append(("unused", "the encoders' final norms", Group(unused, False)))
        return entries + branch_components(self.branches)

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the networks of the tasks asked for."""
        prepared, size = self.encoder.prepare(image), (int(image.shape[-2]), int(image.shape[-1]))
        return {
            task: self.branches[task](self.encoder_of(task).features(image, grad=True), prepared, size)
            for task in self.names(tasks)
        }


class MtlCnn(Peer):
    """The CNN multitask baseline: one shared encoder, one DeepLab head per task [slide].

    ResNet-50 at output stride 16 as in the literature, or the small bundled CNN; the heads are DeepLabv3+'s in small
    [ours]. It is also the network of ``consistency`` and ``tawt``, which differ from it in the loss only.
    """

    has_own_parts = True

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig) -> None:
        """Create the heads; arguments and errors as :class:`Peer`."""
        super().__init__(backbone, channels, config)
        kind = config.decoder or "aspp"
        self.branches = nn.ModuleDict(
            {task: Branch(task, n, self.encoder, kind, config) for task, n in channels.items()}
        )

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger."""
        return self.encoder_components() + branch_components(self.branches)

    def head_of(self, task: str) -> nn.Module:
        """The last layer of one task."""
        return cast(Branch, self.branches[task]).heads

    def owned(self, task: str) -> list[Owned]:
        """What is of one task alone: its decoder and head."""
        return [Owned(parameter) for parameter in self.branches[task].parameters()]

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the encoder once and the heads of the tasks asked for."""
        features, prepared = self.encoder.features(image, grad=True), self.encoder.prepare(image)
        size = (int(image.shape[-2]), int(image.shape[-1]))
        return {task: self.branches[task](features, prepared, size) for task in self.names(tasks)}
