"""The images of a yardstick: encoded once by the frozen part, and read by all of its trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
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
        labelled: task -> those of the training images whose label of it is read, in order.
        judging: target -> those of the pictures for the measurement that it is measured on, in order.
    """

    train: Pictures
    val: Pictures
    images: int
    views: int
    tasks: Mapping[str, Task]
    labelled: Mapping[str, Sequence[int]]
    judging: Mapping[str, Sequence[int]]


def make_bench(
    settings: TrainSettings,
    tasks: Mapping[str, Task],
    model: MultitaskModel,
    images: int,
    views: int,
    scarce: int,
    targets: Iterable[str] | None = None,
) -> Bench:
    """Read and encode the images of the first data set that the settings name.

    Args:
        settings: data, augmentation, ``val_images``.
        tasks: whose labels are read.
        model: any network on the frozen encoder.
        images: so many training images of each task, evenly spaced over those that have its label; fewer where there
            are fewer. Where all images have labels of all tasks these are the same for all.
        views: pictures made of each.
        scarce: a target has labels on so many of the images; there must be more than these.
        targets: tasks that are asked about; None for all.

    Raises:
        DataError: validation images of several sizes, or too few images that have labels of a task.
    """
    name = settings.data_names[0]
    reader, seen = open_reader(settings, name, "train"), open_reader(settings, name, "val")
    asked = [*(tasks if targets is None else targets)]
    _need_labels(reader, tasks, asked, scarce, name)
    _need_measurable(seen, asked, name)
    size = settings.size or reader.size(0)
    look = train_transform(size, settings.scale, 0.5 if settings.flip else 0.0, settings.colour_jitter, 1.0)
    data = PackDataset(reader, tasks, look, seed=0, views=views)
    chosen, labelled = _chosen(reader, tasks, images)
    rows = [(view, index) for view in range(views) for index in chosen]
    train = _pictures(data, rows, tasks, model)
    judged, judging = _chosen(seen, asked, settings.val_images)
    _need_one_size(seen, judged, name)
    val = _pictures(PackDataset(seen, tasks), [(0, index) for index in judged], tasks, model)
    return Bench(train, val, len(chosen), views, tasks, labelled, judging)


def _chosen(reader: PackReader, tasks: Iterable[str], count: int | None) -> tuple[list[int], dict[str, list[int]]]:
    """Evenly spaced, ``count`` of the images that have a label of each task (None: all).

    Returns:
        Indices of all images that any task takes, in order; task -> its own, as places in that list.
    """
    own = {}
    for task in tasks:
        there = np.flatnonzero(reader.present(task)).tolist()
        taken = min(count or len(there), len(there))
        own[task] = [there[i * len(there) // taken] for i in range(taken)]
    every = sorted(set().union(*own.values()))
    place = {index: i for i, index in enumerate(every)}
    return every, {task: [place[index] for index in indices] for task, indices in own.items()}


def _need_labels(reader: PackReader, tasks: Iterable[str], targets: Sequence[str], scarce: int, name: str) -> None:
    """Refuse what has too few labels to be asked about, or to help."""
    has = {task: int(reader.present(task).sum()) for task in tasks}
    for task, count in has.items():
        if count < (least := scarce if task in targets else 1):
            lower = f"lower --scarce to {count}, " if task in targets and count > 1 else ""
            raise DataError(
                f"{count} of {len(reader)} training images of {name!r} have a label of {task}; wanted {least} or more: "
                f"{lower}label more of them, or leave it out with {'--targets' if count else '--tasks'}"
            )
    if int(np.any([reader.present(task) for task in has], axis=0).sum()) <= scarce:
        raise DataError(
            f"{max(has.values())} of {len(reader)} training images of {name!r} have labels; wanted more than --scarce "
            f"{scarce}: lower it"
        )


def _need_measurable(reader: PackReader, targets: Iterable[str], name: str) -> None:
    """Refuse targets that no validation image has: there is nothing to measure, and a mean over nothing misleads."""
    for task in targets:
        if not reader.present(task).any():
            raise DataError(f"no validation image of {name!r} has a label of {task}; leave it out with --targets")


def _need_one_size(reader: PackReader, chosen: Iterable[int], name: str) -> None:
    if len({reader.size(index) for index in chosen}) > 1:
        raise DataError(f"the images of {name!r} differ in size; wanted all alike: prepare them with --size")


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
