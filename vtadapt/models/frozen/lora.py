"""Low-rank adaptation (Hu et al., *LoRA*, ICLR 2022, arXiv 2106.09685) of the blocks that adapters would adapt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vtadapt.models.backbones.base import Backbone, Encoded, size_of
from vtadapt.models.decoder import make_decoder
from vtadapt.models.frozen.base import FrozenModel
from vtadapt.models.heads.make import HeadKind, make_heads
from vtadapt.models.multitask import Group, Owned


@dataclass(frozen=True)
class LoraConfig:
    """The architecture; what it shares with :class:`vtadapt.models.adapted.AdapterConfig` means the same.

    Attributes:
        lora_rank: rank r of the change of each weight.
        lora_alpha: the change is B A times ``lora_alpha / lora_rank``.
        decoder: "light" or "swin".
        decoder_width: channels of the light decoder.
        head: what draws each pixel from the light decoder's tokens, a key of :data:`vtadapt.models.heads.make.HEADS`.
        decoder_sharing: "shared" or "per_task".
    """

    lora_rank: int = 8
    lora_alpha: float = 16.0
    decoder: Literal["light", "swin"] = "light"
    decoder_width: int = 48
    head: HeadKind = "subpixel"
    decoder_sharing: Literal["shared", "per_task"] = "shared"


class LowRank(nn.Module):
    """W -> W + (alpha / r) B A, with B (out, r) starting at zero and A (r, in) drawn as in the authors' code."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        """Create A and B for a linear layer, which is not kept."""
        super().__init__()
        self.scale = alpha / rank
        self.a = nn.Parameter(torch.empty(rank, linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """(out, in) -> (out, in)."""
        return weight + self.scale * (self.b @ self.a)


class Levels(nn.Module):
    """A backbone's features as a module's forward, which is what ``functional_call`` calls."""

    def __init__(self, backbone: Backbone) -> None:
        """Wrap."""
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor | Encoded) -> list[Tensor]:
        """(B, 3, H, W) in 0..1 -> levels (B, h, w, C), finest first; gradients begin at the first changed weight."""
        return self.backbone.features(image, grad=True)


class LoraModel(FrozenModel):
    """A frozen encoder, low-rank changes of the weights of its last blocks that all tasks share, decoder and heads.

    Changed are query, key, value and projection of the attention and both layers of the feed-forward, in the very
    blocks that adapters adapt. The weights are replaced for the time of a call, so that it works for blocks that read
    ``qkv.weight`` without calling ``qkv``, and the backbone stays as it was. Tasks differ in their heads, and in their
    decoders with ``decoder_sharing`` "per_task".
    """

    Config = LoraConfig
    entry = "lora"
    has_own_parts = True

    backbone: Backbone
    config: LoraConfig

    def __init__(self, backbone: Backbone, channels: Mapping[str, int], config: LoraConfig) -> None:
        """Create what is trained; the backbone is frozen whole. Arguments and errors as :class:`MultitaskModel`."""
        super().__init__(backbone, channels, config)
        targets = adapted_linears(backbone)
        self.places = tuple(targets)
        self.low_rank = nn.ModuleList(LowRank(x, config.lora_rank, config.lora_alpha) for x in targets.values())
        copies = 1 if config.decoder_sharing == "shared" else len(channels)
        decoders = [make_decoder(config.decoder, backbone, config.decoder_width) for _ in range(copies)]
        self.decoders = nn.ModuleList(decoders)
        self.heads = make_heads(config.head, decoders[0].width, channels, decoders[0].scale)
        self.train()

    def components(self) -> list[tuple[str, str, Group]]:
        """The parameter ledger, see :meth:`MultitaskModel.components`."""
        return [
            *self.frozen_components(),
            ("low-rank", "A, B of qkv, proj, FF", Group(list(self.low_rank.parameters()), True)),
            ("decoder", self.config.decoder_sharing, Group(list(self.decoders.parameters()), True)),
            ("heads", self.config.head, Group(list(self.heads.parameters()), True)),
        ]

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """What lies before the first changed block, see :meth:`Backbone.begun`."""
        return self.backbone.begun(image)

    @property
    def encoding(self) -> str:
        """What :meth:`encode` gives."""
        return self.backbone.cut

    def features(self, image: Tensor | Encoded) -> list[Tensor]:
        """(B, 3, H, W) in 0..1 -> levels (B, h, w, C) of the changed encoder, finest first."""
        changed = {
            f"backbone.{place}.weight": low_rank(cast(nn.Linear, self.backbone.get_submodule(place)).weight)
            for place, low_rank in zip(self.places, self.low_rank, strict=True)
        }
        return functional_call(Levels(self.backbone), changed, (image,))

    def forward(self, image: Tensor | Encoded, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) in 0..1 -> task name -> logits (B, channels, H, W), for all tasks or those named."""
        names = self.names(tasks)
        levels = self.features(image)
        first = len(levels) - len(self.backbone.adapted_stages)
        skips, adapted = tuple(levels[:first]), [x[:, None] for x in levels[first:]]
        out: dict[str, Tensor] = {}
        for part in self.together(names):
            used = [0] if len(self.decoders) == 1 else [self.tasks.index(name) for name in part]
            decoded = torch.cat([self.decoders[index](adapted, skips) for index in used], dim=1)
            decoded = decoded.expand(-1, len(part), -1, -1, -1)
            out |= self.heads(decoded, part, self.backbone.seen(image), size_of(image))
        return {name: out[name] for name in names}

    def head_of(self, task: str) -> nn.Module:
        """The head of one task."""
        return self.heads.heads[task]

    def owned(self, task: str) -> list[Owned]:
        """What is of one task alone: its head, and its decoder where each task has one."""
        return [Owned(p) for module in self.own_modules(task).values() for p in module.parameters()]

    def own_modules(self, task: str) -> dict[str, nn.Module]:
        """Its head, and its decoder where each task has one."""
        decoder = {"decoder": self.decoders[self.tasks.index(task)]} if len(self.decoders) > 1 else {}
        return {"head": self.heads.heads[task], **decoder}


def adapted_linears(backbone: Backbone) -> dict[str, nn.Linear]:
    """The linear layers of the adapted blocks that read and write tokens, by their names in the backbone.

    Layers narrower than the tokens on one side are left out: they make position biases or gates.
    """
    stages = backbone.adapted_stages
    widths = {id(module): stage.dim for stage in stages for block in stage.blocks for module in block.module.modules()}
    return {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear)
        and min(module.in_features, module.out_features) >= widths.get(id(module), math.inf)
    }
