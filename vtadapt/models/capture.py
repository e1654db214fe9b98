"""The attention of an adapted block for an image: the frozen backbone's own, and each task's (TAA)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vtadapt.errors import UsageError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.adapter import AdapterBlock
from vtadapt.models.attention_maps import AttentionMaps, Head
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.backbones.block import AdaptedBlock, Grid


def find_block(model: AdaptedModel, block: int, head: Head = "mean") -> tuple[str, int]:
    """Say which adapted block a number means: its name ("stage 4 block 2") and its number of heads.

    Args:
        model: gives the adapted blocks, stage by stage.
        block: 0 is the first of them, -1 the last.
        head: checked against the block's heads.

    Raises:
        UsageError: no such block or head.
    """
    names = list(model.shared_parameters())
    if not -len(names) <= block < len(names):
        known = ", ".join(f"{number} = {name}" for number, name in enumerate(names))
        raise UsageError(f"block {block}: no such adapted block; there are {known}; -1 is the last")
    stage, _ = _locate(model.backbone, block)
    heads = model.backbone.adapted_stages[stage].heads
    if not isinstance(head, str) and not 0 <= head < heads:
        raise UsageError(f"head {head}: {names[block]} has {heads} heads; wanted mean or 0 to {heads - 1}")
    return names[block], heads


def regular_attention(
    backbone: Backbone, image: Tensor, block: int = -1, *, head: Head = "mean", from_stage: bool = False
) -> list[AttentionMaps]:
    """The backbone's own self-attention in an adapted block: no adapter takes part, in this block or before it.

    Args:
        backbone: as it was before training (``train_blocks = "adapters"`` leaves it so).
        image: (1, 3, H, W) in 0..1, any size.
        block: number of the adapted block, negative from the end.
        head: "mean" over heads, one head's number, or "all".
        from_stage: also the adapted blocks of the same stage before it, for rollout.

    Returns:
        One entry per block, the wanted one last.
    """
    _check_one(image)
    stage, index = _locate(backbone, block)
    with ExitStack() as stack:
        adapted, grid = backbone.adapted_stages[stage], _grids(backbone, image)[stage]
        numbers = range(0 if from_stage else index, index + 1)
        found = [stack.enter_context(_recording(adapted.blocks[i], None, grid, head)) for i in numbers]
        backbone.features(image)
    return [_framed(maps[0], adapted.stride, image) for maps in found]


def task_attention(
    model: AdaptedModel,
    image: Tensor,
    block: int = -1,
    *,
    tasks: Sequence[str] | None = None,
    head: Head = "mean",
    from_stage: bool = False,
) -> tuple[dict[str, Tensor], dict[str, list[AttentionMaps]]]:
    """Predict, and note the task-adapted attention of an adapted block meanwhile.

    Args:
        model: its forward runs as always.
        image: (1, 3, H, W) in 0..1, any size.
        block: number of the adapted block, negative from the end.
        tasks: names; None for all.
        head: "mean" over heads, one head's number, or "all".
        from_stage: also the adapted blocks of the same stage before it, for rollout.

    Returns:
        The logits, bit for bit those of ``model(image, tasks)``, and task -> one entry per block, the wanted one last.
    """
    _check_one(image)
    stage, index = _locate(model.backbone, block)
    names = model.tasks if tasks is None else tuple(tasks)
    with ExitStack() as stack:
        adapted, grid = model.backbone.adapted_stages[stage], _grids(model.backbone, image)[stage]
        adapters = model.adapters.of_stage(stage)
        numbers = range(0 if from_stage else index, index + 1)
        found = [stack.enter_context(_recording(adapted.blocks[i], adapters[i], grid, head)) for i in numbers]
        with torch.no_grad():
            logits = model(image, names)
    order = [name for part in model.together(names) for name in part]  # in which the block ran for them
    maps = {n: [_framed(each[order.index(n)], adapted.stride, image) for each in found] for n in names}
    return logits, maps


@contextmanager
def _recording(
    block: AdaptedBlock, adapter: AdapterBlock | None, grid: Grid, head: Head
) -> Iterator[list[AttentionMaps]]:
    """Note where a block looks each time it runs; what it computes does not change by a bit.

    Args:
        block: the backbone's block.
        adapter: what runs it; None for timm's own forward.
        grid: where its tokens lie.
        head: "mean" over heads, one head's number, or "all".

    Yields:
        A list that gets one entry per image and task, in the order of the folded batch (B, T).
    """
    found: list[AttentionMaps] = []

    @torch.no_grad()
    def look(_: nn.Module, args: Any) -> None:
        if adapter is None:
            found.extend(block.look(args[0], None, grid, head))
        else:
            _, x, _, z, _ = args
            found.extend(block.look(x, adapter.attention.bias(z), grid, head))

    handle = (block.module if adapter is None else adapter).register_forward_pre_hook(look)
    try:
        yield found
    finally:
        handle.remove()


def _grids(backbone: Backbone, image: Tensor) -> tuple[Grid, ...]:
    return backbone.grids((int(image.shape[-2]), int(image.shape[-1])), image.device)


def _check_one(image: Tensor) -> None:
    if image.dim() != 4 or image.shape[0] != 1:
        raise ValueError(f"image must be (1, 3, H, W), found {tuple(image.shape)}")


def _locate(backbone: Backbone, block: int) -> tuple[int, int]:
    """Stage among the adapted ones, and the block's number in it."""
    places = [(s, i) for s, stage in enumerate(backbone.adapted_stages) for i in range(len(stage.blocks))]
    return places[block]


def _framed(maps: AttentionMaps, stride: int, image: Tensor) -> AttentionMaps:
    """Tell the maps how many pixels a token covers, and which tokens see the image."""
    h, w = image.shape[-2:]
    return replace(maps, stride=stride, shown=(math.ceil(h / stride), math.ceil(w / stride)))
