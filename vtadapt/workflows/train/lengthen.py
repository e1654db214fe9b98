"""A run that is to be trained further than it was meant to be."""

from __future__ import annotations

import os
from pathlib import Path

from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import names_of
from vtadapt.workflows.run.settings import TrainSettings

LAST = Path("checkpoints") / "last" / files.STATE
LENGTH = ("steps", "epochs", "patience")
"""The settings that say how long a run is."""


def lengthened(folder: Path, settings: TrainSettings, steps: int | None, epochs: int | None) -> TrainSettings:
    """The settings of a run with more steps, or more epochs; the other of both follows from it.

    It has no ``patience`` any more. The learning rate goes on where the step lies in the longer schedule. What was
    evaluated stays, also the best weights: a longer run is never worse on its validation set.

    Args:
        folder: of the run.
        settings: its own.
        steps: in all, those that are done included.
        epochs: in all.

    Raises:
        UsageError: both are given, or no more than is done.
        ConfigError: tasks were added to it, which rest on its weights as they are.
    """
    if added := names_of(folder):
        raise ConfigError(
            f"{', '.join(added)} was added to {os.fspath(folder)!r} and rests on its weights, which more steps change; "
            f"remove it first (vtadapt runs {os.fspath(folder)} --remove-task {added[-1]}), or train a new run"
        )
    if steps is not None and epochs is not None:
        raise UsageError("--steps and --epochs both say how long a run is; with --resume give one of them")
    done = int(checkpoint.read_tensors(folder / LAST)[1]["step"]) if (folder / LAST).is_file() else 0
    if steps is not None and steps <= done:
        raise UsageError(f"{os.fspath(folder)!r} has {done} steps already; wanted more of them in --steps")
    if epochs is not None and epochs <= (settings.epochs or 0):
        raise UsageError(f"{os.fspath(folder)!r} has {settings.epochs} epochs already; wanted more of them in --epochs")
    # Who asks for more steps has them, also of a run that patience has ended.
    return settings.model_copy(update={"steps": steps, "epochs": epochs, "patience": None})
