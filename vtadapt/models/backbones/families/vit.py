"""Plain vision transformers: class and register tokens, LayerScale, rotary positions, any patch, any image size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from timm.layers import PatchEmbed
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, ResPostBlock
from torch import Tensor, nn
from torch.nn import functional as F

from vtadapt.errors import ConfigError
from vtadapt.models.attention_maps import AttentionMaps, Head
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.backbones.block import AdaptedBlock, AdaptedStage, Grid
from vtadapt.models.backbones.families.listening import probabilities
from vtadapt.models.backbones.families.simple_pyramid import SimplePyramid, even

WINDOW = 7  # side of the windows on which the task-adapted bias lies; with it E = 7^3 = 343, the slides' size
TAPS = 4  # blocks whose outputs are read as levels, at equal distances, as DPT reads 3, 6, 9 and 12 of 12
KINDS = {Block: False, EvaBlock: False, ResPostBlock: True, EvaBlockPostNorm: True}
"""Block of timm -> whether its norms come after the branches."""

Rope = Callable[[Grid], Tensor | None]


class ViTBlock(AdaptedBlock):
    """A block that attends to all tokens; they come as one row (1, N), the prefix tokens first.

    The task-adapted bias lies on windows of w x w tokens from the upper left corner of the map, those at the right and
    lower border cut; it is zero between windows, and from and to the prefix tokens.
    """

    def __init__(self, module: Any, prefix: int, rope: Rope) -> None:
        """Look at a block of timm; ``prefix``: tokens before those of the map; ``rope``: rotary positions of a map."""
        super().__init__(module)
        self.prefix, self.rope = prefix, rope
        self.post_norm = KINDS[type(module)]

    @property
    def window(self) -> tuple[int, int]:
        """(height, width) in tokens of the windows on which the bias lies."""
        return WINDOW, WINDOW

    @property
    def cell(self) -> tuple[int, int]:
        """Any token: all attend to all, and windows of the bias may be cut."""
        return 1, 1

    def attend(self, x: Tensor, bias: Tensor, grid: Grid) -> Tensor:
        """What attention adds, LayerScale and norm in their places, see :meth:`AdaptedBlock.attend`."""
        b, t = x.shape[:2]
        folded = x.flatten(0, 2)  # (B T, N, C)
        y = folded if self.post_norm else self.module.norm1(folded)
        mask = self._placed(bias, grid).to(folded.dtype).expand(b, -1, -1, -1, -1).flatten(0, 1)
        y = self.module.attn(y, attn_mask=mask, **self._positions(grid))
        return self._finished(y, 1).view(-1, t, 1, *y.shape[1:])

    def enter_feed_forward(self, x: Tensor) -> Tensor:
        """Apply LN2, where it comes first."""
        return x if self.post_norm else self.module.norm2(x)

    def transform(self, x: Tensor) -> Tensor:
        """FF, then LayerScale or the norm."""
        return self._finished(self.module.mlp(x), 2)

    def _finished(self, y: Tensor, branch: int) -> Tensor:
        """Apply what follows in a branch (1 attention, 2 feed-forward), the way timm's blocks have it."""
        block = self.module
        if self.post_norm:
            return getattr(block, f"norm{branch}")(y)
        if (gamma := getattr(block, f"gamma_{branch}", None)) is not None:
            return gamma * y
        scale: Callable[[Tensor], Tensor] | None = getattr(block, f"ls{branch}", None)
        return y if scale is None else scale(y)

    def _positions(self, grid: Grid) -> dict[str, Tensor]:
        rope = self.rope(grid)
        return {} if rope is None else {"rope": rope}

    def _placed(self, bias: Tensor, grid: Grid) -> Tensor:
        """The bias (T, w^2, w^2) of a window -> (T, 1, N, N) of all tokens."""
        (h, w), side = grid.size, WINDOW
        tall, wide = -(-h // side), -(-w // side)
        rows, columns = (torch.eye(n, dtype=bias.dtype, device=bias.device) for n in (tall, wide))
        inside = bias.view(-1, side, side, side, side)
        full = torch.einsum("trcsd,yz,xu->tyrxczsud", inside, rows, columns)
        full = full.reshape(-1, tall * side, wide * side, tall * side, wide * side)[:, :h, :w, :h, :w]
        full = full.reshape(-1, h * w, h * w)
        return F.pad(full, (self.prefix, 0, self.prefix, 0))[:, None]

    @torch.no_grad()
    def look(self, x: Tensor, bias: Tensor | None, grid: Grid, head: Head = "mean") -> list[AttentionMaps]:
        """Where the block looks, see :meth:`AdaptedBlock.look`: one window of all tokens; prefixes have no place."""
        n, c = x.shape[-2:]
        folded = x.reshape(-1, n, c)
        mask = None
        if bias is not None:
            mask = self._placed(bias, grid).to(x.dtype).repeat(len(folded) // len(bias), 1, 1, 1)
        y = folded if self.post_norm else self.module.norm1(folded)
        positions = self._positions(grid)

        def run(attn: Any, chosen: Tensor) -> None:
            attn.forward(y[chosen], attn_mask=None if mask is None else mask[chosen], **positions)

        weights = probabilities(self.module.attn, len(folded), run, head, at_once=1)
        places = torch.cat([torch.full((self.prefix,), -1), torch.arange(grid.size[0] * grid.size[1])])[None]
        visible = torch.ones(1, n, n, dtype=torch.bool)
        return [AttentionMaps(p, places, visible, grid.size, grid.size) for p in weights.split(1)]


class ViTBackbone(Backbone):
    """A VisionTransformer of timm, or one that is built alike; made with ``dynamic_img_size=True``.

    Adapted are the last third of the blocks, or as many as :meth:`adapt_last` says. Tokens are whole patches p, each
    of which sees the image. Levels lie at strides p/4, p/2, p and 2p: a simple feature pyramid, which all
    tasks share and which is trained with them, makes the finer ones of earlier blocks.
    """

    options: ClassVar[dict[str, Any]] = {"dynamic_img_size": True, "drop_path_rate": 0.0}
    cut_words = "the encoder"

    def __init__(self, name: str, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Wrap ``net``; the pyramid's initial values are drawn.

        Raises:
            ConfigError: its tokens are no patches, or its blocks are of a kind in which attention and feed-forward are
                not two branches in a row.
        """
        super().__init__(name, net, mean, std)
        if not isinstance(self.net.patch_embed, PatchEmbed):
            raise ConfigError(f"backbone {name!r} has a {type(self.net.patch_embed).__name__}; wanted plain patches")
        if strange := next((type(b).__name__ for b in self.net.blocks if type(b) not in KINDS), None):
            known = ", ".join(kind.__name__ for kind in KINDS)
            raise ConfigError(f"backbone {name!r} has blocks of timm's {strange}; wanted one with {known}")
        self.first_adapted = len(self.net.blocks) - math.ceil(len(self.net.blocks) / 3)
        self.patch = int(self.net.patch_embed.patch_size[0])
        self.pyramid = SimplePyramid(int(self.net.embed_dim))

    def _cut_blocks(self) -> Sequence[nn.Module]:
        return list(self.net.blocks)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return self.pyramid.channels

    @property
    def strides(self) -> tuple[float, ...]:
        """Pixels per position of each level, finest first: 4, 8, 16 and 32 for patches of 16."""
        return self.patch / 4, self.patch / 2, self.patch, 2 * self.patch

    @property
    def window(self) -> int:
        """Window size w of the task-adapted bias, which sets the default size w^3 of the task embedding."""
        return WINDOW

    @property
    def final_norm(self) -> nn.Module:
        """The norm after the last block, wherever timm keeps it; an identity where there is none."""
        for name in ("norm", "fc_norm"):
            norm = getattr(self.net, name, None)
            if isinstance(norm, nn.Module) and getattr(norm, "weight", None) is not None:
                return norm
        return nn.Identity()

    @property
    def adapted_stages(self) -> tuple[AdaptedStage, ...]:
        """The adapted blocks, one stage."""
        numbers = range(self.first_adapted, len(self.net.blocks))
        prefix = int(self.net.num_prefix_tokens)
        blocks = tuple(ViTBlock(self.net.blocks[i], prefix, self._rope_of(i)) for i in numbers)
        norm = self.final_norm
        norm = blocks[-1].norm if isinstance(norm, nn.Identity) else norm
        names = tuple(f"block {i + 1}" for i in numbers)
        return (AdaptedStage(blocks, names, None, int(self.net.embed_dim), self.patch, norm),)

    def _rope_of(self, block: int) -> Rope:  # noqa: ARG002 - of this block
        return lambda grid: None  # noqa: ARG005

    def grids(self, size: tuple[int, int], device: torch.device) -> tuple[Grid, ...]:
        """Where the tokens lie on images of ``size``: whole patches, so that all of them see the image."""
        return (Grid.covering(size, self.patch, self.patch, device),)

    def _patches(self, prepared: Tensor, grid: Grid) -> Tensor:
        """Timm's patches of a prepared image, without those that would see padding only."""
        h, w = (n * self.patch for n in grid.size)
        return self.net.patch_embed(prepared[..., :h, :w])

    def _embed(self, prepared: Tensor, grid: Grid) -> Tensor:
        """A prepared image -> tokens (B, N, C) that enter the first block."""
        return self.net.norm_pre(self.net._pos_embed(self._patches(prepared, grid)))

    def _run(self, x: Tensor, first: int, last: int, grid: Grid) -> Tensor:
        """Run blocks ``first`` to ``last``, the latter not included, as timm does."""
        for i in range(first, last):
            rope = self._rope_of(i)(grid)
            x = self.net.blocks[i](x) if rope is None else self.net.blocks[i](x, rope=rope)
        return x

    def to_map(self, x: Tensor, grid: Grid) -> Tensor:
        """(..., 1, N, C) -> (..., h, w, C); prefix tokens fall away."""
        return x[..., 0, int(self.net.num_prefix_tokens) :, :].unflatten(-2, grid.size)

    def _tap(self, number: int) -> int:
        """How many blocks lie before the output that is read as a level."""
        return math.ceil(len(self.net.blocks) * number / TAPS)

    def _begin(self, prepared: Tensor, size: tuple[int, int]) -> list[Tensor]:
        grid = self.grids(size, prepared.device)[0]
        x, done, found = self._embed(prepared, grid), 0, []
        for tap in (tap for tap in map(self._tap, range(1, TAPS)) if tap <= self.first_adapted):
            x, done = self._run(x, done, tap, grid), tap
            found.append(even(self.to_map(x[:, None], grid)))
        return [*found, self._run(x, done, self.first_adapted, grid)[:, None]]

    def _finish(self, begun: Sequence[Tensor], size: tuple[int, int]) -> list[Tensor]:
        *before, tokens = begun
        grid = self.grids(size, tokens.device)[0]
        x, done, found = tokens[:, 0], self.first_adapted, []
        for number in range(len(before) + 1, TAPS + 1):
            x, done = self._run(x, done, self._tap(number), grid), self._tap(number)
            found.append(self.final_norm(x) if number == TAPS else x)
        return [*before, *(even(self.to_map(y[:, None], grid)) for y in found)]

    def _skips(self, begun: Sequence[Tensor], grids: tuple[Grid, ...]) -> tuple[Tensor, ...]:
        """The two finer levels are made of early blocks, or of the last one that is not adapted."""
        *found, tokens = begun
        return (*found[:2], *(even(self.to_map(tokens, grids[0])) for _ in range(2 - len(found))))

    def levels(self, skips: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """The pyramid, see :meth:`Backbone.levels`: finer levels of all tasks, coarser ones of each."""
        finest, fine = skips
        (x,) = outputs
        return (self.pyramid.finest(finest), self.pyramid.fine(fine)), [even(x), self.pyramid.coarse(x)]

    def levels_of(self, plain: Sequence[Tensor]) -> list[Tensor]:
        """The pyramid, see :meth:`Encoder.levels_of`; it has gradients where it is trained."""
        finest, fine, x, last = plain
        return [self.pyramid.finest(finest), self.pyramid.fine(fine), x, self.pyramid.coarse(last)]

    @property
    def plain_channels(self) -> tuple[int, ...]:
        """Channels of :meth:`plain_features`."""
        return (int(self.net.embed_dim),) * TAPS

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Parameters of everything before the first adapted block."""
        later = ("blocks.", "norm.", "fc_norm.", "attn_pool.", "head")
        found = [p for name, p in self.net.named_parameters() if not name.startswith(later)]
        return found + [p for block in self.net.blocks[: self.first_adapted] for p in block.parameters()]

    def added_parameters(self) -> list[nn.Parameter]:
        """Parameters of the pyramid."""
        return list(self.pyramid.parameters())


class EvaBackbone(ViTBackbone):
    """An Eva of timm, as EVA02, DINOv3 and the Perception Encoder are: a plain transformer with rotary positions."""

    def train(self, mode: bool = True) -> Self:
        """Switch modes; positions are never disturbed at random, as the blocks would each see others."""
        super().train(mode)
        if self.net.rope is not None:
            self.net.rope.eval()
        return self

    def _rope_of(self, block: int) -> Rope:
        net = self.net

        def rope(grid: Grid) -> Tensor | None:
            if net.rope is None:
                return None
            found: Tensor = net.rope.get_embed(shape=grid.size)
            return found[block] if net.rope_mixed else found

        return rope

    def _embed(self, prepared: Tensor, grid: Grid) -> Tensor:
        x, _ = self.net._pos_embed(self._patches(prepared, grid))
        return self.net.norm_pre(x)
