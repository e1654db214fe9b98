"""The cells of a yardstick: which there are, and carrying out those that are not there yet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from vtadapt.atomic import write_json
from vtadapt.data.prepare.workers import pool_of
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks import Task
from vtadapt.workflows.gain.bench import Bench, make_bench
from vtadapt.workflows.gain.cell import Cell, measure, train_cell
from vtadapt.workflows.gain.options import GainOptions
from vtadapt.workflows.run import files
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.progress import Progress

CELLS = "cells"
FORMAT = 1

_bench: Bench | None = None  # of a worker, made once


def pairs(tasks: Iterable[str], options: GainOptions) -> list[Cell]:
    """Each task alone, and with each other one, seed by seed, so that whole seeds are there first."""
    names = [*tasks]
    cells = []
    for seed in options.seeds:
        cells += [Cell(t, (), seed, options.scarce) for t in names]
        cells += [Cell(t, (s,), seed, options.scarce) for t in names for s in names if s != t]
    return cells


def cell_file(folder: Path, cell: Cell) -> Path:
    """Where a cell's result is."""
    return folder / CELLS / f"{cell.name}.json"


def read_cell(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """The result of a cell; None where it is not there.

    Raises:
        DataError: its file is broken.
    """
    path = cell_file(folder, cell)
    if not path.is_file():
        return None
    content = files.read_json(path)
    if content.get("format") != FORMAT or "loss" not in content:
        raise DataError(f"{os.fspath(path)!r} is no result of a cell; remove it, and it is measured again")
    return content


def open_bench(
    settings: TrainSettings, tasks: Mapping[str, Task], options: GainOptions, targets: Iterable[str] | None = None
) -> Bench:
    """The images, encoded by the frozen part of the encoder that the settings name; ``targets``: None for all."""
    first = next(iter(tasks))
    model = build_model(settings, {first: tasks[first]}).to(_device(settings))
    return make_bench(settings, tasks, model, options.images, options.views, options.scarce, targets)


def _device(settings: TrainSettings) -> torch.device:
    """A GPU where there is one and the settings allow it; cells are too small for several."""
    wanted = settings.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wanted and torch.cuda.is_available() else "cpu")


def run_cell(bench: Bench, settings: TrainSettings, cell: Cell, weights: Mapping[str, float] | None) -> dict[str, Any]:
    """Train and measure one cell: its metrics, its loss, and the CPU seconds of this process that it took."""
    began = time.process_time()
    model = train_cell(bench, settings, cell, weights)
    found = measure(bench, model, bench.tasks[cell.target])
    about = {"target": cell.target, "sources": list(cell.sources), "seed": cell.seed, "scarce": cell.scarce}
    seconds = round(time.process_time() - began, 2)
    return {"format": FORMAT, **about, "weights": dict(weights or {}), **found, "cpu_seconds": seconds}


def run_cells(
    cells: Sequence[Cell],
    folder: Path,
    settings: TrainSettings,
    tasks: Mapping[str, Task],
    options: GainOptions,
    title: str,
    quiet: bool,
    weights: Mapping[Cell, Mapping[str, float]] | None = None,
) -> dict[Cell, dict[str, Any]]:
    """The results of cells; those that have no file are trained, ``options.jobs`` at a time.

    Args:
        cells: wanted.
        folder: of the yardstick.
        settings: of each training.
        tasks: of the bench.
        options: what is asked for.
        title: of the bar.
        quiet: no progress.
        weights: cell -> task -> factor of its loss.

    Raises:
        ConfigError: a process ended by itself.
    """
    found = {cell: kept for cell in cells if (kept := read_cell(folder, cell)) is not None}
    missing = [cell for cell in cells if cell not in found]
    chosen, targets = weights or {}, [*dict.fromkeys(cell.target for cell in missing)]
    with Progress(len(cells), len(found), title, quiet) as bar:
        if options.jobs == 1 and missing:
            bench = open_bench(settings, tasks, options, targets)
            for cell in missing:
                found[cell] = run_cell(bench, settings, cell, chosen.get(cell))
                write_json(cell_file(folder, cell), found[cell])
                bar.update(len(found), {})
        elif missing:
            with pool_of(min(options.jobs, len(missing)), _begin, settings, dict(tasks), options, targets) as pool:
                waiting = {pool.submit(_work, settings, cell, chosen.get(cell)): cell for cell in missing}
                for done in as_completed(waiting):
                    found[waiting[done]] = _result_of(done, options.jobs)
                    write_json(cell_file(folder, waiting[done]), found[waiting[done]])
                    bar.update(len(found), {})
    return found


def _result_of(done: Future[dict[str, Any]], jobs: int) -> dict[str, Any]:
    try:
        return done.result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"one of --jobs {jobs} processes ended by itself, perhaps for want of memory; try again with fewer: "
            "what is finished is kept"
        ) from error


def _begin(settings: TrainSettings, tasks: Mapping[str, Task], options: GainOptions, targets: list[str]) -> None:
    global _bench
    torch.set_num_threads(1)
    _bench = open_bench(settings, tasks, options, targets)


def _work(settings: TrainSettings, cell: Cell, weights: Mapping[str, float] | None) -> dict[str, Any]:
    assert _bench is not None
    return run_cell(_bench, settings, cell, weights)
