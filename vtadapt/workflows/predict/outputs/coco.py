"""Masks of classes in the form of COCO: run-length codes, one file per task for all pictures.

A region is one class in one picture, as in COCO-Stuff: predictions know no instances. Categories count from 1, since 0
is "no object" to many programs: id = class id + 1.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.atomic import write_text
from vtadapt.tasks import Task
from vtadapt.tasks.class_ids import RESERVED
from vtadapt.version import __version__
from vtadapt.workflows.predict.outputs.formats import LOSSLESS
from vtadapt.workflows.predict.outputs.shot import Shot


@dataclass
class Coco:
    """Collects pictures and their masks, from several threads.

    Attributes:
        folder: that the files are written to.
        order: of the paths that the pictures' outputs begin with; they are numbered in it.
        prefix: of the files' names.
    """

    folder: Path
    order: Sequence[Path]
    prefix: str = ""
    _found: dict[Path, list[tuple[str, tuple[int, int], dict[str, list[dict[str, Any]]]]]] = field(default_factory=dict)
    _tasks: dict[str, Task] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def path(self, task: str) -> Path:
        """Of the file of a task."""
        return self.folder / f"{self.prefix}coco-{task}.json"

    def add(self, shot: Shot, of: Path | None = None) -> dict[str, str]:
        """Take a picture; returns task -> the file that its masks will be in.

        Args:
            shot: the picture.
            of: the path that the outputs of its video begin with, for a frame.
        """
        masks: dict[str, list[dict[str, Any]]] = {}
        for name, task, ids in shot.of_form(LOSSLESS["ids"]):
            masks[name] = regions(ids, task)
            self._tasks[name] = task
        with self._lock:
            self._found.setdefault(of or shot.out, []).append((shot.name, shot.size, masks))
        return {name: str(self.path(name)) for name in masks}

    def write(self) -> list[Path]:
        """Write a file per task; nothing where no picture was taken."""
        import json

        pictures = [each for out in self.order for each in self._found.get(out, ())]
        for name, task in self._tasks.items():
            content = document([(file, size, masks.get(name, [])) for file, size, masks in pictures], task)
            write_text(self.path(name), json.dumps(content, ensure_ascii=False) + "\n")  # on one line: masks are long
        return [self.path(name) for name in self._tasks]


def document(pictures: Sequence[tuple[str, tuple[int, int], list[dict[str, Any]]]], task: Task) -> dict[str, Any]:
    """The content of a file: pictures by name, size and regions, and the classes of the task."""
    named = zip(task.classes, task.colours, strict=True)
    categories = [
        {"id": i + 1, "name": name, "color": list(colour), "isthing": 0, "supercategory": task.name}
        for i, (name, colour) in enumerate(named)
        if name != RESERVED
    ]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (file, (height, width), found) in enumerate(pictures, 1):
        images.append({"id": number, "file_name": file, "height": height, "width": width})
        for region in found:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **region})
    about = f"Predictions of vtadapt {__version__}, task {task.name}; category id = class id + 1."
    info = {"description": about, "version": __version__}
    return {"info": info, "images": images, "categories": categories, "annotations": annotations}


def regions(ids: NDArray[Any], task: Task) -> list[dict[str, Any]]:
    """An annotation per class that occurs, without the numbers of picture and annotation."""
    from pycocotools import mask as codes  # here: few ask for it

    found = []
    for number in np.unique(ids):
        if number >= len(task.classes):
            continue
        mask = np.asfortranarray(ids == number, np.uint8)
        code: Mapping[str, Any] = codes.encode(mask)
        found.append(
            {
                "category_id": int(number) + 1,
                "segmentation": {"size": list(code["size"]), "counts": code["counts"].decode("ascii")},
                "area": int(codes.area(code)),
                "bbox": [float(side) for side in codes.toBbox(code)],
                "iscrowd": 0,
            }
        )
    return found


def names_for(files: Sequence[Path]) -> dict[Path, str]:
    """What each picture is called in the file: its path below the folder that all have in common."""
    absolute = [Path(os.path.abspath(file)) for file in files]
    above = os.path.commonpath([path.parent for path in absolute]) if absolute else ""
    return {file: path.relative_to(above).as_posix() for file, path in zip(files, absolute, strict=True)}
