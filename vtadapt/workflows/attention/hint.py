"""Which block and size show more of a photograph, where a map of attention is coarse or partly on padding."""

from __future__ import annotations

import math
from typing import Any

from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.backbones.base import Backbone
from vtadapt.workflows.attention.choice import PIXELS, chosen_block, units

FEW = 100  # tokens; fewer make a map of a few large squares
MUCH = 0.05  # share of the regular attention on padding


def finer(model: AdaptedModel, block: int, entry: dict[str, Any]) -> str:
    """One line on a block and a size that show more; empty where there is nothing to gain.

    Args:
        model: of the run.
        block: number of the block that was shown, negative from the end.
        entry: what :func:`vtadapt.workflows.attention.visualize.visualize_attention` reports of a photograph.
    """
    rows, columns = entry["tokens"]
    share = entry["on_padding"]["regular"]
    few = rows * columns < FEW
    if not few and share < MUCH:
        return ""
    finest = chosen_block(model)
    height, width = whole_windows(model.backbone, entry["size"][0] / entry["size"][1])
    total = sum(len(stage.blocks) for stage in model.backbone.adapted_stages)
    if (block % total, entry["run_size"]) == (finest, [height, width]):
        return ""
    found = [f"{rows} x {columns} tokens only"] if few else []
    if share >= MUCH:
        found.append(f"{share:.0%} of the regular attention on padding")
    gain = "shows more" if few else "has none"
    return f"{' and '.join(found)}; --block {finest} --size {height}x{width} {gain}"


def whole_windows(backbone: Backbone, aspect: float) -> tuple[int, int]:
    """The size (height, width) nearest to ``aspect`` = height / width that needs no padding; of equal ones the largest.

    Sides are multiples of window x stride of the finest adapted stage, and of the stride that images are padded to.
    """
    unit_h, unit_w = units(backbone, backbone.adapted_stages[0])
    most = max(1, PIXELS // (unit_h * unit_w))
    sizes = [(a * unit_h, b * unit_w) for a in range(1, most + 1) for b in range(1, most // a + 1)]
    return min(sizes, key=lambda size: (round(abs(math.log(size[0] / size[1] / aspect)), 6), -size[0]))
