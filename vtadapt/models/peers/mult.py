"""MulT (Bhattacharjee et al., *MulT: An End-to-End Multitask Learning Transformer*, CVPR 2022, arXiv 2205.08303)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from torch import Tensor, nn

from vtadapt.errors import ConfigError
from vtadapt.models.decoder import SwinDecoder
from vtadapt.models.heads.subpixel import SubpixelHeads
from vtadapt.models.multitask import Group, Owned
from vtadapt.models.peers.base import Peer, PeerConfig
from vtadapt.models.peers.decoders import window_of


class Mix(nn.Module):
    """Attention's last step, as a module so that what enters it can be seen: P (M, heads, N, N), v -> P v."""

    def forward(self, weights: Tensor, values: Tensor) -> Tensor:
        """(M, heads, N, N), (M, heads, N, d) -> (M, N, heads d)."""
        return (weights @ values).transpose(1, 2).flatten(2)


class ReferenceAttention(WindowAttention):
    """timm's window attention that keeps its probabilities for the other tasks until :meth:`take` fetches them."""

    def __init__(self, dim: int, num_heads: int, window_size: tuple[int, int]) -> None:
        """Create for ``dim`` channels."""
        super().__init__(dim, num_heads, window_size=window_size)
        self.mix = Mix()
        self.kept: Tensor | None = None

    def take(self) -> Tensor:
        """Fetch the probabilities of the last forward pass; they are forgotten here."""
        kept, self.kept = self.kept, None
        assert kept is not None, "the reference task's block has not run"
        return kept

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Windows (M, N, C), mask (windows of an image, N, N) or None -> (M, N, C)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (M, heads, N, d)
        logits = (q * self.scale) @ k.transpose(-2, -1) + self._get_rel_pos_bias()
        if mask is not None:
            logits = (logits.unflatten(0, (-1, len(mask))) + mask[None, :, None]).flatten(0, 1)
        self.kept = logits.softmax(dim=-1)
        return self.proj(self.mix(self.kept, v))


class BorrowedAttention(nn.Module):
    """Attention with own values and projection, and the probabilities that another task's attention has found."""

    def __init__(self, dim: int, num_heads: int) -> None:
        """Create for ``dim`` channels."""
        super().__init__()
        self.num_heads = num_heads
        self.value = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.mix = Mix()
        self.borrowed: Tensor | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002 - P has it in it
        """Windows (M, N, C) -> (M, N, C); ``mask`` went into the probabilities already."""
        assert self.borrowed is not None, "no probabilities were lent"
        values = self.value(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return self.proj(self.mix(self.borrowed, values))


class SharedBlocks(nn.Module):
    """The same Swin block of all tasks' decoders: attention is found once, in the reference task's stream.

        P = softmax(q_r k_r^T / sqrt(d) + relative position bias_r [+ shift mask]),  out_t = proj_t(P v_t)   [paper]

    Queries and keys come from the reference task r, values, norms and feed-forward are the task's own. That both q and
    k come from r's stream in the decoder, and none from the encoder's skip, is our reading (``design.md``, section 5).
    The blocks belong to the decoders and are handed to :meth:`forward`.
    """

    def __init__(self, reference: str) -> None:
        """Remember the reference task."""
        super().__init__()
        self.reference = reference

    def prepare(self, blocks: Mapping[str, SwinTransformerBlock]) -> None:
        """Replace the blocks' attention: one that keeps its probabilities, others that borrow them."""
        for task, block in blocks.items():
            dim, heads = block.attn.dim, block.attn.num_heads
            own = task == self.reference
            new = ReferenceAttention(dim, heads, block.window_size) if own else BorrowedAttention(dim, heads)
            block.add_module("attn", new)

    def forward(self, blocks: Mapping[str, SwinTransformerBlock], streams: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the block of every stream; (B, H, W, C) each, the reference's among them."""
        reference = blocks[self.reference]
        done = {self.reference: reference(streams[self.reference])}
        weights = cast(ReferenceAttention, reference.attn).take()
        for task, x in streams.items():
            if task != self.reference:
                attention = cast(BorrowedAttention, blocks[task].attn)
                attention.borrowed = weights
                done[task] = blocks[task](x)
                # Let go at once, or the probabilities of every level would live until the next forward.
                attention.borrowed = None
        # In the order of the streams, which the reference, run first, may not head.
        return {task: done[task] for task in streams}


class MulT(Peer):
    """A Swin encoder trained end to end and one Swin decoder per task, whose attention all tasks share [paper].

    The decoders are :class:`SwinDecoder`, as the adapted model has it [ours], with the attention of every block shared
    as in :class:`SharedBlocks`. ``config.reference`` names the reference task; the paper takes surface normals, ours is
    the first task unless told, as no name of a task means anything here.
    """

    has_own_parts = True

    def __init__(self, backbone: nn.Module, channels: Mapping[str, int], config: PeerConfig) -> None:
        """Create the decoders; arguments and errors as :class:`Peer`, and the encoder must be a Swin."""
        super().__init__(backbone, channels, config)
        if config.decoder not in (None, "swin"):
            raise ConfigError(f"decoder {config.decoder!r} does not go with mult; wanted 'swin', its own")
        window, levels = window_of(self.encoder), self.encoder.channels
        self.reference = config.reference or self.tasks[0]
        self.decoders = nn.ModuleDict({t: SwinDecoder(levels, window, config.swin_depth) for t in self.tasks})
        self.shared = SharedBlocks(self.reference)
        for level in range(len(levels) - 1):
            for index in range(config.swin_depth):
                self.shared.prepare({task: self._block(task, level, index) for task in self.tasks})
        self.heads = SubpixelHeads(levels[0], channels)

    def _decoder(self, task: str) -> SwinDecoder:
        return cast(SwinDecoder, self.decoders[task])

    def _block(self, task: str, level: int, index: int) -> SwinTransformerBlock:
        return cast(SwinTransformerBlock, cast(nn.Sequential, self._decoder(task).blocks[level])[index])

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger; what the tasks share of the decoders stands in the reference's."""
        attention = [m for m in self.decoders.modules() if isinstance(m, ReferenceAttention)]
        shared = [p for m in attention for p in m.parameters()]
        left_out = {id(p) for p in shared}
        own = [p for p in self.decoders.parameters() if id(p) not in left_out]
        return [
            *self.encoder_components(),
            ("shared attention", f"of {self.reference}", Group(shared, True)),
            ("decoders", "Swin, one per task", Group(own, True)),
            ("heads", "1x1 per task", Group(list(self.heads.parameters()), True)),
        ]

    def head_of(self, task: str) -> nn.Module:
        """The head of one task."""
        return self.heads.heads[task]

    def owned(self, task: str) -> list[Owned]:
        """What is of one task alone: its decoder and head; the reference's holds the queries and keys that all use."""
        modules = (self.decoders[task], self.heads.heads[task])
        return [Owned(parameter) for module in modules for parameter in module.parameters()]

    def forward(self, image: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the encoder once, then all decoders level by level; the reference's runs in any case."""
        names = self.names(tasks)
        # Without the reference's stream there are no probabilities that the others could borrow.
        running = names if self.reference in names else (self.reference, *names)
        features = self.encoder.features(image, grad=True)
        streams = dict.fromkeys(running, features[-1])
        for level, skip in enumerate(features[-2::-1]):
            streams = {task: self._join(task, level, x, skip) for task, x in streams.items()}
            for index in range(self.config.swin_depth):
                streams = self.shared({task: self._block(task, level, index) for task in running}, streams)
        prepared, size = self.encoder.prepare(image), (int(image.shape[-2]), int(image.shape[-1]))
        out: dict[str, Tensor] = {}
        for task in names:
            decoded = self._decoder(task).final(streams[task]).permute(0, 3, 1, 2)
            out |= self.heads(decoded[:, None], (task,), prepared, size)
        return out

    def _join(self, task: str, level: int, x: Tensor, skip: Tensor) -> Tensor:
        decoder = self._decoder(task)
        return decoder.fuse[level](torch.cat([decoder.expand[level](x), skip], dim=-1))
