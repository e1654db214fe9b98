"""The adapted model: frozen trunk, adapters for all tasks in one folded batch, decoder, heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from vtadapt.models.adapter import AdapterBlock, AdapterChain, Order
from vtadapt.models.backbones.base import Backbone, Encoded, TrunkFeatures
from vtadapt.models.conditioning import FiLM, TaskEmbedding, TaskScaledNorm
from vtadapt.models.decoder import LightDecoder, SwinDecoder, make_decoder
from vtadapt.models.heads.make import HeadKind, make_heads
from vtadapt.models.multitask import Group, MultitaskModel, Owned

TrainBlocks = Literal["adapters", "full", "all"]


@dataclass(frozen=True)
class AdapterConfig:
    """The architecture around the backbone.

    Attributes:
        embedding_dim: size E of the task embeddings; None = w^3 with w the window of the last stage (slides).
        reduction: r of the bottleneck C -> C/r -> C.
        adapter: "residual" (the pretrained block as it is, and a bottleneck beside it) or "slides".
        decoder: "light" (narrow, projects skips once for all tasks) or "swin" (the paper's).
        decoder_width: channels of the light decoder.
        head: what draws each pixel from the light decoder's tokens, a key of :data:`vtadapt.models.heads.make.HEADS`.
        decoder_sharing: "shared" (parameters do not grow with T) or "per_task".
        train_blocks: "adapters" (the backbone stays frozen whole), "full" (the adapted blocks are trained too, as in
            the authors' released code) or "all" (the trunk too: ordinary fine-tuning, the reference for the frozen
            design).
    """

    embedding_dim: int | None = None
    reduction: int = 4
    adapter: Order = "residual"
    decoder: Literal["light", "swin"] = "light"
    decoder_width: int = 48
    head: HeadKind = "subpixel"
    decoder_sharing: Literal["shared", "per_task"] = "shared"
    train_blocks: TrainBlocks = "adapters"


class AdaptedModel(MultitaskModel):
    """Frozen backbone + adapters + decoder -> ``dict[task name, logits (B, channels, H, W)]``.

    ``affinity`` (T, T) is a buffer: rows are sources, columns targets; the identity until TROA fills it.
    """

    Config = AdapterConfig
    entry = "adapters"
    has_affinity = has_attention = has_own_parts = True

    backbone: Backbone
    config: AdapterConfig
    affinity: Tensor

    def __init__(self, backbone: Backbone, channels: Mapping[str, int], config: AdapterConfig) -> None:
        """Create adapters, decoder and heads.

        Args:
            backbone: frozen here, as ``config.train_blocks`` says.
            channels: task name -> number of output channels; the order of tasks is the order of A's axes.
            config: architecture.

        Raises:
            ConfigError: no task.
        """
        super().__init__(backbone, channels, config)
        embedding_dim = config.embedding_dim or backbone.window**3
        self.embedding = TaskEmbedding(len(channels), embedding_dim)
        self.adapters = AdapterChain(backbone.adapted_stages, embedding_dim, config.reduction, config.adapter)
        copies = 1 if config.decoder_sharing == "shared" else len(channels)
        decoders = [make_decoder(config.decoder, backbone, config.decoder_width) for _ in range(copies)]
        self.decoders = nn.ModuleList(decoders)
        self.heads = make_heads(config.head, decoders[0].width, channels, decoders[0].scale)
        # A buffer and no parameter: TROA sets A, no optimiser may move it, and it is saved with the weights.
        self.register_buffer("affinity", torch.eye(len(channels)))
        # By identity: a parameter that two modules share is then judged once, by the ledger that people read.
        trained = {id(p) for _, _, group in self.components() if group.trained for p in group.parameters}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        self.train()

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`MultitaskModel.components`."""
        level = self.config.train_blocks
        blocks = [m for m in self.adapters.modules() if isinstance(m, AdapterBlock)]
        norms = [m for m in self.adapters.modules() if isinstance(m, TaskScaledNorm)]
        films = [m for m in self.adapters.modules() if isinstance(m, FiLM)]
        return [
            (
                "trunk",
                "everything before the first adapted block",
                Group(self.backbone.trunk_parameters(), level == "all"),
            ),
            (
                "adapted blocks",
                "the backbone's own qkv, proj, FF, norms",
                Group(self.backbone.adapted_parameters(), level != "adapters"),
            ),
            ("unused", "the backbone's final norm", Group(self.backbone.unused_parameters(), False)),
            *self.added_component(),
            ("task embeddings", "e_s", Group(list(self.embedding.parameters()), True)),
            ("attention bias", "A0", Group([b.attention.a0 for b in blocks], True)),
            ("FiLM", "z -> gamma, beta", Group([p for m in films for p in m.parameters()], True)),
            ("task-scaled norm", "gamma', beta', G, Bg, Bb", Group([p for m in norms for p in m.parameters()], True)),
            ("bottlenecks", "down, up", Group([p for b in blocks for p in b.bottleneck.parameters()], True)),
            ("skip merge", "patch merging of s", Group(list(self.adapters.skip_merge.parameters()), True)),
            ("decoder", self.config.decoder_sharing, Group(list(self.decoders.parameters()), True)),
            ("heads", self.config.head, Group(list(self.heads.parameters()), True)),
        ]

    def train(self, mode: bool = True) -> AdaptedModel:
        """Switch modes; what is frozen of the backbone always stays in eval mode."""
        super().train(mode)
        if self.config.train_blocks != "all":
            # Frozen blocks run as they do when the network is used; with dropout the adapters would be fitted to other
            # features.
            self.backbone.eval()
        if self.config.train_blocks == "full":
            for stage in self.backbone.adapted_stages:
                for block in stage.blocks:
                    block.module.train(mode)
        return self

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """What lies before the first adapted block, see :meth:`Backbone.begun`."""
        return self.backbone.begun(image)

    @property
    def encoding(self) -> str:
        """What :meth:`encode` gives."""
        return self.backbone.cut

    def forward(self, image: Tensor | Encoded, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Predict all tasks, or only some of them for less work.

        Args:
            image: (B, 3, H, W) in 0..1, any size, or what :meth:`encode` made of them.
            tasks: names; None for all.

        Returns:
            task name -> logits (B, channels, H, W).
        """
        names = self.names(tasks)
        # The frozen trunk keeps no activations for a backward that never comes: most of the memory that is saved.
        trunk = self.backbone.trunk(image, grad=self.config.train_blocks == "all")
        out: dict[str, Tensor] = {}
        for part in self.together(names):
            index = [self.tasks.index(name) for name in part]
            skips, features = self._adapt(trunk, index)
            out |= self._predict(self._decode(features, skips, index), part, trunk)
        return {name: out[name] for name in names}

    def cross(
        self, trunk: TrunkFeatures, target: str, sources: Sequence[str]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Predict the ``sources`` from features that are conditioned on ``target``: head of s on z_t (TROA's u[s|t]).

        Args:
            trunk: of a batch of B images; it serves all targets.
            target: whose conditioning vector z_t goes into attention and norms.
            sources: whose heads (and decoders, where each task has its own) read the result.

        Returns:
            source -> logits (B, channels of the source, H, W); and what entered each adapted block, (B, 1, h, w, C),
            the first of them being ``trunk.tokens``.
        """
        entered: list[Tensor] = []
        blocks = [m for m in self.adapters.modules() if isinstance(m, AdapterBlock)]
        # By hooks, so that forward itself need not carry what only the measurement of affinities looks at.
        handles = [block.register_forward_pre_hook(lambda _, args: entered.append(args[1])) for block in blocks]
        try:
            skips, features = self._adapt(trunk, [self.tasks.index(target)])  # (B, h, w, C) and (B, 1, h, w, C)
        finally:
            for handle in handles:
                handle.remove()
        out: dict[str, Tensor] = {}
        decoded: Tensor | None = None
        for source in sources:
            if decoded is None or len(self.decoders) > 1:
                decoded = self._decode(features, skips, [self.tasks.index(source)])
            out |= self._predict(decoded, (source,), trunk)
        return out, entered

    def shared_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Parameters that all tasks train through the adapted blocks, by the block's name ("stage 3 block 6", from 1).

        A0, gamma' and beta' of the norms, bottlenecks, and the skip's patch merging (counted with the block that reads
        it); not the embeddings, nor the layers that read z_t, nor decoder and heads. The order is that of the blocks.
        """
        out: dict[str, list[nn.Parameter]] = {}
        ends = [*self.adapters.norms_out] or [None] * len(self.adapters.blocks)
        for stage, adapters in enumerate(self.adapters.blocks):
            names = self.backbone.adapted_stages[stage].names
            for index, adapter in enumerate(cast(nn.ModuleList, adapters)):
                block = cast(AdapterBlock, adapter)
                end = ends[stage] if index + 1 == len(names) else None
                norms = [*block.norms, *([] if end is None else [cast(TaskScaledNorm, end)])]
                found = [block.attention.a0, *(p for norm in norms for p in (norm.gamma, norm.beta))]
                found += list(block.bottleneck.parameters())
                if stage and not index:
                    found += list(self.adapters.skip_merge[stage - 1].parameters())
                out[names[index]] = found
        return out

    def head_of(self, task: str) -> nn.Module:
        """The head of one task."""
        return self.heads.heads[task]

    def owned(self, task: str) -> list[Owned]:
        """What is of one task alone: its row e_t of the embeddings, its head, its decoder where each task has one."""
        rest = [Owned(parameter) for module in self.own_modules(task).values() for parameter in module.parameters()]
        return [Owned(self.embedding.weight, self.tasks.index(task)), *rest]

    def own_modules(self, task: str) -> dict[str, nn.Module]:
        """Its head, and its decoder where each task has one."""
        decoder = {"decoder": self.decoders[self.tasks.index(task)]} if len(self.decoders) > 1 else {}
        return {"head": self.heads.heads[task], **decoder}

    def _adapt(self, trunk: TrunkFeatures, index: list[int]) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """The levels that the decoder reads: of all tasks, and of each task."""
        # Mixed over all tasks before some are chosen: a prediction must not depend on which others are asked for. Nor
        # on tasks that were added after these: a larger product may round otherwise.
        known = max(len(self.tasks) - len(self.alone), max(index) + 1)
        z = self.embedding(self.affinity[:known, :known].contiguous())[index]  # (T, E)
        # A view: the trunk's tokens are equal for all tasks, and are copied only once something changes them.
        x = trunk.tokens[:, None].expand(-1, len(index), -1, -1, -1)  # (B, T, h, w, C)
        found = self.adapters(self.backbone.adapted_stages, x, z, trunk.grids)
        maps = [self.backbone.to_map(x, grid) for x, grid in zip(found, trunk.grids, strict=True)]
        return self.backbone.levels(trunk.skips, maps)

    def _decoder(self, task: int) -> SwinDecoder | LightDecoder:
        """That of the task of this number."""
        return cast("SwinDecoder | LightDecoder", self.decoders[task if len(self.decoders) > 1 else 0])

    def _predict(self, decoded: Tensor, names: Sequence[str], trunk: TrunkFeatures) -> dict[str, Tensor]:
        last = [self._decoder(self.tasks.index(name)).last for name in names]
        return self.heads(decoded, names, trunk.image, trunk.size, last)

    def _decode(self, features: list[Tensor], skips: tuple[Tensor, ...], index: list[int]) -> Tensor:
        if len(self.decoders) == 1:
            return self._decoder(0).tokens(features, skips)
        parts = [self._decoder(t).tokens([f[:, i : i + 1] for f in features], skips) for i, t in enumerate(index)]
        return torch.cat(parts, dim=1)
