"""Predictions as pictures that other programs read back: ids with a palette, numbers with a scale, vectors, strengths.

Each can be read again as a label by a recipe, see docs/own-data.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.atomic import whole_file, write_json
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import RESERVED, VOID
from vtadapt.workflows.predict.outputs.shot import Shot

LEVELS = 65535  # of 16 bits; 0 stands for "missing"
METRIC = 0.001  # metres a level, as depth cameras and their data sets have it


class Scale(NamedTuple):
    """From a stored number to the value: ``value = factor * stored + offset``."""

    factor: float
    offset: float = 0.0


def write_lossless(shot: Shot, form: str) -> dict[str, str]:
    """Write ``NAME_TASK.png`` of every task that holds ``form``; returns task -> path, of several channels of each."""
    found: dict[str, str] = {}
    for name, task, array in shot.of_form(form):
        found |= {key: str(path) for key, path in WRITERS[form](shot, name, task, array).items()}
    return found


def write_ids(shot: Shot, name: str, task: Task, ids: NDArray[Any]) -> dict[str, Path]:
    """Class ids: PNG of 8 bits with the task's colours as its palette (255, no class, is black), else of 16 bits."""
    path = shot.beside(f"_{name}.png")
    if ids.dtype != np.uint8:
        return {name: save(path, Image.fromarray(ids.astype(np.uint16)))}
    image = Image.fromarray(ids)
    palette = np.zeros((VOID + 1, 3), np.uint8)
    palette[: len(task.colours)] = task.colours
    image.putpalette(palette.tobytes())
    return {name: save(path, image)}


def write_classes(folder: Path, tasks: Mapping[str, Task]) -> list[Path]:
    """Write ``classes-TASK.json``: which id is which class, of each task that holds ids; returns the paths."""
    found = []
    for name, task in tasks.items():
        if task.behaviour.file_form != "ids":
            continue
        named = enumerate(zip(task.classes, task.colours, strict=True))
        classes = [{"id": i, "name": each, "colour": [*colour]} for i, (each, colour) in named if each != RESERVED]
        found.append(folder / f"classes-{name}.json")
        write_json(found[-1], {"task": name, "void": VOID, "classes": classes})
    return found


def write_numbers(shot: Shot, name: str, task: Task, values: NDArray[Any]) -> dict[str, Path]:
    """Numbers: PNG of 16 bits, and ``NAME_TASK.scale.json`` that says what they mean; one each of several channels."""
    planes = {name: values} if values.ndim == 2 else {f"{name}-{i}": values[..., i] for i in range(values.shape[2])}
    found: dict[str, Path] = {}
    for key, plane in planes.items():
        scale = scale_of(plane, distance=task.distance)
        path = shot.beside(f"_{key}.png")
        found[key] = save(path, Image.fromarray(stored(plane, scale)))
        about: dict[str, Any] = {"task": name, "units": task.units, "factor": scale.factor, "offset": scale.offset}
        about |= {"missing": 0, "value": "factor * stored + offset"}
        write_json(path.with_suffix(".scale.json"), about)
    return found


def write_vectors(shot: Shot, name: str, task: Task, vectors: NDArray[Any]) -> dict[str, Path]:
    """Unit vectors: RGB = 127.5 (v + 1), rounded; red is x (right), green y (down), blue z (away)."""
    del task
    rgb = np.rint((np.clip(vectors, -1, 1) + 1) * 127.5).astype(np.uint8)
    return {name: save(shot.beside(f"_{name}.png"), Image.fromarray(rgb))}


def write_strengths(shot: Shot, name: str, task: Task, strengths: NDArray[Any]) -> dict[str, Path]:
    """Probabilities: grey of 8 bits, 255 for 1; yes and no are 255 and 0."""
    del task
    grey = np.rint(np.clip(strengths.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    return {name: save(shot.beside(f"_{name}.png"), Image.fromarray(grey))}


WRITERS: Mapping[str, Callable[[Shot, str, Task, NDArray[Any]], dict[str, Path]]] = {
    "ids": write_ids,
    "numbers": write_numbers,
    "vectors": write_vectors,
    "strengths": write_strengths,
}


def scale_of(values: NDArray[Any], *, distance: bool) -> Scale:
    """The scale that stores ``values`` in 1..65535: a millimetre a level for distances up to 65 m.

    Else 1, 2 or 5 x 10^k a level. Numbers that are negative, or less than a level, are counted from the lowest.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if distance and high <= METRIC * LEVELS:
        return Scale(METRIC)
    factor = _round_up(max(high, 1e-9) / (LEVELS - 2))
    if distance or low >= factor:
        return Scale(factor)
    factor = _round_up(max(high - low, 1e-9) / (LEVELS - 2))
    return Scale(factor, math.floor(low / factor) * factor - factor)


def _round_up(step: float) -> float:
    """The next of 1, 2 and 5 x 10^k."""
    power = 10.0 ** math.floor(math.log10(step))
    factor = next(n for n in (1, 2, 5, 10) if n * power >= step * (1 - 1e-9))
    return float(f"{factor * power:.6g}")


def stored(values: NDArray[Any], scale: Scale) -> NDArray[np.uint16]:
    """Values as they are stored; what is no number is 0, and no value is."""
    levels = np.rint((values.astype(np.float64) - scale.offset) / scale.factor)
    there = np.isfinite(levels)
    return np.where(there, np.clip(np.where(there, levels, 0), 1, LEVELS), 0).astype(np.uint16)


def save(path: Path, image: Image.Image) -> Path:
    """Write a PNG, whole or not at all."""
    with whole_file(path) as temporary:
        image.save(temporary, "png", compress_level=1)  # a tenth larger, in a quarter of the time
    return path
