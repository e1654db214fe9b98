"""One picture through a run: read, brought to the size of the network, predicted, brought back to its own size."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.data.readers.raw.picture import read_rgb
from vtadapt.errors import DataError, VtadaptError
from vtadapt.tasks import Task
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.sizing.size import Plan, Sizing, resize, units_of
from vtadapt.workflows.sizing.tiled import blended, resized, rows_resized

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
BAND = 2_000_000  # pixels of class maps that are decoded together, about
# What torch says where it has no memory, on the CPU of Unix and of Windows, and on devices.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


class BrokenImageError(DataError):
    """A photograph that cannot be read; others may be fine."""


def read_image(path: Path) -> np.ndarray:
    """Read a photograph as (H, W, 3) uint8 RGB, turned as its EXIF says.

    Raises:
        BrokenImageError: missing, cut short, or not an image.
    """
    if not path.is_file():
        raise BrokenImageError(
            f"no image at {os.fspath(path)!r}; wanted a file ({', '.join(SUFFIXES)}) or a folder of them"
        )
    try:
        return read_rgb(path)
    except DataError as error:
        raise BrokenImageError(str(error)) from error
    except MemoryError as error:
        raise VtadaptError(f"{path}: not enough memory to open the picture; make it smaller first") from error


def predict_image(
    loaded: Loaded,
    rgb: np.ndarray,
    sizing: Sizing | None = None,
    device: str = "cpu",
    shown: tuple[int, int] | None = None,
) -> dict[str, Tensor]:
    """Decoded predictions of every task, on the CPU; True and False for those that ``loaded.cuts`` names.

    Args:
        loaded: the run.
        rgb: (H, W, 3) uint8.
        sizing: the size that the network works at, and in which tiles; None for the defaults.
        device: where the model is.
        shown: (height, width) of the predictions; None for the photograph's own.

    Raises:
        UsageError: tiles that are too small for the network.
        VtadaptError: not enough memory.
    """
    found = _predict(loaded, rgb, sizing, device, shown)
    return {name: value >= loaded.cuts[name] if name in loaded.cuts else value for name, value in found.items()}


def _predict(
    loaded: Loaded, rgb: np.ndarray, sizing: Sizing | None, device: str, shown: tuple[int, int] | None
) -> dict[str, Tensor]:
    own = rgb.shape[0], rgb.shape[1]
    plan, shown = plan_of(loaded, own, sizing or Sizing()), shown or own
    with enough_memory(plan.pieces, "--tile auto, or --size auto or HxW"), torch.no_grad():
        if plan.grid is None:
            logits = loaded.model(network_input(rgb, plan.size).to(device))
            return {name: _decode(task, logits[name].float().cpu(), shown) for name, task in loaded.tasks.items()}
        image = _planes(rgb) if plan.size == own else network_input(rgb, plan.size)
        bands = blended(lambda tiles: loaded.model(tiles.to(device)), image, loaded.tasks, plan.grid)
        return _join(loaded.tasks, resized(bands, plan.size, shown), shown)


def plan_of(loaded: Loaded, own: tuple[int, int], sizing: Sizing) -> Plan:
    """What a run does with a picture of the size ``own`` (height, width).

    Raises:
        UsageError: tiles that are too small for the network.
    """
    return sizing.plan(own, loaded.size, units_of(loaded.model))


@contextlib.contextmanager
def enough_memory(size: tuple[int, int], advice: str = "--size auto or HxW") -> Iterator[None]:
    """Turn the errors of a model that runs out of memory at ``size`` (height, width) into a VtadaptError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not known and not any(words in str(error) for words in _NO_MEMORY):
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
