"""The grid of a comparison: which runs it consists of, and carrying them out in processes of one thread each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vtadapt.data.atomic import disk_error
from vtadapt.errors import ConfigError, UsageError, near_matches
from vtadapt.workflows import runs
from vtadapt.workflows.compare_cell import COST, MEASURE, TRAIN, run_cell
from vtadapt.workflows.progress import Progress
from vtadapt.workflows.settings import METHODS, TrainSettings, load, validate

ALL = ("stl", "stl:resnet_pico", "mtl-cnn", "consistency", "xtam", "tawt", "mult", "adapters")
"""What "all" means; STL is there twice, since Delta_m compares with single-task training of the same encoder."""

LOG = "log.txt"
POLL = 0.2  # seconds between two looks at the processes
MOVABLE = ("data_dir", "run_dir", "start")  # settings in which a kept cell may differ


@dataclass(frozen=True)
class Variant:
    """A column of the table: a method with its encoder."""

    label: str
    method: str
    settings: TrainSettings

    @property
    def encoder(self) -> str:
        """Name of the encoder."""
        return self.settings.encoder


@dataclass
class Cell:
    """A variant with a seed: one run folder."""

    label: str
    seed: int
    path: Path
    settings: TrainSettings
    error: str | None = None
    """Why it failed; None while it has not."""
    what: str = TRAIN
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.label} seed {self.seed}"

    @property
    def done(self) -> bool:
        """Whether it is finished; the panels are the last that a run writes."""
        if self.what == MEASURE:
            return (self.path / COST).is_file()
        panels = [self.path / f"panel-{name}.png" for name in self.settings.data_names]
        return all(path.is_file() for path in (self.path / runs.RESULTS, *panels))

    def step(self) -> int:
        """The last step in its log."""
        try:
            lines = (self.path / runs.METRICS).read_text(encoding="utf-8").splitlines()
            return int(json.loads(lines[-1])["step"])
        except (OSError, ValueError, KeyError, IndexError):
            return 0


def find_variants(names: str, base: TrainSettings, own: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """The variants named by "METHOD[:ENCODER],...", or "all".

    Args:
        names: as typed.
        base: settings of all of them.
        own: method (or METHOD:ENCODER) -> settings that differ for it.

    Raises:
        UsageError: unknown, or twice the same.
        ConfigError: a setting that does not fit.
    """
    listed = [part.strip() for part in names.split(",") if part.strip()]
    if listed == ["all"]:
        listed = [name for name in ALL if not (base.backbone and ":" in name)]
    for name in listed:
        if name.split(":")[0] not in METHODS:
            close = near_matches(name.split(":")[0], METHODS)
            raise UsageError(f"unknown method {name!r} in --methods; wanted all, or of {', '.join(METHODS)}.{close}")
    if not listed or len(set(listed)) < len(listed):
        raise UsageError(f"--methods {names!r}: wanted each method once, or with another encoder as METHOD:ENCODER")
    for name in sorted(own.keys() - set(listed) - {name.split(":")[0] for name in listed}):
        raise UsageError(f"--set {name}:...: no such method in this comparison; there: {', '.join(listed)}")
    variants = []
    for name in listed:
        method, _, encoder = name.partition(":")
        changes: dict[str, Any] = {"method": method, **own.get(method, {}), **own.get(name, {})}
        if encoder:
            changes["backbone"] = encoder
        settings = validate({**base.model_dump(), **changes}, f"settings of {name!r}")
        variants.append(Variant(name, method, settings))
    return variants


def make_cell(variant: Variant, seed: int, folder: Path, **changes: Any) -> Cell:
    """The cell of a variant and a seed below ``folder``; ``changes``: settings that differ from the variant's."""
    settings = variant.settings.model_copy(update={"seed": seed, "run_dir": folder, **changes})
    return Cell(variant.label, seed, folder / f"{variant.label.replace(':', '@')}-seed{seed}", settings)


def begin(cell: Cell) -> None:
    """Make the folder of a cell, or check that the one there was made with the same settings.

    Raises:
        ConfigError: it was made with others.
    """
    path = cell.path / runs.SETTINGS
    if not path.is_file():
        runs.write_text(path, cell.settings.to_yaml())
        return
    found, wanted = load(path).model_dump(mode="json"), cell.settings.model_dump(mode="json")
    for key in wanted.keys() - set(MOVABLE):
        if found[key] != wanted[key]:
            raise ConfigError(
                f"{os.fspath(cell.path)!r} was made with {key} = {found[key]!r}, wanted {wanted[key]!r}: keep to the "
                "settings that this comparison began with, or name another folder with --out"
            )


def run_grid(cells: Sequence[Cell], jobs: int, title: str, quiet: bool, told: Callable[[Cell], str]) -> None:
    """Carry out the cells that are not finished, ``jobs`` at a time; one that fails does not end the others.

    Args:
        cells: in the order they are begun in; ``error`` is filled where one fails.
        jobs: processes; 0 runs all in this one (for tests: nothing protects it from what happens in there).
        title: of the bar.
        quiet: no progress.
        told: the line to print when a cell is finished.
    """
    waiting = [cell for cell in cells if not cell.done]
    running: list[Cell] = []
    finished = len(cells) - len(waiting)
    try:
        with Progress(len(cells), finished, title, quiet) as bar:
            while waiting or running:
                while waiting and len(running) < max(1, jobs):
                    running.append(_start(waiting.pop(0), jobs == 0))
                time.sleep(POLL if jobs else 0)
                for cell in [c for c in running if c.process is None or c.process.poll() is not None]:
                    running.remove(cell)
                    finished += 1
                    _end(cell)
                    bar.message(f"{cell.name}: {cell.error or told(cell)}")
                bar.update(finished, {cell.name: cell.step() for cell in running})
    finally:
        for cell in running:
            if cell.process is not None:
                cell.process.kill()
                cell.process.wait()


def _start(cell: Cell, here: bool) -> Cell:
    if here:
        try:
            run_cell(cell.what, cell.path)
        except Exception as error:  # as the process would: one cell's defect is not the grid's
            cell.error = " ".join(str(error).split()) or type(error).__name__
        return cell
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vtadapt.workflows.compare_cell", cell.what, os.fspath(cell.path)]
    with disk_error(cell.path / LOG):
        log: IO[bytes] = (cell.path / LOG).open("wb")
    with log:
        cell.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environ)
    return cell


def _end(cell: Cell) -> None:
    """Find out whether a cell failed, and why."""
    if cell.process is None:
        return
    code = cell.process.returncode
    if cell.process.stdin is not None:
        cell.process.stdin.close()
    if code == 0 and cell.done:
        return
    lines = (cell.path / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    cell.error = last if code > 0 else f"ended by signal {-code}" if code < 0 else f"left no results ({last})"
