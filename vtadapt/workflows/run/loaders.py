"""Packs, samplers and loaders of a run."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Sampler, Subset

from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.pack.pack import PackReader
from vtadapt.data.recipe.fit import pack_camera
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.training.dataset import BalancedSampler, MixedDataset, PackDataset, collate
from vtadapt.data.training.transforms import ScaleDistances, train_transform
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks import Task
from vtadapt.workflows.run.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

STEPS = 1000  # per data set, where the number of epochs is not given: the same effort for small and large sets


class RunSampler(Sampler[int]):
    """The order of one epoch: drawn from (seed, epoch), cut over ranks, able to start in the middle.

    Every rank gets the same number of whole batches; what is left over is dropped this epoch. Over several sets each
    batch holds images of one of them, so that each keeps its own size, and they take turns (:class:`BalancedSampler`).
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, rank: int, world: int) -> None:
        """Draw from sets of ``lengths`` samples, one after the other in the data set."""
        self.lengths, self.batch, self.seed, self.rank, self.world = list(lengths), batch, seed, rank, world
        self.epoch = self.start = 0
        if sum(lengths) < batch * world:
            wanted = f"{batch} x {world} processes"
            raise ConfigError(f"{sum(lengths)} training images are fewer than one batch ({wanted}); lower --batch-size")
        # A set smaller than a batch still gives one, with some of its images twice.
        self.counts = [max(1, n // (batch * world)) for n in self.lengths]

    @property
    def batches(self) -> int:
        """Batches of every rank in an epoch."""
        return sum(self.counts)

    def set(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch and the batch to begin with."""
        self.epoch, self.start = epoch, start_batch

    def __len__(self) -> int:
        return (self.batches - self.start) * self.batch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        step, offset, sets = self.batch * self.world, 0, len(self.lengths)
        turns = -(-self.batches // sets)  # of every set; a small one is gone through several times, each time anew
        chunks: list[list[int]] = []
        for length, count in zip(self.lengths, self.counts, strict=True):
            for done in range(0, turns, count):
                drawn = (torch.randperm(length, generator=generator) + offset).tolist()
                whole = range(min(count, turns - done))
                chunks += [[drawn[(i * step + k) % length] for k in range(step)] for i in whole]
            offset += length
        order = list(range(self.batches))
        if sets > 1:
            sampler = BalancedSampler([turns] * sets, samples=self.batches, seed=self.seed)
            sampler.set_epoch(self.epoch)
            order = list(sampler)
        for turn in order[self.start :]:
            yield from chunks[turn][self.rank * self.batch : (self.rank + 1) * self.batch]


@dataclass
class TrainData:
    """What a training run reads: the mixed or single training set, and one validation pack per data set."""

    train: PackDataset | MixedDataset
    val: dict[str, PackReader]
    sampler: RunSampler
    loader: DataLoader[Any]
    size: tuple[int, int]
    label_maps: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    """Data set -> task -> new id of each stored class, where the run has other classes than its data."""
    distance_factors: Mapping[str, float] = field(default_factory=dict)
    """Data set -> what its distances are multiplied by, where that is not 1."""


def open_reader(settings: TrainSettings, name: str, split: str) -> PackReader:
    """Open one split of a pack (see :func:`vtadapt.data.pack.manifest.open_pack` for errors)."""
    return open_pack(settings.data_dir, name, split)


def focal_length(settings: TrainSettings, recipe: Recipe) -> float | None:
    """Of the images of a pack, in pixels; None where it is not known.

    That is without intrinsics in the recipe, for images of several sizes, or of another aspect ratio than the recipe's
    camera: they were cropped, or rendered with another field of view.
    """
    if recipe.intrinsics is None:
        return None
    reader = open_reader(settings, recipe.name, "train")
    size, *others = {reader.size(index) for index in range(len(reader))}
    known = pack_camera(recipe.intrinsics, recipe.fit, *size)
    squeezed = recipe.fit == "squeeze" and not recipe.intrinsics.fits(*size)
    return None if others or squeezed or known is None else known.focal


def distance_factor(settings: TrainSettings, source: Recipe, target: Recipe | None) -> float:
    """What distances of ``source`` are multiplied by to be those that the target's camera would see there.

    The ratio of the focal lengths in pixels of both packs, where the run is adapted to a target and both are known;
    else 1. An object of as many pixels is that much further away from the target's camera.
    """
    if target is None or not settings.match_camera:
        return 1.0
    here, there = (focal_length(settings, recipe) for recipe in (source, target))
    return 1.0 if here is None or there is None else there / here


def build_train(
    settings: TrainSettings,
    recipes: Sequence[Recipe],
    tasks: Mapping[str, Task],
    fabric: Fabric,
    label_maps: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    target: Recipe | None = None,
) -> TrainData:
    """Open the packs and make the training loader.

    Args:
        settings: of the run.
        recipes: of its data sets.
        tasks: those whose labels are read.
        fabric: of the run.
        label_maps: data set -> task -> new id of each stored class.
        target: the data set that it is adapted to.

    Raises:
        DataError: a pack is missing or broken, or a task has no label in any of them.
        ConfigError: fewer images than one batch.
    """
    val = {recipe.name: open_reader(settings, recipe.name, "val") for recipe in recipes}
    factors = [distance_factor(settings, recipe, target) for recipe in recipes]
    maps = label_maps or {}
    sets = [
        _train_set(settings, recipe.name, tasks, factor, maps.get(recipe.name))
        for recipe, factor in zip(recipes, factors, strict=True)
    ]
    _need_labels(tasks, [each.reader for each in sets], settings.data)
    train = sets[0] if len(sets) == 1 else MixedDataset(sets)
    sampler = RunSampler(
        [len(d) for d in sets], settings.batch_size, settings.seed, fabric.global_rank, fabric.world_size
    )
    loader: DataLoader[Any] = DataLoader(
        train,
        batch_size=settings.batch_size,
        sampler=sampler,
        num_workers=settings.workers,
        collate_fn=functools.partial(collate, tasks=tasks),
        pin_memory=fabric.device.type == "cuda",
    )
    named = {recipe.name: factor for recipe, factor in zip(recipes, factors, strict=True) if factor != 1}
    return TrainData(train, val, sampler, loader, settings.size or sets[0].reader.size(0), maps, named)


def _train_set(
    settings: TrainSettings,
    name: str,
    tasks: Mapping[str, Task],
    factor: float,
    label_maps: Mapping[str, Sequence[int]] | None,
) -> PackDataset:
    """The training images of one pack, augmented; ``factor``: of distances."""
    reader, flip = open_reader(settings, name, "train"), 0.5 if settings.flip else 0.0
    look = train_transform(settings.size or reader.size(0), settings.scale, flip, settings.colour_jitter, factor)
    seed, cache, views = settings.seed, settings.cache, settings.augment_views
    return PackDataset(reader, tasks, look, seed=seed, cache=cache, views=views, label_maps=label_maps)


def _need_labels(tasks: Iterable[str], readers: Sequence[PackReader], data: str) -> None:
    for name in tasks:
        if not any(reader.present(name).any() for reader in readers):
            raise DataError(f"no training image of {data!r} has a label for task {name!r}; leave it out")


def default_epochs(settings: TrainSettings, batches: int) -> int:
    """The epochs of a run that asks for no number of them, of ``batches`` steps each."""
    if settings.steps:
        return math.ceil(settings.steps / batches)
    return max(1, round(STEPS * len(settings.data_names) / batches))


def build_eval(
    reader: PackReader,
    tasks: Mapping[str, Task],
    batch_size: int,
    limit: int | None,
    label_maps: Mapping[str, Sequence[int]] | None = None,
    distances: float = 1.0,
) -> DataLoader[Any]:
    """A loader over (evenly spaced) samples of a split, at the size they are stored in.

    Args:
        reader: the pack.
        tasks: the tasks wanted.
        batch_size: images per batch; 1 where their sizes differ.
        limit: at most so many samples.
        label_maps: see :class:`vtadapt.data.training.dataset.PackDataset`.
        distances: what distances are multiplied by.
    """
    scale = None if distances == 1 else ScaleDistances(distances)
    dataset = PackDataset(reader, tasks, scale, label_maps=label_maps)
    count = len(dataset)
    picks = range(count) if limit is None or limit >= count else [i * count // limit for i in range(limit)]
    same = len({reader.size(i) for i in picks}) == 1
    return DataLoader(
        Subset(dataset, list(picks)),
        batch_size=batch_size if same else 1,
        collate_fn=functools.partial(collate, tasks=tasks),
    )
