"""Measuring the task affinities of a trained run, batch by batch, on any number of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from vtadapt.affinity import measures
from vtadapt.affinity.troa import Moments, affinity, marked, sums
from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.errors import ConfigError, DataError, UsageError, near_matches
from vtadapt.models.adapted import AdaptedModel
from vtadapt.workflows.evaluate.other_data import label_maps_of
from vtadapt.workflows.prepare.prepare_data import ensure_synthetic
from vtadapt.workflows.run import files
from vtadapt.workflows.run.affinity_file import FORMAT, THETA, read_affinity, rows
from vtadapt.workflows.run.data.data_sets import load_recipes, need_prepared
from vtadapt.workflows.run.data.same_packs import tell_changed
from vtadapt.workflows.run.devices import is_first_rank, open_fabric
from vtadapt.workflows.run.launcher import obey
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.run.methods import listed, those
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.text import warn
from vtadapt.workflows.train.troa import Sums, batch_cosines, reduce_sums

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

MEASURES = ("troa", "cosine", "lookahead", "permuted")
LEARNED = "learned"  # not measured: what training arrived at
AUTO = "auto"  # measured where the data is at hand, else learned


@dataclass(frozen=True)
class AffinityOptions:
    """What to measure, and on what.

    Attributes:
        measure: one of ``MEASURES``, or "learned" for the matrix that training arrived at; "auto": "troa" where the
            data is prepared, else "learned".
        data: other data sets than the run's own, joined with "+".
        split: of them.
        batches: so many, over all sets.
        batch_size: images per batch.
        per_block: also for each adapted block.
        groups: budget of networks to group the tasks for; None for no grouping.
        lr: step of the look-ahead; None for the run's.
        seed: of the choice of images.
        data_dir: folder of the packs; None for the run's.
        devices: processes.
        accelerator: None for the run's.
        weights: where those of the run's backbone are, see :func:`vtadapt.workflows.run.load.load_run`.
    """

    measure: str = AUTO
    data: str | None = None
    split: str = "train"
    batches: int = 32
    batch_size: int = 8
    per_block: bool = False
    groups: int | None = None
    lr: float | None = None
    seed: int = 0
    data_dir: Path | None = None
    devices: int = 1
    accelerator: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        """Check the measure."""
        known = (*MEASURES, LEARNED, AUTO)
        if self.measure not in known:
            close = near_matches(self.measure, known)
            raise UsageError(f"unknown measure {self.measure!r}; wanted one of {', '.join(known)}.{close}")
        if self.measure == "permuted" and self.batch_size < 2:
            raise UsageError("measure 'permuted' takes labels of another image of the batch; wanted --batch-size >= 2")
        if self.lr is not None and not 0 < self.lr < float("inf"):
            raise UsageError(f"--lr {self.lr:g}: wanted a positive number, the step of the look-ahead")

    @property
    def particular(self) -> list[str]:
        """The options given that another matrix than the learned one is wanted for."""
        given = {"--data": self.data, "--split": self.split != "train", "--per-block": self.per_block, "--lr": self.lr}
        return [name for name, value in given.items() if value]


def _need_affinity(loaded: Loaded, run: Path) -> None:
    """Raise a ConfigError where a run has nothing that tasks could share by affinity."""
    if not loaded.model.has_affinity:
        known, method = listed(those(lambda m: m.affinity)), loaded.settings.method
        raise ConfigError(f"run {os.fspath(run)!r} is a {method!r} run without adapters; wanted --method {known}")
    if len(loaded.tasks) < 2:
        only = ", ".join(loaded.tasks)
        raise ConfigError(f"run {os.fspath(run)!r} has one task ({only}); an affinity wants two or more in --tasks")


def measure_affinity(run: Path, options: AffinityOptions, quiet: bool) -> dict[str, Any]:
    """The content of ``affinity.json`` but for the grouping; see ``affinity_of_run``."""
    loaded = load_run(run, weights=options.weights)
    _need_affinity(loaded, run)
    update: dict[str, Any] = {"devices": options.devices, "num_nodes": 1, "data": options.data or loaded.settings.data}
    update["data_dir"] = options.data_dir or loaded.settings.data_dir
    update["accelerator"] = options.accelerator or loaded.settings.accelerator
    loaded.settings = obey(loaded.settings.model_copy(update=update))
    fabric = open_fabric(loaded.settings)
    loaded.model.to(fabric.device)
    if fabric.is_global_zero:
        tell_changed(run, loaded.settings.data_names, loaded.settings.data_dir)
    places = list(cast(AdaptedModel, loaded.model).shared_parameters()) if options.per_block else []
    history = _history(run, loaded)  # before the work, which nothing that is broken there shall cost
    wanted = _batches(loaded, options, fabric, quiet)
    halves = [[Moments(len(loaded.tasks)) for _ in range(2)] for _ in range(1 + len(places))]
    skipped = dict.fromkeys(loaded.tasks, 0)
    lr = loaded.settings.peak_lr if options.lr is None else options.lr
    with Progress(len(wanted), 0, f"affinity ({options.measure})", quiet or not fabric.is_global_zero) as bar:
        for number, half, batch in _mine(wanted, fabric):
            batch = {k: _to(v, fabric.device) for k, v in batch.items()}
            for moments, found in zip(halves, _observe(loaded, batch, options, lr, skipped), strict=True):
                moments[half].add(*found)
            bar.update(number + 1, {})
    reduced = [[_reduced(m, fabric) for m in pair] for pair in halves]
    if fabric.world_size > 1:
        left_out = cast(Tensor, fabric.all_reduce(torch.tensor([*skipped.values()]), reduce_op="sum")).tolist()
        skipped = dict(zip(skipped, left_out, strict=True))
    about = {
        "format": FORMAT,
        "run": os.fspath(run),
        "data": loaded.settings.data,
        "split": options.split,
        "measure": options.measure,
        "tasks": list(loaded.tasks),
        "batches": len(wanted),
        "images": sum(len(batch.indices) for batch in wanted),
        "images_per_batch": max(len(batch.indices) for batch in wanted),
        "exhausted": len(wanted) < options.batches,
        "seed": options.seed,
        "theta": f"shared adapter parameters, lr {lr:g}" if options.measure == "lookahead" else THETA,
        "left_out": {name: int(n) for name, n in skipped.items() if n},
    }
    about |= _describe(reduced[0], options.measure)
    if places:
        named = zip(places, reduced[1:], strict=True)
        about["blocks"] = {name: _describe(pair, options.measure) for name, pair in named}
    return about | history


def _history(run: Path, loaded: Loaded) -> dict[str, Any]:
    """How training arrived at its matrix, where its file can be read."""
    path = run / files.AFFINITY
    if not path.is_file() or loaded.added:  # the matrices of training are of fewer tasks than what is measured now
        return {}
    try:
        return {"history": read_affinity(path, tuple(loaded.tasks))["history"]}
    except (ConfigError, KeyError) as error:
        if is_first_rank():
            warn(f"without the history of training: {error}")
        return {}


@dataclass(frozen=True)
class Batch:
    """Images of one set that are measured together, and the half of them that they count for."""

    data: PackDataset
    indices: list[int]
    half: int


def _batches(loaded: Loaded, options: AffinityOptions, fabric: Fabric, quiet: bool) -> list[Batch]:
    """Every batch, the same on all ranks; sets take turns, and each gives both halves alike."""
    settings = loaded.settings
    recipes = load_recipes(settings)
    need_prepared(recipes, settings.data_dir)
    for recipe in recipes:
        recipe.need_split(options.split)
    if fabric.is_global_zero:
        ensure_synthetic(recipes, settings.data_dir, quiet=quiet)
    fabric.barrier()
    by_set = []
    for recipe in recipes:
        reader = open_reader(settings, recipe.name, options.split)
        data = PackDataset(reader, loaded.tasks, label_maps=label_maps_of(loaded, recipe))
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(options.seed)).tolist()
        same = len({reader.size(i) for i in range(len(data))}) == 1
        size = options.batch_size if same else 1
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        if len(chunks) > 1 and len(chunks[-1]) < size:
            chunks.pop()
        if options.measure == "permuted" and min(map(len, chunks)) < 2:
            raise DataError(
                f"{recipe.name!r} gives batches of one image (one image, or images of different sizes), so measure "
                "'permuted' has no other image to take labels from; use troa"
            )
        by_set.append([Batch(data, chunk, i % 2) for i, chunk in enumerate(chunks)])
    longest = max(len(chunks) for chunks in by_set)
    turns = [chunks[i] for i in range(longest) for chunks in by_set if i < len(chunks)]
    return turns[: options.batches]


def _mine(wanted: list[Batch], fabric: Fabric) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(number, half, batch) of this rank's share."""
    for number, batch in enumerate(wanted):
        if number % fabric.world_size == fabric.global_rank:
            chosen = Subset(batch.data, batch.indices)
            loader: DataLoader[Any] = DataLoader(chosen, batch_size=len(chosen), collate_fn=collate)
            yield number, batch.half, next(iter(loader))


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Mapping):
        return {k: _to(v, device) for k, v in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value


def _observe(
    loaded: Loaded, batch: Mapping[str, Any], options: AffinityOptions, lr: float, skipped: dict[str, int]
) -> list[Sums]:
    """Sums of one batch: pooled, then of every block where they are wanted."""
    model, tasks = cast(AdaptedModel, loaded.model), loaded.tasks
    if options.measure == "lookahead":
        groups = model.shared_parameters()
        every = [p for group in groups.values() for p in group]

        def losses() -> dict[str, Tensor]:
            logits = model(batch["image"])
            found = {name: task.loss_fn(logits[name], batch["targets"][name]) for name, task in tasks.items()}
            # Weighted as in training: a step of the source is then as long as it would be there.
            weights = {name: loaded.settings.loss_weights.get(name, task.weight) for name, task in tasks.items()}
            return {name: weights[name] * (v.value if v.valid else v.value * torch.nan) for name, v in found.items()}

        chosen = [every, *groups.values()] if options.per_block else [every]
        return [sums(measures.lookahead(losses, theta, tuple(tasks), lr)[None]) for theta in chosen]
    cosines = batch_cosines(model, tasks, batch, measure=options.measure, blocks=options.per_block).cpu()
    for index, (name, task) in enumerate(tasks.items()):
        labelled = task.valid(batch["targets"][name]).flatten(1).any(1).cpu()
        other = labelled.roll(1) if options.measure == "permuted" else labelled
        skipped[name] += int((labelled & other & ~cosines[0, :, index, index].isfinite()).sum())
    return [sums(c) for c in cosines[:1]] + ([sums(c) for c in cosines] if options.per_block else [])


def _reduced(moments: Moments, fabric: Fabric) -> Moments:
    moments.weight, moments.total, moments.square = reduce_sums((moments.weight, moments.total, moments.square), fabric)
    moments.weight2 = moments.weight.clone()  # undecayed: every observation weighs 1
    return moments


def _describe(pair: list[Moments], measure: str) -> dict[str, Any]:
    """The matrices of two halves, pooled, and how well the halves agree."""
    both = Moments(len(pair[0].weight))
    for half in pair:
        both.add(half.weight, half.total, half.square)
    mean, error = both.mean, both.error
    if not both.weight.clone().fill_diagonal_(0).any():
        if measure == "lookahead" and not both.weight.any():
            raise DataError("no loss was finite after the look-ahead's steps; lower --lr")
        raise DataError("no image has labels of two of the tasks, so nothing can be compared; wanted such images")
    shown = affinity(mean, error).masked_fill(both.weight == 0, torch.nan) if measure == "troa" else mean
    return {
        "matrix": rows(shown),
        "mean": rows(mean),
        "sd": rows(both.sd),
        "error": rows(error),
        "count": [[int(n) for n in row] for row in both.weight2.tolist()],
        "marked": marked(mean, error, diagonal=measure in ("troa", "cosine")).tolist(),
        "split_half": split_half(pair[0].mean, pair[1].mean),
    }


def split_half(a: Tensor, b: Tensor) -> float | None:
    """Pearson correlation of two matrices (T, T) off the diagonal; None for fewer than three cells in common."""
    off = ~torch.eye(len(a), dtype=torch.bool) & a.isfinite() & b.isfinite()
    if int(off.sum()) < 3 or float(a[off].std()) == 0 or float(b[off].std()) == 0:
        return None
    return round(float(torch.corrcoef(torch.stack([a[off], b[off]]))[0, 1]), 4)
