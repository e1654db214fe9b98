"""``vtadapt info``: the parameter ledger, operations and memory of a run or of settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.data.data_sets import load_recipes
from vtadapt.workflows.run.data.packs import with_packs
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.tables import Table


def info_of_run(run: Path, size: tuple[int, int] | None = None, weights: str | None = None) -> dict[str, Any]:
    """Describe a finished run."""
    loaded = load_run(run, weights=weights)
    return {"run": str(run), **describe_model(loaded.model, loaded.tasks, size or loaded.size)}


def info_of_settings(settings: TrainSettings, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Describe the model that ``vtadapt train`` would build from these settings."""
    settings = with_packs(settings)
    recipes = load_recipes(settings)
    tasks = build_tasks(recipes, settings.tasks)
    wanted = size or settings.size or recipes[0].size or (128, 128)
    return {"data": settings.data, **describe_model(build_model(settings, tasks), tasks, wanted)}


def describe_model(model: MultitaskModel, tasks: dict[str, Task], size: tuple[int, int]) -> dict[str, Any]:
    """Parameters by component, multiply-adds x 2 of one image, and bytes of weights, gradients and optimiser.

    Activations are not in the memory: they depend on batch size and device.
    """
    components = [
        {"component": name, "what": about, "parameters": group.count, "trained": group.trained}
        for name, about, group in model.components()
    ]
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.trained_parameters())
    counter = FlopCounterMode(display=False)
    device = next(model.parameters()).device
    with torch.no_grad(), counter:
        model.eval()(torch.zeros(1, 3, *size, device=device))
    return {
        "tasks": {
            name: {"kind": task.kind, "channels": task.channels, "loss": task.loss, "headline": task.headline}
            for name, task in tasks.items()
        },
        "components": components,
        "parameters": {"total": total, "trained": trained, "saved_with_a_run": trained},
        "size": list(size),
        "forward_gflops": round(counter.get_total_flops() / 1e9, 4),
        "bytes": {"weights": total * 4, "gradients": trained * 4, "adamw": trained * 8},
    }


def info_tables(info: Mapping[str, Any]) -> list[Table]:
    """The parameter ledger, and a table of totals."""
    ledger = Table(str(info.get("run", info.get("data"))))
    for column in ("component", "what", "parameters", "trained"):
        ledger.add_column(column, justify="right" if column == "parameters" else "left")
    for row in info["components"]:
        ledger.add_row(row["component"], row["what"], f"{row['parameters']:,}", "yes" if row["trained"] else "frozen")
    height, width = info["size"]
    totals = Table(show_header=False)
    totals.add_row("parameters", f"{info['parameters']['total']:,}")
    totals.add_row("trained", f"{info['parameters']['trained']:,}")
    totals.add_row(
        f"forward, one image of {height}x{width}, {len(info['tasks'])} tasks", f"{info['forward_gflops']:.3f} GFLOP"
    )
    for name, count in info["bytes"].items():
        totals.add_row(f"memory: {name}", f"{count / 2**20:.1f} MiB")
    return [ledger, totals]
