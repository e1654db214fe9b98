"""Images of a second data set beside the run's own, batch by batch: a target without labels, a source rehearsed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import DataLoader

from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.data.training.transforms import train_transform
from vtadapt.errors import ConfigError
from vtadapt.tasks import Task
from vtadapt.workflows.run.loaders import RunSampler, open_reader
from vtadapt.workflows.run.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

APART = 7919  # added to the seed, so that the target's order and augmentation are not the source's


class Stream:
    """Training images of another data set beside the run's own, as many a step, augmented alike.

    The samples of a step are decided by (seed, step) alone, so a resumed run sees what an uninterrupted one does.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: str,
        tasks: Mapping[str, Task],
        fabric: Fabric,
        label_maps: Mapping[str, Sequence[int]] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Open the pack.

        Args:
            settings: of the run.
            data: name of the data set.
            tasks: whose labels are read; none for images alone.
            fabric: of the run.
            label_maps: see :class:`vtadapt.data.training.dataset.PackDataset`.
            size: (height, width) of what is cut out of the images; None: that of the settings, or the images' own.

        Raises:
            ConfigError: it has fewer images than a batch.
            DataError: the pack is missing or broken.
        """
        reader = open_reader(settings, data, "train")
        flip = 0.5 if settings.flip else 0.0
        self.size = size or settings.size or reader.size(0)
        augment = train_transform(self.size, settings.scale, flip, settings.colour_jitter)
        batch, seed, kept = settings.batch_size, settings.seed + APART, settings.cache
        self.dataset = PackDataset(
            *(reader, tasks, augment), seed=seed, cache=kept, views=settings.augment_views, label_maps=label_maps
        )
        self.sampler = RunSampler([len(self.dataset)], batch, seed, fabric.global_rank, fabric.world_size)
        self.tasks, self.workers, self.device = tasks, settings.workers, fabric.device
        self.draw_by(self.sampler)

    def draw_by(self, sampler: RunSampler) -> None:
        """Take the images in the order of ``sampler``."""
        self.sampler = sampler
        self.loader: DataLoader[Any] = DataLoader(
            self.dataset,
            sampler.batch,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=functools.partial(collate, tasks=self.tasks),
        )
        self._next = -1
        self._batches: Iterator[Any] = iter(())

    def batch(self, step: int) -> dict[str, Any]:
        """The batch of ``step`` (from 0), as the loader of a run gives it, on the run's device."""
        epoch, start = divmod(step, self.sampler.batches)
        if step != self._next or start == 0:
            self.dataset.set_epoch(epoch)
            self.sampler.set(epoch, start)
            self._batches = iter(self.loader)
        self._next = step + 1
        found: dict[str, Any] = next(self._batches)
        targets = {name: target.to(self.device) for name, target in found["targets"].items()}
        return {**found, "image": found["image"].to(self.device), "targets": targets}


class TargetStream(Stream):
    """The training images of ``settings.target``. No label is read: the data set is opened without a task."""

    def __init__(self, settings: TrainSettings, fabric: Fabric) -> None:
        """Open the pack.

        Raises:
            ConfigError: no target is set, or it has fewer images than a batch.
            DataError: the pack is missing or broken.
        """
        if settings.target is None:
            raise ConfigError("no target data set; wanted its name in setting 'target'")
        super().__init__(settings, settings.target, {}, fabric)

    def images(self, step: int) -> Tensor:
        """(batch_size, 3, H, W) in 0..1 on the run's device: the images of ``step`` (from 0)."""
        images: Tensor = self.batch(step)["image"]
        return images
