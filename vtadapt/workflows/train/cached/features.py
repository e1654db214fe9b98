"""Cached features in a training run: what they need, where they are kept, and the batches that have them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from vtadapt.data.training.dataset import MixedDataset, PackDataset
from vtadapt.models.backbones.base import Encoded
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.run.settings.reading import check_read
from vtadapt.workflows.terminal.text import say
from vtadapt.workflows.train.cached.budget import check_need, folder, open_slots, size_words
from vtadapt.workflows.train.cached.form import Form, Parts
from vtadapt.workflows.train.cached.key import identity, key_of
from vtadapt.workflows.train.cached.memory import Memory
from vtadapt.workflows.train.cached.slots import file_size

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import


class Store(Protocol):
    """Where entries are kept by number."""

    def get(self, entry: int) -> Parts | None:
        """An entry; None where it is not there."""

    def put(self, entry: int, parts: Parts) -> None:
        """Keep an entry."""


@dataclass(frozen=True)
class Features:
    """The features of a data set's pictures, see :class:`vtadapt.data.training.dataset.Known`.

    Attributes:
        number: of the data set, where several are trained on.
        size: (H, W) of its pictures.
        wants_image: whether the pictures are needed all the same.
        count: samples of the data set.
        store: where the features are.
    """

    number: int
    size: tuple[int, int]
    wants_image: bool
    count: int
    store: Store

    def find(self, index: int, view: int) -> Parts | None:
        """What is known of a view of a sample."""
        return self.store.get(view * self.count + index)

    def keep(self, index: int, view: int, parts: Parts) -> None:
        """Keep what was encoded of a view of a sample."""
        self.store.put(view * self.count + index, parts)


def open_features(
    settings: TrainSettings,
    names: Sequence[str],
    model: MultitaskModel,
    data: TrainData,
    fabric: Fabric,
    quiet: bool,
) -> None:
    """Give the training sets of a run what is known of their pictures, where it asks for that; nothing is computed yet.

    Args:
        settings: of the run, with its number of epochs.
        names: of its data sets.
        model: its network, with the backbone that it is trained with.
        data: what it reads.
        fabric: where it computes.
        quiet: do not tell what is needed.

    Raises:
        ConfigError: the features do not fit into the limit.
        DataError: the disk is too full.
    """
    kind = settings.cache_features
    if kind == "off":
        return
    check_read({"cache_features": ""}, [settings])  # what a start brought may stand against it
    views = _views(settings, data.sampler.batches)
    sets = sets_of(data.train)
    sizes = [settings.size or each.reader.size(0) for each in sets]
    forms = [_form(model, size) for size in sizes]
    need = sum(file_size(form, len(each) * views) for form, each in zip(forms, sets, strict=True))
    times = f"{views} view{'s' if views > 1 else ''} of"
    counts = [f"{len(s)} images x {times} {size_words(f.bytes)}" for s, f in zip(sets, forms, strict=True)]
    words = " and ".join(counts)
    check_need(need, words, kind, settings.devices if kind == "memory" else 1)
    if fabric.is_global_zero and not quiet:
        where = f"in {folder()}" if kind == "disk" else "in memory"
        say(f"features of the frozen encoder are cached {where}: up to {size_words(need)} ({words})")
        if settings.augment_views is None:
            say("note: every epoch makes other pictures, so that none is seen twice; --augment-views K makes K of each")
    for number, (name, each, size, form) in enumerate(zip(names, sets, sizes, forms, strict=True)):
        store: Store = Memory(form)
        if kind == "disk":
            precision = str(fabric.strategy.precision.precision)
            about = identity(settings, name, model, size, precision, fabric.device.type)
            store = open_slots(key_of(about), {"data_set": name, **about}, form, len(each) * views)
        each.known = Features(number, size, model.looks_at_image, len(each), store)


def sets_of(train: PackDataset | MixedDataset) -> list[PackDataset]:
    """The data sets that are trained on."""
    return train.datasets if isinstance(train, MixedDataset) else [train]


def _views(settings: TrainSettings, batches: int) -> int:
    """Views of each image that a run sees."""
    assert settings.epochs is not None
    epochs = min(settings.epochs, math.ceil(settings.steps / batches)) if settings.steps else settings.epochs
    return min(epochs, settings.augment_views or epochs)


def _form(model: MultitaskModel, size: tuple[int, int]) -> Form:
    """What is kept of a picture of ``size``: found by encoding one, as each family has its own."""
    return Form([part.shape[1:] for part in model.encode(torch.zeros(1, 3, *size))])


class EncodedBatches:
    """The batches of a loader with the features of their images in place of these.

    What is not known yet is computed and kept, on a CPU image by image: the last bits of a matrix product depend on how
    many rows it has, and a picture's features must be the same whichever batch it first came in, or a resumed run would
    not end like one that was not cut.
    """

    def __init__(self, loader: Any, model: MultitaskModel, features: Sequence[Features], fabric: Fabric) -> None:
        """Wrap ``loader``, as Fabric gives it, over the data sets of ``features``."""
        self.loader, self.model, self.features, self.fabric = loader, model, features, fabric

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader:
            yield self._encoded(batch)

    def _encoded(self, batch: dict[str, Any]) -> dict[str, Any]:
        images, places = batch.pop("image"), batch.pop("place")
        found: list[Parts] = self._complete(batch.pop("known"), places, images)
        features = self.features[places[0][0]]
        parts = tuple(torch.stack(each) for each in zip(*found, strict=True))
        image = torch.stack(images) if features.wants_image else None
        return {**batch, "image": Encoded(parts, features.size, image)}

    def _complete(self, found: list[Any], places: Sequence[tuple[int, int, int]], images: list[Tensor]) -> list[Parts]:
        missing = []
        for row, (number, index, view) in enumerate(places):
            # Processes that load data do not see what this one keeps in memory.
            if found[row] is None and (known := self.features[number].find(index, view)) is not None:
                found[row] = tuple(part.to(self.fabric.device) for part in known)
            if found[row] is None:
                missing.append(row)
        together = 1 if self.fabric.device.type == "cpu" else max(1, len(missing))
        for start in range(0, len(missing), together):
            rows = missing[start : start + together]
            with torch.no_grad(), self.fabric.autocast():
                parts = self.model.encode(torch.stack([images[row] for row in rows]))
            for place, row in enumerate(rows):
                number, index, view = places[row]
                found[row] = Form.rounded([part[place] for part in parts])
                self.features[number].keep(index, view, found[row])
        return found


def batches_of(data: TrainData, model: MultitaskModel, fabric: Fabric) -> Any:
    """The batches of a run, with features in place of images where :func:`open_features` was asked to."""
    # Our sampler already gives each process its share, in an order that a resumed run can go on with.
    loader: Any = fabric.setup_dataloaders(data.loader, use_distributed_sampler=False)
    features = [each.known for each in sets_of(data.train) if isinstance(each.known, Features)]
    return EncodedBatches(loader, model, features, fabric) if features else loader
