"""What a prediction says of one pixel, in a few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.digits import amount, percent
from vtadapt.tasks import Task


def value_at(task: Task, array: NDArray[Any], x: int, y: int) -> str:
    """A class, a number with its units, a direction or a probability.

    Args:
        task: whose prediction it is.
        array: (H, W) or (H, W, C), as :func:`vtadapt.workflows.predict.outputs.shot.as_arrays` gives it.
        x: of the pixel.
        y: of the pixel.
    """
    return WORDS[task.behaviour.file_form](task, np.atleast_1d(array[y, x]))


def _of_ids(task: Task, value: NDArray[Any]) -> str:
    number = int(value[0])
    return task.classes[number] if number < len(task.classes) else f"class {number}"


def _of_numbers(task: Task, value: NDArray[Any]) -> str:
    return f"{', '.join(amount(float(number)) for number in value)} {task.units}".rstrip()


def _of_vectors(task: Task, value: NDArray[Any]) -> str:
    del task
    return ", ".join(f"{number:.2f}" for number in value)


def _of_strengths(task: Task, value: NDArray[Any]) -> str:
    del task
    return percent(float(value[0]))


WORDS: Mapping[str, Callable[[Task, NDArray[Any]], str]] = {
    "ids": _of_ids,
    "numbers": _of_numbers,
    "vectors": _of_vectors,
    "strengths": _of_strengths,
}
