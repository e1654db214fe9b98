"""What a run says of one picture: arrays by task, and what is needed to read and draw them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vtadapt.errors import UsageError, near_matches
from vtadapt.tasks import Task
from vtadapt.workflows.evaluate.cells import prediction_page
from vtadapt.workflows.predict.image import Predicted
from vtadapt.workflows.predict.outputs.coco import Coco
from vtadapt.workflows.predict.outputs.formats import COCO
from vtadapt.workflows.predict.outputs.formats import need_tasks as need_something
from vtadapt.workflows.predict.outputs.outputs import Outputs
from vtadapt.workflows.predict.outputs.shot import Shot, as_arrays


class Prediction(dict[str, NDArray[Any]]):
    """Task name -> array as large as the picture; what each holds depends on its kind.

    Class ids (H, W) uint8 or uint16; a number in the task's units (H, W) float32, for several channels (H, W, C); a
    unit vector (H, W, 3) float32, x right, y down, z away from the camera; the probability of an edge (H, W) float32,
    or uint8 0 and 1 where ``binary`` was asked for.

    Attributes:
        image: the picture, (H, W, 3) uint8 RGB.
        tasks: name -> what there is to know of the task.
        run_size: (height, width) that the network worked at.
        tiles: how many pieces that was in; 1 for the whole at once.
    """

    def __init__(self, image: NDArray[np.uint8], tasks: Mapping[str, Task], predicted: Predicted, run: str) -> None:
        """Keep decoded maps, and the name of the ``run`` that they are of."""
        super().__init__(as_arrays(tasks, predicted.maps))
        self.image, self.tasks = image, MappingProxyType(dict(tasks))
        self.run_size, self.tiles = predicted.plan.size, predicted.plan.report["tiles"]
        self._predicted, self._run = predicted, run

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        about = (f"{name}: {array.dtype} {array.shape}" for name, array in self.items())
        return f"Prediction({height} x {width}; {', '.join(about)})"

    @property
    def units(self) -> dict[str, str]:
        """Task -> the units of its numbers, for those that have some."""
        return {name: task.units for name, task in self.tasks.items() if task.units}

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Task -> the names of its classes in the order of their ids, for those that have some."""
        return {name: task.classes for name, task in self.tasks.items() if task.classes}

    def shares(self, task: str) -> dict[str, float]:
        """Class name -> share of the pixels that are predicted so, the largest first, of a task with classes.

        Raises:
            UsageError: no such task, or one without classes.
        """
        names = self.classes.get(self._named(task))
        if names is None:
            raise UsageError(f"task {task!r} has no classes; those with some: {', '.join(self.classes) or 'none'}")
        counts = np.bincount(self[task].ravel(), minlength=len(names))
        return {names[i]: float(counts[i] / counts.sum()) for i in np.argsort(-counts, kind="stable") if counts[i]}

    def colour(self, task: str) -> Image.Image:
        """The prediction of a task as a picture in colours, as large as the photograph.

        Raises:
            UsageError: no such task.
        """
        return Image.fromarray(self.tasks[self._named(task)].colour(self._predicted.maps[task]))

    def panel(self, title: str = "") -> Image.Image:
        """The photograph beside all predictions in colours, as ``vtadapt predict`` draws it; notebooks show it."""
        return Image.fromarray(prediction_page(self.image, self.tasks, self._predicted.maps, title=title))

    def save(
        self, folder: str | os.PathLike[str], name: str = "prediction", formats: str | Sequence[str] = "panel"
    ) -> dict[str, Any]:
        """Write files as ``vtadapt predict --format`` does; returns format -> path, or task -> path.

        >>> out = vtadapt.load("demo").predict("photo.jpg")
        >>> sorted(out.save("results", "photo", formats=["ids", "depth16"]))
        ['depth16', 'ids']

        Args:
            folder: made if needed.
            name: that those of the files begin with.
            formats: of panel, ids, depth16, normals, edges, npz, json, overlay, coco; a list, or by commas.

        Raises:
            UsageError: no such format, or one that none of the tasks has anything for.
            DataError: the disk refuses.
        """
        chosen, out = Outputs.chosen(formats), Path(folder) / name
        if out.parent != Path(folder) or not name:
            raise UsageError(f"name {name!r}; wanted one without a folder in it, such as 'photo'")
        need_something(chosen.formats, self.tasks, self._run)
        chosen.begin(out.parent, self.tasks)
        maps, plan = self._predicted
        coco = Coco(out.parent, [out], f"{name}-") if COCO in chosen.formats else None
        written = chosen.write(Shot(name, out, self._run, self.image, self.tasks, maps, plan), coco)
        if coco is not None:
            coco.write()
        return written

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.panel().save(content, "png")
        return content.getvalue()

    def _named(self, task: str) -> str:
        return need_tasks([task], self.tasks)[0]


def need_tasks(names: Sequence[str], known: Iterable[str]) -> list[str]:
    """``names`` as a list.

    Raises:
        UsageError: one is not ``known``, or there is none.
    """
    there = list(known)
    wrong = next((name for name in names if name not in there), None)
    if wrong is not None or not names:
        found = "no task named" if wrong is None else f"no task {wrong!r}"
        raise UsageError(f"{found}; there are {', '.join(there)}.{near_matches(wrong or '', there)}")
    return list(names)
