"""Frames of the result: what is drawn of a frame and its predictions, the same way from the first to the last."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

from vtadapt.tasks import Task
from vtadapt.viz.video_strips import frame_strips
from vtadapt.workflows.evaluate.cells import legends
from vtadapt.workflows.predict.outputs.outputs import over
from vtadapt.workflows.predict.outputs.shot import as_arrays

WIDTH = 2560  # pixels across a frame of the result at most
STEADY = 0.9  # weight that the past keeps in a range of values, so that colours do not flicker


class Ranges:
    """The range of values that each task is drawn in, which follows the frames slowly."""

    def __init__(self) -> None:
        """Nothing is known before the first frame."""
        self.known: dict[str, tuple[float, float]] = {}

    def of(self, name: str, task: Task, prediction: Tensor) -> tuple[float, float] | None:
        """The range for this frame."""
        found = task.value_range(prediction)
        if found is not None:
            old = self.known.get(name, found)
            steady = [STEADY * a + (1 - STEADY) * b for a, b in zip(old, found, strict=True)]
            self.known[name] = steady[0], steady[1]
        return self.known.get(name)


class Drawing:
    """Frames of the result: cells side by side between a strip of names and one of classes, which never change."""

    def __init__(self, tasks: Mapping[str, Task], height: int, width: int) -> None:
        """Lay out for frames of ``height`` x ``width``; ``cell`` is what that is scaled to."""
        self.tasks = tasks
        across = (1 + len(tasks)) * width
        factor = min(1.0, WIDTH / across)
        self.cell = max(1, round(height * factor)), max(1, round(width * factor))
        names = ["image", *tasks]
        self.above, self.below = frame_strips(names, legends(tasks), self.cell[1])
        self._ranges = Ranges()

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """What each task is drawn in now."""
        return self._ranges.known

    def __call__(self, frame: np.ndarray, predictions: Mapping[str, Tensor]) -> np.ndarray:
        """Return the page of one frame (H, W, 3) and its predictions; its sides are even."""
        h, w = self.cell
        image = frame if frame.shape[:2] == (h, w) else cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA)
        cells = [image]
        for name, task in self.tasks.items():
            shown = scaled(predictions[name], self.cell)
            cells.append(task.colour(shown, self._ranges.of(name, task, shown)))
        return even(np.concatenate([self.above, np.concatenate(cells, axis=1), self.below], axis=0))


class Over:
    """Frames with a task drawn over them."""

    def __init__(self, name: str, task: Task) -> None:
        """For the task of that name."""
        self.name, self.task, self._ranges = name, task, Ranges()

    def __call__(self, frame: np.ndarray, predictions: Mapping[str, Tensor]) -> np.ndarray:
        """Return the frame (H, W, 3) under its prediction, which is as large; its sides are even."""
        prediction = predictions[self.name]
        array = as_arrays({self.name: self.task}, {self.name: prediction})[self.name]
        return even(over(frame, self.task, prediction, array, self._ranges.of(self.name, self.task, prediction)))


def scaled(prediction: Tensor, size: tuple[int, int]) -> Tensor:
    """A decoded map (..., H, W) at another size, by the nearest pixel: ids and vectors have nothing in between."""
    height, width = prediction.shape[-2:]
    if (height, width) == size:
        return prediction
    rows = ((torch.arange(size[0]) + 0.5) * height / size[0]).long()
    columns = ((torch.arange(size[1]) + 0.5) * width / size[1]).long()
    return prediction[..., rows, :][..., columns]


def even(page: np.ndarray) -> np.ndarray:
    """A page with even sides: codecs keep colours per 2 x 2 pixels."""
    odd = page.shape[0] % 2, page.shape[1] % 2
    return np.pad(page, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge") if any(odd) else page
