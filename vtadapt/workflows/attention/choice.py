"""Which block and size are shown unless they are named: a map that is fine enough to see something on."""

from __future__ import annotations

import math

from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.backbones.block import AdaptedStage

CLEAR = 24  # tokens on the short side of a map on which things of a photograph can be told apart
PIXELS = 400_000  # of a size that is chosen or suggested at most, so that it fits most machines


def chosen_block(model: AdaptedModel) -> int:
    """The number of the last adapted block with the finest map: later stages have a quarter of the tokens each."""
    return len(model.backbone.adapted_stages[0].blocks) - 1


def stage_of(backbone: Backbone, block: int) -> AdaptedStage:
    """The stage of an adapted block, whose number may be negative from the end."""
    stages = [stage for stage in backbone.adapted_stages for _ in stage.blocks]
    return stages[block]


def units(backbone: Backbone, stage: AdaptedStage) -> tuple[int, int]:
    """Pixels (vertical, horizontal) to multiples of which a size needs no padding: neither image nor windows."""
    height, width = stage.blocks[0].cell
    return math.lcm(height * stage.stride, backbone.stride), math.lcm(width * stage.stride, backbone.stride)


def chosen_size(backbone: Backbone, block: int, photo: tuple[int, int], usual: tuple[int, int]) -> tuple[int, int]:
    """The size to run at.

    Args:
        backbone: of the run.
        block: number of the block that is shown.
        photo: (H, W) of the photograph.
        usual: (H, W) that would be run at otherwise.

    Returns:
        ``usual`` where its map has :data:`CLEAR` tokens on the short side; else the smallest size of about the
        photograph's shape that has them and needs no padding, or less where it would exceed :data:`PIXELS`.
    """
    stage = stage_of(backbone, block)
    if min(usual) >= CLEAR * stage.stride:
        return usual
    unit_h, unit_w = units(backbone, stage)
    upright = photo[0] > photo[1]
    short_unit, long_unit = (unit_w, unit_h) if upright else (unit_h, unit_w)
    aspect = max(photo) / min(photo)
    for count in range(math.ceil(CLEAR * stage.stride / short_unit), 0, -1):
        short = count * short_unit
        long = max(1, round(short * aspect / long_unit)) * long_unit
        if short * long <= PIXELS:
            return (long, short) if upright else (short, long)
    return usual
