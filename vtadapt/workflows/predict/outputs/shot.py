"""One picture with its predictions, on its way into files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vtadapt.tasks import Task
from vtadapt.workflows.sizing.size import Plan


@dataclass(frozen=True)
class Shot:
    """See above.

    Attributes:
        name: of the picture, for people and for files that list it.
        out: path of what is written, less what each format adds to it.
        run: name of the run.
        rgb: (H, W, 3) uint8.
        tasks: name -> task.
        maps: name -> decoded prediction, (H, W) or (C, H, W).
        plan: the size that the network worked at.
    """

    name: str
    out: Path
    run: str
    rgb: NDArray[np.uint8]
    tasks: Mapping[str, Task]
    maps: Mapping[str, Tensor]
    plan: Plan

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.rgb.shape[0], self.rgb.shape[1]

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Task -> array as it is stored, see :func:`as_arrays`."""
        return as_arrays(self.tasks, self.maps)

    def beside(self, ending: str) -> Path:
        """A path that begins as ``out`` does."""
        return self.out.with_name(self.out.name + ending)

    def of_form(self, form: str) -> Iterator[tuple[str, Task, NDArray[Any]]]:
        """The tasks that hold "ids", "numbers", "vectors" or "strengths", with their arrays."""
        for name, task in self.tasks.items():
            if task.behaviour.file_form == form:
                yield name, task, self.arrays[name]


def as_arrays(tasks: Mapping[str, Task], predictions: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """One array per task: (H, W), or (H, W, C) where there are several channels; class ids as they are stored."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in predictions.items():
        array = value.numpy()
        if array.ndim == 3:
            array = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
        arrays[name] = tasks[name].behaviour.raw(tasks[name], array)
    return arrays
