"""From settings to what a run needs: Fabric, tasks, data, model."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from vtadapt.data.dataset import BalancedSampler, MixedDataset, PackDataset, collate
from vtadapt.data.manifest import open_pack
from vtadapt.data.pack import PackReader
from vtadapt.data.recipe import Recipe, load_recipe
from vtadapt.data.transforms import eval_transform, train_transform
from vtadapt.errors import ConfigError, DataError, near_matches
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbone import load_backbone
from vtadapt.models.probe import LinearProbe
from vtadapt.tasks import Task, make_task
from vtadapt.workflows import runs
from vtadapt.workflows.settings import TrainSettings, load

FORMAT = 1


def open_fabric(settings: TrainSettings) -> Fabric:
    """Start Fabric with the settings' device, precision and number of processes."""
    strategy = "ddp" if settings.devices * settings.num_nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=strategy,
        precision=resolve_precision(settings.precision, settings.accelerator),  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def resolve_precision(precision: str, accelerator: str = "auto") -> str:
    """Turn "auto" into bf16 autocast where the hardware has it, else float32.

    On a CPU that means AMX: without it bf16 is emulated and several hundred times slower than float32.
    """
    cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    cpu = not cuda and accelerator in ("auto", "cpu")
    amx = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    if precision == "auto":
        return "bf16-mixed" if (cuda and torch.cuda.is_bf16_supported()) or (cpu and amx) else "32-true"
    if cpu and precision == "bf16-mixed" and not amx:
        print("warning: this CPU has no bf16 units (AMX); --precision 32-true is much faster here", file=sys.stderr)
    return precision


def build_tasks(recipes: Sequence[Recipe], wanted: Sequence[str] | None) -> dict[str, Task]:
    """The tasks of a run, in the order of ``wanted`` or of the recipes.

    Args:
        recipes: of the data sets that are trained on together.
        wanted: names; None for all that any of the recipes declares.

    Raises:
        ConfigError: a task that no data set declares (with near matches), or declared differently by two of them.
    """
    declared: dict[str, Any] = {}
    for recipe in recipes:
        for name, spec in recipe.tasks.items():
            other = declared.setdefault(name, spec)
            if (other.kind, other.classes, other.distance) != (spec.kind, spec.classes, spec.distance):
                raise ConfigError(
                    f"task {name!r} of {recipe.name!r} is not the {name!r} of {recipes[0].name!r} "
                    "(kind or classes differ); train them apart, or leave it out with --tasks"
                )
    names = list(declared) if wanted is None else list(dict.fromkeys(wanted))
    for name in names:
        if name not in declared:
            sets = "+".join(r.name for r in recipes)
            raise ConfigError(
                f"unknown task {name!r} for {sets!r}; it has {', '.join(declared)}.{near_matches(name, declared)}"
            )
    if not names:
        raise ConfigError("no task given; wanted at least one in --tasks")
    return {name: _task(name, declared[name]) for name in names}


def _task(name: str, spec: Any) -> Task:
    return make_task(
        name,
        spec.kind,
        classes=spec.classes,
        colours=spec.colours,
        units=spec.units,
        loss=spec.loss,
        distance=spec.distance,
        channels=spec.channels,
        max_value=spec.max_value,
    )


class RunSampler(Sampler[int]):
    """The order of one epoch: drawn from (seed, epoch), cut over ranks, able to start in the middle.

    Every rank gets the same number of samples, a multiple of ``batch``; what is left over is dropped this epoch.
    """

    def __init__(self, dataset: Dataset[Any], batch: int, seed: int, rank: int, world: int) -> None:
        """Draw over ``dataset``; a :class:`MixedDataset` is balanced over its sets."""
        self.batch, self.seed, self.rank, self.world = batch, seed, rank, world
        self.total = len(dataset)  # type: ignore[arg-type]
        self.balanced = BalancedSampler(dataset.lengths, seed=seed) if isinstance(dataset, MixedDataset) else None
        self.epoch = self.start = 0
        self.batches = self.total // (batch * world)
        if not self.batches:
            raise ConfigError(f"{self.total} training images are fewer than one batch ({batch} x {world} ranks)")

    def set(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch and the batch to begin with."""
        self.epoch, self.start = epoch, start_batch

    def __len__(self) -> int:
        return (self.batches - self.start) * self.batch

    def __iter__(self) -> Iterator[int]:
        if self.balanced is None:
            generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
            order = torch.randperm(self.total, generator=generator).tolist()
        else:
            self.balanced.set_epoch(self.epoch)
            order = list(self.balanced)
        step = self.batch * self.world
        for start in range(self.start * step, self.batches * step, step):
            yield from order[start + self.rank * self.batch : start + (self.rank + 1) * self.batch]


@dataclass
class TrainData:
    """What a training run reads: the mixed or single training set and one validation loader per data set."""

    train: PackDataset | MixedDataset
    sampler: RunSampler
    loader: DataLoader[Any]
    size: tuple[int, int]


def open_reader(settings: TrainSettings, name: str, split: str) -> PackReader:
    """Open one split of a pack (see :func:`vtadapt.data.manifest.open_pack` for errors)."""
    return open_pack(settings.data_dir, name, split)


def build_train(settings: TrainSettings, tasks: Mapping[str, Task], fabric: Fabric) -> TrainData:
    """Open the training packs and make their loader."""
    readers = [open_reader(settings, name, "train") for name in settings.data_names]
    size = settings.size or readers[0].size(0)
    transform = train_transform(size, settings.scale, 0.5 if settings.flip else 0.0, settings.colour_jitter)
    sets = [PackDataset(r, tasks, transform, seed=settings.seed, cache=settings.cache) for r in readers]
    for name in tasks:
        if not any(r.present(name).any() for r in readers):
            raise DataError(f"no training image of {settings.data!r} has a label for task {name!r}; leave it out")
    train = sets[0] if len(sets) == 1 else MixedDataset(sets)
    sampler = RunSampler(train, settings.batch_size, settings.seed, fabric.global_rank, fabric.world_size)
    loader: DataLoader[Any] = DataLoader(
        train,
        batch_size=settings.batch_size,
        sampler=sampler,
        num_workers=settings.workers,
        collate_fn=functools.partial(collate, tasks=tasks),
        pin_memory=fabric.device.type == "cuda",
    )
    return TrainData(train, sampler, loader, size)


def build_eval(
    reader: PackReader,
    tasks: Mapping[str, Task],
    batch_size: int,
    limit: int | None,
    size: tuple[int, int] | None = None,
) -> DataLoader[Any]:
    """A loader over (evenly spaced) samples of a split, at the size they are stored in, or at ``size``."""
    dataset = PackDataset(reader, tasks, eval_transform(size))
    count = len(dataset)
    picks = range(count) if limit is None or limit >= count else [i * count // limit for i in range(limit)]
    same = size is not None or len({reader.size(i) for i in picks}) == 1
    return DataLoader(
        Subset(dataset, list(picks)),
        batch_size=batch_size if same else 1,
        collate_fn=functools.partial(collate, tasks=tasks),
    )


def build_model(settings: TrainSettings, tasks: Mapping[str, Task]) -> nn.Module:
    """The model that the settings describe; initial values are drawn from the seed."""
    backbone = load_backbone(settings.backbone, settings.weights, seed=settings.seed)
    channels = {name: task.channels for name, task in tasks.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if settings.method == "linear":
            return LinearProbe(backbone, channels)
        config = AdapterConfig(
            embedding_dim=settings.embedding_dim,
            reduction=settings.reduction,
            decoder=settings.decoder,
            decoder_width=settings.decoder_width,
            decoder_sharing=settings.decoder_sharing,
            train_blocks=settings.train_blocks,
        )
        return AdaptedModel(backbone, channels, config)


def describe(
    settings: TrainSettings, tasks: Mapping[str, Task], model: nn.Module, size: tuple[int, int]
) -> dict[str, Any]:
    """The ``config.json`` of a run: all that is needed to rebuild its model and read its outputs."""
    backbone = model.backbone
    return {
        "format": FORMAT,
        "data": settings.data,
        "size": list(size),
        "method": settings.method,
        "backbone": {"name": settings.backbone, "weights": settings.weights, "sha256": backbone.digest()},  # type: ignore[operator, union-attr]
        "adapters": asdict(model.config) if isinstance(model, AdaptedModel) else None,
        "tasks": {name: task.to_dict() for name, task in tasks.items()},
    }


@dataclass
class Loaded:
    """A finished run, ready to predict."""

    path: Path
    settings: TrainSettings
    tasks: dict[str, Task]
    model: nn.Module
    size: tuple[int, int]


def load_run(path: Path) -> Loaded:
    """Rebuild a run's model and load its best weights.

    Raises:
        ConfigError: the folder is not a finished run, its backbone changed, or its checkpoint does not fit.
    """
    config = runs.read_json(path / runs.CONFIG)
    settings = load(path / runs.SETTINGS)
    if config.get("format") != FORMAT:
        raise ConfigError(
            f"{path / runs.CONFIG}: found format {config.get('format')!r}, wanted {FORMAT}; train it again"
        )
    try:
        tasks = {name: Task.from_dict(spec) for name, spec in config["tasks"].items()}
        size, digest = (int(config["size"][0]), int(config["size"][1])), config["backbone"]["sha256"]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ConfigError(f"{path / runs.CONFIG}: missing or broken entry ({error}); train the run again") from error
    model = build_model(settings, tasks)
    if model.backbone.digest() != digest:  # type: ignore[operator, union-attr]
        raise ConfigError(
            f"backbone {settings.backbone!r} ({settings.weights}) is not the one that run {path.name!r} was trained with "
            f"(sha256 {digest[:12]}...); give it the same weights, or train again"
        )
    tensors, _ = runs.read_tensors(path / runs.MODEL)
    runs.load_into(model, tensors, path / runs.MODEL)
    return Loaded(path, settings, tasks, model.eval(), size)


def load_recipes(settings: TrainSettings) -> list[Recipe]:
    """Recipes of the data sets of a run."""
    return [load_recipe(name) for name in settings.data_names]


def to_json(content: Any) -> str:
    """One JSON document for stdout."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str)
