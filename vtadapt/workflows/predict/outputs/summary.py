"""What is where in a picture, and how much, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.tasks import Task
from vtadapt.workflows.predict.outputs.shot import Shot

DIGITS = 6  # of numbers


def summary(shot: Shot) -> dict[str, Any]:
    """{"image", "run", "size", "run_size", "tiles", "tasks": {name: {"kind", "units", ...}}}.

    Of classes: those that occur with their pixels, share and box [x, y, width, height]; of numbers lowest, highest,
    mean, median; of vectors the mean; of probabilities mean, and the share above one half.
    """
    about: dict[str, Any] = {"image": shot.name, "run": shot.run, "size": [*shot.size], **shot.plan.report}
    about["tasks"] = {name: of_task(task, shot.arrays[name]) for name, task in shot.tasks.items()}
    return about


def of_task(task: Task, array: NDArray[Any]) -> dict[str, Any]:
    """What is told of the prediction of one task."""
    known = {"kind": task.kind, **({"units": task.units} if task.units else {})}
    return known | SUMMARIES[task.behaviour.file_form](task, array)


def _of_ids(task: Task, ids: NDArray[Any]) -> dict[str, Any]:
    found = []
    for number, pixels in zip(*np.unique(ids, return_counts=True), strict=True):
        if number >= len(task.classes):
            continue
        rows, columns = (np.flatnonzero((ids == number).any(axis)) for axis in (1, 0))
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
        entry = {"id": int(number), "name": task.classes[number], "colour": [*task.colours[number]]}
        found.append(entry | {"pixels": int(pixels), "share": _number(pixels / ids.size), "box": [int(n) for n in box]})
    return {"classes": sorted(found, key=lambda each: -each["pixels"])}


def _of_numbers(task: Task, values: NDArray[Any]) -> dict[str, Any]:
    del task
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"low": None, "high": None, "mean": None, "median": None}
    known = {"low": finite.min(), "high": finite.max(), "mean": finite.mean(dtype=float), "median": np.median(finite)}
    return {key: _number(value) for key, value in known.items()}


def _of_vectors(task: Task, vectors: NDArray[Any]) -> dict[str, Any]:
    del task
    return {"mean": [_number(n) for n in vectors.reshape(-1, vectors.shape[-1]).mean(0, dtype=float)]}


def _of_strengths(task: Task, strengths: NDArray[Any]) -> dict[str, Any]:
    del task
    return {"mean": _number(strengths.mean(dtype=float)), "share_above_half": _number((strengths > 0.5).mean())}


SUMMARIES: Mapping[str, Callable[[Task, NDArray[Any]], dict[str, Any]]] = {
    "ids": _of_ids,
    "numbers": _of_numbers,
    "vectors": _of_vectors,
    "strengths": _of_strengths,
}


def _number(value: Any) -> float:
    return float(f"{float(value):.{DIGITS}g}")
