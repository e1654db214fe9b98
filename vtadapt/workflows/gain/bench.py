"""The images of a yardstick: encoded once by the frozen part, and read by all of its trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vtadapt.data.pack.pack import PackReader
from vtadapt.data.training.dataset import PackDataset
from vtadapt.data.training.transforms import train_transform
from vtadapt.errors import DataError
from vtadapt.models.backbones.base import Encoded
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.run.settings import TrainSettings

ENCODED_AT_ONCE = 16


@dataclass(frozen=True)
class Pictures:
    """N pictures: what the frozen part makes of them, and their labels.

    Attributes:
        parts: as :attr:`Encoded.parts`, of N pictures.
        targets: task -> (N, ...).
        size: (H, W) of the pictures.
        image: (N, 3, H, W) where the network looks at the pictures themselves; else None.
    """

    parts: tuple[Tensor, ...]
    targets: Mapping[str, Tensor]
    size: tuple[int, int]
    image: Tensor | None

    def encoded(self, rows: Sequence[int] | slice) -> Encoded:
        """Some of them as networks take them."""
        image = None if self.image is None else self.image[rows]
        return Encoded(tuple(part[rows] for part in self.parts), self.size, image)

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def device(self) -> torch.device:
        """Where they are, and where networks on them compute."""
        return self.parts[0].device


@dataclass(frozen=True)
class Bench:
    """What all trainings of a yardstick read.

    Attributes:
        train: ``views`` pictures of each training image: row = view * ``images`` + image.
        val: pictures for the measurement.
        images: training images.
        views: pictures of each.
        tasks: all tasks.
    """

    train: Pictures
    val: Pictures
    images: int
    views: int
    tasks: Mapping[str, Task]


def make_bench(
    settings: TrainSettings, tasks: Mapping[str, Task], model: MultitaskModel, images: int, views: int, scarce: int
) -> Bench:
    """Read and encode the images of the first data set that the settings name.

    Args:
        settings: data, augmentation, ``val_images``.
        tasks: whose labels are read.
        model: any network on the frozen encoder.
        images: so many training images, evenly spaced; fewer where there are fewer.
        views: pictures made of each.
        scarce: so many of the images have labels of a target; there must be more than these.

    Raises:
        DataError: validation images of several sizes, or too few images that have labels of all tasks.
    """
    name = settings.data_names[0]
    reader = open_reader(settings, name, "train")
    size = settings.size or reader.size(0)
    look = train_transform(size, settings.scale, 0.5 if settings.flip else 0.0, settings.colour_jitter, 1.0)
    data = PackDataset(reader, tasks, look, seed=0, views=views)
    labelled, seen = _labelled(reader, tasks), open_reader(settings, name, "val")
    if len(labelled) <= scarce:
        raise DataError(
            f"{len(labelled)} of {len(reader)} training images of {name!r} have labels of all of {', '.join(tasks)}; "
            f"wanted more than --scarce {scarce}: lower it, or leave tasks out with --tasks{_lacking(reader, tasks)}"
        )
    judging = _judging(seen, tasks, name)
    chosen = [int(labelled[i * len(labelled) // images]) for i in range(images)] if images < len(labelled) else labelled
    rows = [(view, int(index)) for view in range(views) for index in chosen]
    train = _pictures(data, rows, tasks, model)
    count = min(len(judging), settings.val_images or len(judging))
    rows = [(0, int(judging[i * len(judging) // count])) for i in range(count)]
    val = _pictures(PackDataset(seen, tasks), rows, tasks, model)
    return Bench(train, val, len(chosen), views, tasks)


def _labelled(reader: PackReader, tasks: Iterable[str]) -> NDArray[np.intp]:
    """Indices of the images that have labels of all tasks."""
    return np.flatnonzero(np.all([reader.present(task) for task in tasks], axis=0))


def _judging(reader: PackReader, tasks: Iterable[str], name: str) -> NDArray[np.intp]:
    """The validation images of all tasks: without labels there is nothing to measure, and a mean over them misleads."""
    found = _labelled(reader, tasks)
    if not len(found):
        wanted = f"labels of all of {', '.join(tasks)}"
        raise DataError(
            f"no validation image of {name!r} has {wanted}; leave tasks out with --tasks{_lacking(reader, tasks)}"
        )
    if len({reader.size(int(index)) for index in found}) > 1:
        raise DataError(f"the images of {name!r} differ in size; wanted all alike: prepare them with --size")
    return found


def _lacking(reader: PackReader, tasks: Iterable[str]) -> str:
    """The task of which the fewest images have labels, as the end of a line."""
    fewest = min(tasks, key=lambda task: int(reader.present(task).sum()))
    return f" ({fewest} has {int(reader.present(fewest).sum())})"


def _pictures(
    data: PackDataset, rows: Sequence[tuple[int, int]], tasks: Mapping[str, Task], model: MultitaskModel
) -> Pictures:
    parts: list[tuple[Tensor, ...]] = []
    targets: dict[str, list[Tensor]] = {task: [] for task in tasks}
    images: list[Tensor] = []
    device = next(model.parameters()).device
    for start in range(0, len(rows), ENCODED_AT_ONCE):
        batch = []
        for view, index in rows[start : start + ENCODED_AT_ONCE]:
            data.set_epoch(view)
            batch.append(data[index])
        together = torch.stack([sample["image"] for sample in batch]).to(device)
        with torch.no_grad():
            # Half the memory; the residual streams become float32 again where they are used.
            parts.append(tuple(part.to(torch.bfloat16) for part in model.encode(together)))
        for task, found in targets.items():
            found += [sample["targets"][task] for sample in batch]
        if model.looks_at_image:
            images.append(together)
    size = (int(together.shape[-2]), int(together.shape[-1]))
    joined = tuple(torch.cat(each) for each in zip(*parts, strict=True))
    labels = {task: torch.stack(found).to(device) for task, found in targets.items()}
    return Pictures(joined, labels, size, torch.cat(images) if images else None)
