"""What a network says of one photograph, whole or in tiles: from the working size, decoded and brought back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.errors import VtadaptError, is_out_of_memory
from vtadapt.tasks import Task
from vtadapt.workflows.sizing.size import Plan, resize
from vtadapt.workflows.sizing.tiled import Network, blended, resized, rows_resized

BAND = 2_000_000  # pixels of class maps that are decoded together, about


def decoded(
    network: Network, rgb: np.ndarray, tasks: Mapping[str, Task], plan: Plan, shown: tuple[int, int]
) -> dict[str, Tensor]:
    """Decoded predictions of every task, on the CPU.

    Args:
        network: (B, 3, h, w) in 0..1, on the CPU -> logits.
        rgb: (H, W, 3) uint8.
        tasks: those wanted of the network's.
        plan: the size to work at, and in which tiles.
        shown: (height, width) of the result.

    Raises:
        VtadaptError: not enough memory.
    """
    with enough_memory(plan.pieces, "--tile auto, or --size auto or HxW"), torch.no_grad():
        if plan.grid is None:
            logits = network(network_input(rgb, plan.size))
            return {name: _decode(task, logits[name].float().cpu(), shown) for name, task in tasks.items()}
        image = _planes(rgb) if plan.size == (rgb.shape[0], rgb.shape[1]) else network_input(rgb, plan.size)
        return _join(tasks, resized(blended(network, image, tasks, plan.grid), plan.size, shown), shown)


@contextlib.contextmanager
def enough_memory(size: tuple[int, int], advice: str = "--size auto or HxW") -> Iterator[None]:
    """Turn the errors of a model that runs out of memory at ``size`` (height, width) into a VtadaptError."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise VtadaptError(f"not enough memory at {size[0]} x {size[1]}; use {advice}") from error


def network_input(rgb: np.ndarray, size: tuple[int, int]) -> Tensor:
    """The photograph (H, W, 3) uint8 as the network is given it: (1, 3, *size) in 0..1."""
    return resize(_planes(rgb).float().div_(255), size)


def _planes(rgb: np.ndarray) -> Tensor:
    """(H, W, 3) -> (1, 3, H, W), uint8."""
    return torch.from_numpy(np.require(rgb, requirements="W")).permute(2, 0, 1)[None]


def _decode(task: Task, logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring logits to a size and decode them: (C, H, W) or (H, W)."""
    own = logits.shape[-2], logits.shape[-1]
    if own == size:
        return task.decode(logits)[0]
    if task.behaviour.scores_classes:
        # K full-size maps of a large photograph are gigabytes; decoding rows in bands keeps it small.
        count = max(2, size[0] * size[1] // BAND + 2)
        bands = torch.linspace(0, size[0], count).round().long().tolist()
        rows = [(a, b) for a, b in zip(bands, bands[1:], strict=False) if b > a]
        return torch.cat([task.decode(rows_resized(logits, 0, own, size, each))[0] for each in rows], dim=-2)
    return task.decode(F.interpolate(logits, size=size, mode="bilinear", align_corners=False))[0]


def _join(tasks: Mapping[str, Task], bands: Iterable[Mapping[str, Tensor]], size: tuple[int, int]) -> dict[str, Tensor]:
    """Decode bands of rows as they come and put them below each other, to a picture of ``size`` (height, width)."""
    joined: dict[str, Tensor] = {}
    top = 0
    for band in bands:
        for name, task in tasks.items():
            part = task.decode(band[name])[0]
            if name not in joined:
                joined[name] = part.new_empty(*part.shape[:-2], *size)
            joined[name][..., top : top + part.shape[-2], :] = part
        top += part.shape[-2]
    return joined
