"""One picture through a run: read, brought to the size of the network, predicted, brought back to its own size."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.data.readers.raw.picture import read_rgb
from vtadapt.errors import DataError, UsageError, VtadaptError
from vtadapt.tasks import Task
from vtadapt.workflows.run.load import Loaded

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
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
    loaded: Loaded, rgb: np.ndarray, size: str = "auto", device: str = "cpu", shown: tuple[int, int] | None = None
) -> dict[str, Tensor]:
    """Decoded predictions of every task, on the CPU.

    Args:
        loaded: the run.
        rgb: (H, W, 3) uint8.
        size: "auto" (resized to about as many pixels as the training crops, aspect kept), "native", or "HxW".
        device: where the model is.
        shown: (height, width) of the predictions; None for the photograph's own.

    Raises:
        VtadaptError: not enough memory.
    """
    own = rgb.shape[0], rgb.shape[1]
    with enough_memory(parse_run_size(size, own, loaded.size)), torch.no_grad():
        logits = loaded.model(network_input(rgb, size, loaded.size).to(device))
        return {name: _decode(task, logits[name].float().cpu(), shown or own) for name, task in loaded.tasks.items()}


@contextlib.contextmanager
def enough_memory(size: tuple[int, int]) -> Iterator[None]:
    """Turn the errors of a model that runs out of memory at ``size`` (height, width) into a VtadaptError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not known and not any(words in str(error) for words in _NO_MEMORY):
            raise
        raise VtadaptError(f"not enough memory at {size[0]} x {size[1]}; use --size auto or HxW") from error


def network_input(rgb: np.ndarray, size: str, trained: tuple[int, int]) -> Tensor:
    """The photograph (H, W, 3) uint8 as the network is given it: (1, 3, H', W') in 0..1, at the size asked for.

    Args:
        rgb: (H, W, 3) uint8.
        size: see :func:`predict_image`.
        trained: (height, width) of the run's training crops.
    """
    h, w = rgb.shape[:2]
    height, width = parse_run_size(size, (h, w), trained)
    image = torch.from_numpy(np.require(rgb, requirements="W")).permute(2, 0, 1)[None].float().div_(255)
    if (height, width) != (h, w):
        shrinks = height < h or width < w
        image = F.interpolate(image, size=(height, width), mode="bilinear", antialias=shrinks, align_corners=False)
    return image


def _decode(task: Task, logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring logits to a size and decode them: (C, H, W) or (H, W)."""
    if logits.shape[-2:] == size:
        return task.decode(logits)[0]
    if task.behaviour.scores_classes:
        # K full-size maps of a large photograph are gigabytes; decoding rows in bands keeps it small.
        bands = torch.linspace(0, size[0], max(2, size[0] * size[1] // 2_000_000 + 2)).round().long().tolist()
        whole = [_band(logits, size, a, b) for a, b in zip(bands, bands[1:], strict=False) if b > a]
        return torch.cat([task.decode(band)[0] for band in whole], dim=-2)
    return task.decode(F.interpolate(logits, size=size, mode="bilinear", align_corners=False))[0]


def _band(logits: Tensor, size: tuple[int, int], top: int, bottom: int) -> Tensor:
    """Rows ``top`` to ``bottom`` of ``logits`` resized to ``size``, bilinear, borders repeated."""
    h, w = logits.shape[-2:]
    y = ((torch.arange(top, bottom) + 0.5) * h / size[0] - 0.5).clamp(0, h - 1)
    low = y.floor().long()
    high = (low + 1).clamp_max(h - 1)
    part = (y - low).view(-1, 1)
    rows = logits[..., low, :] * (1 - part) + logits[..., high, :] * part
    return F.interpolate(rows, size=(bottom - top, size[1]), mode="bilinear", align_corners=False)


def parse_run_size(text: str, image: tuple[int, int], trained: tuple[int, int]) -> tuple[int, int]:
    """The size to run at, (height, width), from "auto", "native" or "HxW".

    Raises:
        UsageError: something else.
    """
    if text == "native":
        return image
    if text == "auto":
        factor = math.sqrt(trained[0] * trained[1] / (image[0] * image[1]))
        return max(1, round(image[0] * factor)), max(1, round(image[1] * factor))
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UsageError(f"size {text!r}; wanted auto, native or HEIGHTxWIDTH such as 240x320") from error
    if min(height, width) < 1 or max(height, width) > 16384:
        raise UsageError(f"size {text!r}; wanted sides from 1 to 16384")
    return height, width
