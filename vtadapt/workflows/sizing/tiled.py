"""A network on a picture in tiles: what it says of each, blended where tiles overlap, row by row of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.tasks import Task
from vtadapt.workflows.sizing.grid import Grid

Network = Callable[[Tensor], Mapping[str, Tensor]]
"""(B, 3, H, W) in 0..1 -> task name -> logits (B, C, H, W)."""

Maps = dict[str, Tensor]

AT_ONCE = 512 * 512  # pixels of tiles that go through the network together, or one tile if it is larger


def blended(network: Network, image: Tensor, tasks: Mapping[str, Task], grid: Grid) -> Iterator[Maps]:
    """Yield logits of all tasks in bands of rows from top to bottom, on the CPU: name -> (B, C, rows, W), float32.

    What is averaged where tiles overlap is the task's to say (:meth:`Task.for_blending`: probabilities, metres, unit
    vectors); decoding the logits gives that average. In memory are one row of tiles and no more.

    Args:
        network: see :data:`Network`.
        image: (B, 3, H, W) at the working size: 0..1, or uint8 of 0..255.
        tasks: those wanted of the network's.
        grid: of H x W.
    """
    spans = grid.rows.spans
    held: Maps = {}  # sums of the rows that the next row of tiles adds to
    for index, ((top, bottom), across) in enumerate(zip(spans, grid.rows.weights, strict=True)):
        sums = _row(network, image[..., top:bottom, :], tasks, grid)
        done = (spans[index + 1][0] if index + 1 < len(spans) else bottom) - top
        for name, value in sums.items():
            value *= across[:, None]
            if name in held:
                value[..., : held[name].shape[-2], :] += held[name]
        held = {name: value[..., done:, :].clone() for name, value in sums.items()}
        yield {name: tasks[name].from_blended(value[..., :done, :]) for name, value in sums.items()}


def _row(network: Network, strip: Tensor, tasks: Mapping[str, Task], grid: Grid) -> Maps:
    """Blend the tiles of one row of them, (B, 3, rows, W) -> name -> (B, C, rows, W)."""
    sums: Maps = {}
    spans, weights = grid.columns.spans, grid.columns.weights
    for chosen in _batches(spans, strip.shape[0] * strip.shape[-2]):
        tiles = torch.cat([strip[..., spans[i][0] : spans[i][1]] for i in chosen])
        tiles = tiles if tiles.is_floating_point() else tiles.float().div_(255)
        logits = network(tiles)
        for name in [name for name in tasks if name in logits]:
            found = tasks[name].for_blending(logits[name]).float().cpu()
            if name not in sums:
                sums[name] = found.new_zeros(strip.shape[0], *found.shape[1:3], strip.shape[-1])
            for i, part in zip(chosen, found.chunk(len(chosen)), strict=True):
                sums[name][..., spans[i][0] : spans[i][1]] += part * weights[i]
    return sums


def _batches(spans: Sequence[tuple[int, int]], rows: int) -> Iterator[list[int]]:
    """Numbers of tiles that go through the network together: neighbours of one width, not too many pixels."""
    chosen: list[int] = []
    for i, (begin, end) in enumerate(spans):
        width = end - begin
        if chosen and (
            spans[chosen[0]][1] - spans[chosen[0]][0] != width or (len(chosen) + 1) * width * rows > AT_ONCE
        ):
            yield chosen
            chosen = []
        chosen.append(i)
    yield chosen


def whole(bands: Iterator[Maps]) -> Maps:
    """Join bands of rows."""
    parts = list(bands)
    return {name: torch.cat([part[name] for part in parts], dim=-2) for name in parts[0]}


def resized(bands: Iterator[Maps], size: tuple[int, int], shown: tuple[int, int]) -> Iterator[Maps]:
    """Bring bands of a map of ``size`` (height, width) to ``shown``, bilinear, holding a few rows more than a band.

    Gives what resizing the joined map would.
    """
    if size == shown:
        yield from bands
        return
    held: Maps = {}
    first = done = arrived = 0  # the row that held begins with, shown rows that are out, rows that have come
    for band in bands:
        held = {name: torch.cat([held[name], new], dim=-2) if held else new for name, new in band.items()}
        arrived += next(iter(band.values())).shape[-2]
        last = done
        while last < shown[0] and _between(last, size[0], shown[0])[1] < arrived:
            last += 1
        if last > done:
            yield {name: rows_resized(value, first, size, shown, (done, last)) for name, value in held.items()}
            done = last
        if done < shown[0]:
            keep = min(max(_between(done, size[0], shown[0])[0], first), arrived)
            held, first = {name: value[..., keep - first :, :] for name, value in held.items()}, keep


def _between(row: int, height: int, shown: int) -> tuple[int, int]:
    """The rows of a map, first and last, that a shown row is made of; one more on either side, for rounding."""
    low = math.floor((row + 0.5) * height / shown - 0.5)
    return max(low - 1, 0), min(max(low, 0) + 2, height - 1)


def rows_resized(
    logits: Tensor, first: int, size: tuple[int, int], shown: tuple[int, int], rows: tuple[int, int]
) -> Tensor:
    """Rows ``rows[0]`` to ``rows[1]`` of a map resized to ``shown``, bilinear, borders repeated.

    Args:
        logits: (B, C, h, W) rows of the map, from ``first``.
        first: number of its first row.
        size: (H, W) of the whole map.
        shown: (height, width) that the whole is resized to.
        rows: of the result.
    """
    y = ((torch.arange(*rows) + 0.5) * size[0] / shown[0] - 0.5).clamp(0, size[0] - 1)
    low = y.floor().long()
    high = (low + 1).clamp_max(size[0] - 1)
    part = (y - low).view(-1, 1)
    between = logits[..., low - first, :] * (1 - part) + logits[..., high - first, :] * part
    return F.interpolate(between, size=(rows[1] - rows[0], shown[1]), mode="bilinear", align_corners=False)
