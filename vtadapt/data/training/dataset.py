"""Packs as torch data sets: samples, batches, and several sets with different labels trained on together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info
from torchvision import tv_tensors

from vtadapt.data.pack.pack import PackReader
from vtadapt.data.training.target_maps import Frame, crop_filled, map_of, plain
from vtadapt.errors import ConfigError
from vtadapt.tasks import Task

Sample = dict[str, Any]

CACHE_BYTES = 2**31
"""Decoded samples that a data set keeps in memory."""


class Known(Protocol):
    """What was computed of a data set's pictures already, see :attr:`PackDataset.known`."""

    @property
    def number(self) -> int:
        """Of the data set, where several are trained on."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of its pictures."""

    @property
    def wants_image(self) -> bool:
        """Whether the pictures are needed all the same."""

    def find(self, index: int, view: int) -> tuple[Tensor, ...] | None:
        """What was computed of a view of a sample; None where nothing is known of it."""


class PackDataset(Dataset[Sample]):
    """Samples of one pack as tensors.

    A sample is ``{"image": (3, H, W) float32 in 0..1, "targets": {task: tensor}, "name": str}``; every task of
    ``tasks`` is in ``targets``, wholly missing where the sample or the pack has no label for it. How labels and missing
    ones look, say the tasks' kinds.

    Random transforms draw from a generator seeded by (seed, view, index); the view is the epoch, or with ``views`` the
    epoch modulo their number. So what a sample becomes does not depend on the number of workers or on what was drawn
    before, and a resumed run sees the same as an uninterrupted one.

    Args:
        reader: the pack.
        tasks: the tasks wanted, by name.
        transform: of the sample while its parts are TVTensors; None for none.
        seed: of the random transforms.
        cache: keep decompressed arrays in memory, up to :data:`CACHE_BYTES` (shared by the workers of a loader).
        views: so many pictures are made of each image, by turns; None: another one in every epoch.
        label_maps: per task the new id of each stored class id, e.g. of ``Recipe.class_ids``.

    Raises:
        ConfigError: the pack has a task of that name but of another kind.
    """

    def __init__(
        self,
        reader: PackReader,
        tasks: Mapping[str, Task],
        transform: Callable[[Sample], Sample] | None = None,
        *,
        seed: int = 0,
        cache: bool = False,
        views: int | None = None,
        label_maps: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.reader = reader
        self.tasks = dict(tasks)
        self.transform = transform
        self.seed, self.views = seed, views
        self.known: Known | None = None
        """Where set, a sample has two entries more: "known", a tuple of tensors or None, and "place", (number, index,
        view); and its image is None where it is known and not wanted."""
        # Shared memory: workers that live through several epochs see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._cache: dict[int, dict[str, NDArray[Any]]] | None = {} if cache else None
        self._cached = 0
        self._stored = [name for name in self.tasks if name in reader.tasks]
        self._maps = {t: tuple(ids) for t, ids in (label_maps or {}).items()}
        for name in self._stored:
            if (found := reader.tasks[name].kind) != (wanted := self.tasks[name].kind):
                raise ConfigError(f"{reader.path}: task {name!r} is of kind {found!r} there, wanted {wanted!r}")

    def __len__(self) -> int:
        return len(self.reader)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose random draws come next; call it before making the loader's iterator."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        view = int(self._epoch) if self.views is None else int(self._epoch) % self.views
        if self.known is None:
            return self._sample(index, view)
        found = self.known.find(index, view)
        size = None if found is None or self.known.wants_image else self.known.size
        return {**self._sample(index, view, size), "known": found, "place": (self.known.number, index, view)}

    def _sample(self, index: int, view: int, size: tuple[int, int] | None = None) -> Sample:
        """A view of a sample; ``size``: that of its targets where the image is not wanted."""
        arrays = self._arrays(index, image=size is None)
        name = self.reader.names[index]
        targets = {t: self._target(t, arrays[t], name) for t in self._stored if t in arrays}
        image = Frame.of(self.reader.size(index)) if size else _image(arrays["image"])
        sample: Sample = {"image": image, "targets": targets, "name": name}
        if self.transform is not None:
            with seeded(self.seed, view, index):
                sample = self.transform(sample)
        sample["image"] = None if size else plain(sample["image"]).contiguous()
        size = size or tuple(sample["image"].shape[-2:])
        sample["targets"] = {
            name: _finish(sample["targets"][name]) if name in targets else task.behaviour.missing_target(task, size)
            for name, task in self.tasks.items()
        }
        return sample

    def _arrays(self, index: int, image: bool) -> dict[str, NDArray[Any]]:
        if self._cache is None:
            return self.reader.read(index, self._stored, image=image)
        if index in self._cache and ("image" in self._cache[index] or not image):
            return self._cache[index]
        arrays = self.reader.read(index, self._stored, image=image)
        size, worker = sum(array.nbytes for array in arrays.values()), get_worker_info()
        # The first that come stay: in epochs whose order is drawn anew no other choice is read again sooner.
        if self._cached + size <= CACHE_BYTES // (worker.num_workers if worker else 1):
            self._cached += size - sum(array.nbytes for array in self._cache.get(index, {}).values())
            self._cache[index] = arrays
        return arrays

    def _target(self, task: str, array: NDArray[Any], name: str) -> Tensor:
        """A stored label as the TVTensor of its task."""
        kind, stored = self.tasks[task].behaviour, self.reader.tasks[task]
        kind.check_stored(stored, array, f"{self.reader.path}: sample {name!r}, {task}")
        mapped = kind.mapped(array, self._maps[task]) if task in self._maps else array
        return map_of(self.tasks[task])(kind.to_target(self.tasks[task], mapped))


class MixedDataset(Dataset[Sample]):
    """Several data sets one after the other, each lacking some of the others' labels.

    Args:
        datasets: all made with the same ``tasks``.
    """

    def __init__(self, datasets: Sequence[PackDataset]) -> None:
        if not datasets:
            raise ValueError("MixedDataset of nothing")
        if any(list(d.tasks) != list(datasets[0].tasks) for d in datasets):
            raise ValueError("the data sets of a MixedDataset must be made with the same tasks")
        self.datasets = list(datasets)
        self.tasks = datasets[0].tasks
        self.lengths = [len(d) for d in datasets]
        self._ends = np.cumsum(self.lengths)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of all the sets; see ``PackDataset.set_epoch``."""
        for dataset in self.datasets:
            dataset.set_epoch(epoch)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self.datasets[which][index - (int(self._ends[which - 1]) if which else 0)]


class BalancedSampler(Sampler[int]):
    """Indices into a ``MixedDataset`` with the same share of every set, in every stretch of draws.

    Each round takes one index of every set, in random order; a set is gone through whole before any of its samples
    comes again. The order depends on (seed, epoch) only.

    Args:
        lengths: size of each set.
        samples: indices per epoch; default the sum of ``lengths``.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int], samples: int | None = None, seed: int = 0) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"every set needs a sample, found {list(lengths)}")
        self.lengths, self.seed, self.epoch = list(lengths), seed, 0
        self.samples = sum(lengths) if samples is None else samples

    def __len__(self) -> int:
        return self.samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        rounds = -(-self.samples // len(self.lengths))
        starts = np.cumsum([0, *self.lengths[:-1]])
        columns = []
        for start, length in zip(starts, self.lengths, strict=True):
            passes = [random.permutation(length) for _ in range(-(-rounds // length))]
            columns.append(start + np.concatenate(passes)[:rounds])
        table = random.permuted(np.stack(columns, axis=1), axis=1)
        return iter(table.ravel()[: self.samples].tolist())


def collate(batch: Sequence[Sample], tasks: Mapping[str, Task] | None = None) -> dict[str, Any]:
    """Stack samples: ``{"image": (B, 3, H, W), "targets": {task: (B, ...)}, "name": [str]}``.

    Smaller samples are padded right and bottom: images with 0, targets with their task's missing value. Of samples of
    which something may be known (:attr:`PackDataset.known`), which are all of one size, ``image``, ``known`` and
    ``place`` are lists.

    Args:
        batch: samples of a data set.
        tasks: the data set's ``tasks``; only needed where sizes differ (``functools.partial(collate, tasks=...)``).

    Raises:
        ValueError: sizes differ and ``tasks`` is not given.
    """
    if "known" in batch[0]:
        targets = {t: torch.stack([s["targets"][t] for s in batch]) for t in batch[0]["targets"]}
        return {**{key: [s[key] for s in batch] for key in ("image", "known", "place", "name")}, "targets": targets}
    sizes = [tuple(s["image"].shape[-2:]) for s in batch]
    size = (max(h for h, _ in sizes), max(w for _, w in sizes))
    if tasks is None and len(set(sizes)) > 1:
        raise ValueError(f"images of sizes {sorted(set(sizes))} in one batch: give collate the tasks, or resize")

    def stack(tensors: list[Tensor], fill: float) -> Tensor:
        return torch.stack([crop_filled(t, (0, 0, *size), fill) for t in tensors])

    return {
        "image": stack([s["image"] for s in batch], 0.0),
        "targets": {
            t: stack([s["targets"][t] for s in batch], tasks[t].behaviour.missing(tasks[t]) if tasks else 0.0)
            for t in batch[0]["targets"]
        },
        "name": [s["name"] for s in batch],
    }


def _image(array: NDArray[Any]) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in 0..1."""
    return tv_tensors.Image(torch.from_numpy(array).permute(2, 0, 1).contiguous().float().div_(255))


def _finish(target: Tensor) -> Tensor:
    """A plain contiguous tensor; class ids as int64."""
    target = plain(target).contiguous()
    return target if target.is_floating_point() else target.long()


@contextlib.contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed torch's CPU generator from ``key``; its state before comes back afterwards."""
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)))
    try:
        yield
    finally:
        generator.set_state(state)
