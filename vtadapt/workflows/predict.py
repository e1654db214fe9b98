"""``vtadapt predict``: a run's predictions for any photographs, as panels and, on request, raw arrays."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ImageOps
from torch import Tensor
from torch.nn import functional as F

from vtadapt.data.atomic import disk_error
from vtadapt.data.readers.base import decode, to_rgb
from vtadapt.errors import DataError, UsageError
from vtadapt.tasks import Task
from vtadapt.viz.panels import Cell, panel, save_png
from vtadapt.workflows.eval import legends, prediction_cells
from vtadapt.workflows.runs import write_arrays
from vtadapt.workflows.session import Loaded, load_run

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def predict(
    images: Sequence[Path], run: Path, out: Path, *, size: str = "auto", raw: bool = False, device: str = "cpu"
) -> list[dict[str, Any]]:
    """Write one panel per photograph.

    Args:
        images: files, or folders of which all photographs are taken.
        run: a finished run.
        out: folder of the panels; made if needed.
        size: "auto" (resized to about as many pixels as the training crops, aspect kept), "native", or "HxW".
            The predictions are brought back to the photograph's own size.
        raw: also write NAME.npz with the decoded predictions (H, W[, C]).
        device: torch device.

    Returns:
        For each photograph {"image", "panel", "raw", "size": [H, W]}.

    Raises:
        DataError: no photograph found, or one that cannot be read.
        UsageError: a size that is none, or a device that is not there.
    """
    parse_run_size(size, (1, 1), (1, 1))  # a wrong size is told before any work
    files = list(find_images(images))
    loaded = load_run(run)
    _move(loaded, device)
    with disk_error(out):
        out.mkdir(parents=True, exist_ok=True)
    results = []
    for name, file in zip(unique_stems(files), files, strict=True):
        rgb = read_image(file)
        predictions = predict_image(loaded, rgb, size, device)
        path = out / f"{name}_panel.png"
        save_png(path, _draw(loaded.tasks, rgb, predictions, file.name))
        entry: dict[str, Any] = {"image": str(file), "panel": str(path), "size": list(rgb.shape[:2])}
        if raw:
            entry["raw"] = str(_write_predictions(out / f"{name}.npz", predictions))
        print(f"{file} -> {path}", file=sys.stderr)
        results.append(entry)
    return results


def _move(loaded: Loaded, device: str) -> None:
    try:
        loaded.model.to(device)
    except (RuntimeError, AssertionError) as error:  # what torch raises for a device that it lacks or does not know
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used ({reason}); wanted cpu, cuda, cuda:1, mps ...") from error


def read_image(path: Path) -> np.ndarray:
    """Read a photograph as (H, W, 3) uint8 RGB, turned as its EXIF says.

    Raises:
        DataError: missing, cut short, or not an image.
    """
    if not path.is_file():
        raise DataError(f"no image at {os.fspath(path)!r}; wanted a file ({', '.join(SUFFIXES)}) or a folder of them")
    return to_rgb(ImageOps.exif_transpose(decode(path)))


def predict_image(loaded: Loaded, rgb: np.ndarray, size: str = "auto", device: str = "cpu") -> dict[str, Tensor]:
    """Decoded predictions of every task at the photograph's own size, on the CPU.

    Args:
        loaded: the run.
        rgb: (H, W, 3) uint8.
        size: see :func:`predict`.
        device: where the model is.
    """
    with torch.no_grad():
        logits = loaded.model(network_input(rgb, size, loaded.size).to(device))
    whole = (rgb.shape[0], rgb.shape[1])
    return {name: _decode(task, logits[name].float().cpu(), whole) for name, task in loaded.tasks.items()}


def network_input(rgb: np.ndarray, size: str, trained: tuple[int, int]) -> Tensor:
    """The photograph (H, W, 3) uint8 as the network is given it: (1, 3, H', W') in 0..1, at the size asked for.

    Args:
        rgb: (H, W, 3) uint8.
        size: see :func:`predict`.
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
    """Bring logits to the photograph's size and decode them: (C, H, W) or (H, W)."""
    if logits.shape[-2:] == size:
        return task.decode(logits)[0]
    if task.classes:  # K full-size maps of a large photograph are gigabytes; decoding rows in bands keeps it small
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


def find_images(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the photographs meant by files and folders, those of a folder in order of their names.

    Raises:
        DataError: nothing there, or a folder without any.
    """
    for path in paths:
        if not path.is_dir():
            if not path.is_file():
                raise DataError(f"no image or folder at {os.fspath(path)!r}; wanted photographs")
            yield path
            continue
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise DataError(f"no image in folder {os.fspath(path)!r}; wanted files ending in {', '.join(SUFFIXES)}")
        yield from found


def unique_stems(files: Sequence[Path]) -> list[str]:
    """Names for the outputs: the stem, with a number where it is taken (a.jpg, a.png -> a, a-2)."""
    stems = {file.stem for file in files}
    taken: set[str] = set()
    names = []
    for file in files:
        name, number = file.stem, 1
        while name in taken or (number > 1 and name in stems):
            number += 1
            name = f"{file.stem}-{number}"
        taken.add(name)
        names.append(name)
    return names


def _draw(tasks: Mapping[str, Task], rgb: np.ndarray, predictions: Mapping[str, Tensor], title: str) -> np.ndarray:
    ranges = {name: task.value_range(predictions[name]) for name, task in tasks.items()}
    cells = [
        Cell(rgb, caption="image", note=f"{rgb.shape[1]} x {rgb.shape[0]}"),
        *prediction_cells(tasks, predictions, ranges),
    ]
    return panel([cells], title=title, strips=legends(tasks))


def _write_predictions(path: Path, predictions: Mapping[str, Tensor]) -> Path:
    """Write one array per task: (H, W), or (H, W, C) where there are several channels; class ids are uint8."""
    arrays: dict[str, Any] = {}
    for name, value in predictions.items():
        array = value.numpy()
        if array.ndim == 3:
            array = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
        arrays[name] = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.uint8)
    return write_arrays(path, arrays)
