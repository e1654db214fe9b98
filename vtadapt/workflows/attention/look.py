"""Where a block looks at one photograph: the networks run once, and any pixel can be asked about after that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from torch import Tensor

from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.attention_maps import AttentionMaps, rollout
from vtadapt.models.capture import regular_attention, task_attention
from vtadapt.viz.attention import TokenMap
from vtadapt.workflows.attention.choice import chosen_size
from vtadapt.workflows.attention.options import ROLLOUT
from vtadapt.workflows.attention.ready import Ready
from vtadapt.workflows.sizing.decoded import enough_memory, network_input
from vtadapt.workflows.sizing.size import parse_run_size

REGULAR = "regular"
"""Name of the map of the backbone by itself; those of tasks are called taa_TASK."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What the tokens of a photograph attend to, in the backbone by itself and for each task.

    Attributes:
        size: (height, width) of the photograph.
        run_size: at which the networks ran.
        maps: "regular" and "taa_TASK" -> one entry per block, the wanted one last.
    """

    size: tuple[int, int]
    run_size: tuple[int, int]
    maps: Mapping[str, Sequence[AttentionMaps]]

    @property
    def last(self) -> AttentionMaps:
        """The wanted block of the backbone by itself."""
        return self.maps[REGULAR][-1]

    @property
    def tokens(self) -> tuple[int, int]:
        """(rows, columns) of the tokens that see the photograph."""
        return self.last.shown

    @property
    def cell(self) -> tuple[float, float]:
        """Height and width of a token in pixels of the photograph."""
        stride = self.last.stride
        return stride * self.size[0] / self.run_size[0], stride * self.size[1] / self.run_size[1]

    def token(self, pixel: tuple[int, int]) -> tuple[int, int]:
        """The token (y, x) that a pixel (x, y) of the photograph lies in."""
        y, x = int((pixel[1] + 0.5) / self.cell[0]), int((pixel[0] + 0.5) / self.cell[1])
        return min(y, self.tokens[0] - 1), min(x, self.tokens[1] - 1)

    def query_pixel(self, query: tuple[int, int] | str | None) -> tuple[tuple[int, int] | None, str]:
        """The pixel (x, y) that is asked about, and how it was chosen if nobody named it ("auto")."""
        if not isinstance(query, str):
            return query, ""
        y, x, entropy = self.last.most_focused()
        (height, width), cell = self.size, self.cell
        pixel = (min(int((x + 0.5) * cell[1]), width - 1), min(int((y + 0.5) * cell[0]), height - 1))
        return pixel, (
            f"--query auto took {pixel[0]},{pixel[1]}: of the tokens that see most others, the one whose regular "
            f"self-attention is the most focused (entropy {entropy:.2f} of the uniform one's)"
        )

    def pictures(self, mode: str, pixel: tuple[int, int] | None) -> dict[str, TokenMap]:
        """The maps of a mode, what of each a query can reach, and the blocks' windows."""
        token = None if pixel is None else self.token(pixel)
        return {name: _picture(each, mode, token, self.cell) for name, each in self.maps.items()}


def look(rgb: np.ndarray, ready: Ready) -> Looked:
    """Run the backbone by itself and the run's network on a photograph, (H, W, 3) uint8.

    Raises:
        UsageError: a size that is none.
        VtadaptError: not enough memory.
    """
    plan, model = ready.plan, cast(AdaptedModel, ready.loaded.model)
    size = rgb.shape[0], rgb.shape[1]
    run_size = parse_run_size(plan.size or "auto", size, ready.loaded.size)
    if plan.size is None:
        run_size = chosen_size(model.backbone, plan.block, size, run_size)
    through = plan.mode == ROLLOUT
    with enough_memory(run_size):
        image = network_input(rgb, run_size)
        regular = regular_attention(ready.backbone, image, plan.block, head=plan.head, from_stage=through)
        _, found = task_attention(model, image, plan.block, tasks=plan.tasks, head=plan.head, from_stage=through)
    return Looked(size, run_size, {REGULAR: regular, **{f"taa_{name}": each for name, each in found.items()}})


def _picture(
    maps: Sequence[AttentionMaps], mode: str, token: tuple[int, int] | None, cell: tuple[float, float]
) -> TokenMap:
    """The map of a mode, what of it a query can reach, and the block's windows."""
    last = maps[-1]
    reach: Tensor | None = None
    if mode == ROLLOUT:
        values, reached = rollout(maps, token)
        reach = None if token is None else reached
    elif token is None:
        values = last.received()
    else:
        values, reach = last.query(*token), last.reach(*token)
    return TokenMap(values.numpy(), cell, None if reach is None else reach.numpy(), last.regions().numpy())
