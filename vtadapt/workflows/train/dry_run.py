"""``vtadapt train --dry-run``: what would be trained, how large it is and how long it takes; nothing is written."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from vtadapt.data.pack.manifest import has_pack, open_manifest
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.loaders import STEPS, default_epochs
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.tables import Table
from vtadapt.workflows.train.lessons import Lessons
from vtadapt.workflows.train.plan import plan_run

TRIED = 2  # steps that are timed, after one that is not
UNKNOWN = (128, 128)  # size of pictures that nothing tells


def dry_run(settings: TrainSettings) -> dict[str, Any]:
    """What a run of these settings would be.

    Time and memory are measured on random pictures of the training size, with the network as it is: forward and
    backward, without losses, loading and evaluations.

    Returns:
        ``data``, ``method``, ``backbone``, ``tasks`` (kind, loss, weight), ``parameters``, ``images`` (of the training
        splits; None where a set is not prepared), ``size``, ``size_from`` ("settings", "pack", "recipe", or "assumed"
        where nothing tells before the data is prepared), ``batch_size``, ``epochs``, ``steps``, ``bytes`` (weights,
        gradients, optimiser, activations of a step), ``seconds_per_step``, ``seconds`` and ``device``.

    Raises:
        UsageError, ConfigError, DataError: what training would refuse before it begins.
    """
    planned = plan_run(settings)
    settings, lessons, model = planned.settings, planned.lessons, planned.model
    images = _images(settings, lessons)
    size, source = (settings.size, "settings") if settings.size else _size(settings, lessons)
    epochs, steps = _length(settings, images)
    device = open_fabric(settings).device
    seconds, kept = _measure(model.to(device), settings.batch_size, size, device)
    trained = [p for p in model.parameters() if p.requires_grad]
    moments = {"adamw": 2, "radam": 2, "sgd": 1}[settings.optimiser]
    return {
        "data": settings.data,
        "method": settings.method,
        "backbone": settings.encoder,
        "tasks": {
            name: {
                "kind": task.kind,
                "loss": task.loss,
                "weight": settings.loss_weights.get(name, task.weight),
                "trained": name in lessons.trained,
            }
            for name, task in lessons.tasks.items()
        },
        "parameters": {"trained": sum(p.numel() for p in trained), "total": sum(p.numel() for p in model.parameters())},
        "images": images,
        "size": list(size),
        "size_from": source,
        "batch_size": settings.batch_size,
        "epochs": epochs,
        "steps": steps,
        "bytes": {
            "weights": sum(p.numel() * p.element_size() for p in model.parameters()),
            "gradients": sum(p.numel() * p.element_size() for p in trained),
            "optimiser": moments * sum(p.numel() * p.element_size() for p in trained),
            "activations": kept,
        },
        "seconds_per_step": seconds,
        "seconds": seconds * steps,
        "device": str(device),
    }


def _images(settings: TrainSettings, lessons: Lessons) -> int | None:
    counts = []
    for recipe in lessons.recipes:
        if not has_pack(settings.data_dir, recipe.name):
            return None
        counts.append(int(open_manifest(settings.data_dir, recipe.name)["splits"]["train"]["samples"]))
    return sum(counts)


def _size(settings: TrainSettings, lessons: Lessons) -> tuple[tuple[int, int], str]:
    """The size of the packs' pictures, as far as it is known without opening these, and what says so."""
    for recipe in lessons.recipes:
        stored: Sequence[int] | None = None
        if has_pack(settings.data_dir, recipe.name):
            stored = open_manifest(settings.data_dir, recipe.name).get("size")
        if stored or recipe.size:
            height, width = stored or recipe.size or UNKNOWN
            return (height, width), "pack" if stored else "recipe"
    return UNKNOWN, "assumed"


def _length(settings: TrainSettings, images: int | None) -> tuple[int | None, int]:
    """Epochs and steps; of pictures that are not counted yet the steps that a set gets by default."""
    if images is None:
        return settings.epochs, settings.steps or STEPS * len(settings.data_names)
    batches = max(1, images // (settings.batch_size * settings.devices * settings.num_nodes))
    epochs = settings.epochs or default_epochs(settings, batches)
    return epochs, min(epochs * batches, settings.steps or epochs * batches)


def _measure(model: MultitaskModel, batch: int, size: tuple[int, int], device: torch.device) -> tuple[float, int]:
    """Seconds of a step, and bytes of what its forward keeps for the backward."""
    model.train()
    pictures = torch.rand(batch, 3, *size, device=device)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def step() -> None:
        total = sum(each.float().square().mean() for each in model(pictures, list(model.tasks)).values())
        assert isinstance(total, torch.Tensor), "a model has tasks"
        total.backward()
        model.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    begin = time.perf_counter()
    for _ in range(TRIED):
        step()
    return (time.perf_counter() - begin) / TRIED, sum(kept.values())


def dry_run_tables(found: Mapping[str, Any]) -> list[Table]:
    """What :func:`dry_run` found."""
    tasks = Table(f"{found['data']}: {found['method']} on {found['backbone']}")
    for column in ("task", "kind", "loss", "weight"):
        tasks.add_column(column, justify="right" if column == "weight" else "left")
    for name, task in found["tasks"].items():
        tasks.add_row(name, task["kind"], task["loss"] if task["trained"] else "held", f"{task['weight']:g}")
    totals = Table(show_header=False)
    height, width = found["size"]
    images = "not prepared yet" if found["images"] is None else f"{found['images']:,}"
    totals.add_row("training images", images)
    assumed = " (assumed: nothing tells the size before the data is prepared; --size says it)"
    known = assumed if found["size_from"] == "assumed" else ""
    totals.add_row("batch", f"{found['batch_size']} of {height}x{width} on {found['device']}{known}")
    totals.add_row(
        "steps", f"{found['steps']:,}" + ("" if found["epochs"] is None else f" in {found['epochs']} epochs")
    )
    totals.add_row(
        "parameters", f"{found['parameters']['total']:,}, {found['parameters']['trained']:,} of them trained"
    )
    memory = sum(found["bytes"].values())
    parts = ", ".join(f"{name} {count / 2**20:.0f}" for name, count in found["bytes"].items())
    totals.add_row("memory", f"{memory / 2**20:.0f} MiB ({parts})")
    totals.add_row(
        "time",
        f"{_duration(found['seconds'])} ({found['seconds_per_step']:.3f} s a step, measured; losses, loading "
        "and evaluations come on top)",
    )
    return [tasks, totals]


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"about {seconds / 3600:.1f} hours"
    return f"about {math.ceil(seconds / 60)} minutes" if seconds >= 90 else f"about {math.ceil(seconds)} s"
