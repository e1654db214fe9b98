"""The tasks that were added to a run: a file each in its folder, beside weights that stay as they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vtadapt.atomic import disk_error
from vtadapt.errors import ConfigError, clipped, near_matches, quoted
from vtadapt.models.adding import grown, load_own_state, rests_on
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run import checkpoint

FOLDER = "added"
FORMAT = 1
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Added:
    """A task that was added to a run.

    Attributes:
        path: of its file.
        task: what it is.
        about: what the file tells: "number" (from 1, in the order of adding), "task", "label_set", "method", "before"
            (the tasks that were there, in order), "base" (SHA-256 of the run's weights), "data", "packs" (data set ->
            digest), "metrics", "counts", "thresholds", "steps", "train_seconds", "seed", "trained_parameters".
        tensors: see :func:`vtadapt.models.adding.own_state`.
    """

    path: Path
    task: Task
    about: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def before(self) -> list[str]:
        """The tasks that were there when it was added."""
        return list(self.about["before"])

    @property
    def label_set(self) -> str:
        """The name of its list of classes; empty where it has none."""
        return str(self.about["label_set"])


def file_of(run: Path, task: str) -> Path:
    """Where an added task of a run is kept."""
    return run / FOLDER / f"{task}{SUFFIX}"


def names_of(run: Path) -> list[str]:
    """The names of the tasks that were added, by their files alone, broken ones included."""
    return sorted(path.name.removesuffix(SUFFIX) for path in (run / FOLDER).glob(f"*{SUFFIX}") if path.is_file())


def read_added(run: Path) -> dict[str, Added]:
    """The tasks that were added to a run, in the order in which they were.

    Raises:
        ConfigError: a file is broken, damaged or of another version.
    """
    found = [_read(file_of(run, name), name) for name in names_of(run)]
    return {each.task.name: each for each in sorted(found, key=lambda each: int(each.about["number"]))}


def _read(path: Path, name: str) -> Added:
    tensors, about = checkpoint.read_tensors(path)
    if about.get("format") != FORMAT:
        found = quoted(about.get("format"))
        raise ConfigError(f"added task {os.fspath(path)!r}: found format {found}, wanted {FORMAT}; add it again")
    try:
        task = Task.from_dict(about["task"])
        if task.name != name or not all(isinstance(each, str) for each in about["before"]):
            raise ValueError(f"it tells of {quoted(task.name)}")
        int(about["number"]), str(about["label_set"]), str(about["base"]), str(about["method"]), dict(about["metrics"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        reason = clipped(" ".join(str(error).split()), 200)
        raise ConfigError(f"added task {os.fspath(path)!r} is broken ({reason}); add it again") from error
    return Added(path, task, about, tensors)


def write_added(run: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write the file of an added task, whole or not at all, with its number; returns its path.

    Args:
        run: its folder.
        tensors: see :func:`vtadapt.models.adding.own_state`.
        about: see :class:`Added`, without "format" and "number".
    """
    numbers = [int(each.about["number"]) for each in read_added(run).values()]
    path = file_of(run, str(about["task"]["name"]))
    told = {"format": FORMAT, "number": max(numbers, default=0) + 1, **about}
    checkpoint.write_tensors(path, tensors, told)
    return path


def need_removable_task(run: Path, task: str) -> Path:
    """The file of an added task that may be removed.

    Raises:
        ConfigError: no such task was added, or one that was added later rests on it.
    """
    there = names_of(run)
    if task not in there:
        known = f"; added were {', '.join(there)}" if there else "; none was"
        close = near_matches(task, there)
        raise ConfigError(f"task {task!r} was not added to run {run.name!r}{known}.{close}")
    for other in (name for name in there if name != task):
        try:
            later = _read(file_of(run, other), other)
        except ConfigError:  # of no use to anybody: it needs nothing
            continue
        if task in rests_on(later.tensors, later.before):
            raise ConfigError(
                f"task {other!r}, which was added to run {run.name!r} after {task!r}, reads its embedding; remove "
                f"{other!r} first"
            )
    return file_of(run, task)


def remove_added(run: Path, task: str) -> None:
    """Remove an added task: the run is what it was without it.

    Raises:
        ConfigError: see :func:`need_removable_task`.
        DataError: the disk refuses.
    """
    path = need_removable_task(run, task)
    with disk_error(path):
        path.unlink()


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes of a run's weights."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def need_same_weights(run: Path, tensors: Mapping[str, Tensor], added: Mapping[str, Added]) -> None:
    """Refuse tasks that were added to other weights than a run has now.

    Raises:
        ConfigError: names the task.
    """
    digest = weights_digest(tensors) if added else ""
    for name, each in added.items():
        if each.about["base"] != digest:
            raise ConfigError(
                f"task {name!r} was added to other weights of run {run.name!r} (digest "
                f"{str(each.about['base'])[:12]}, found {digest[:12]}): it was trained on or replaced since; remove "
                f"the task (vtadapt runs {os.fspath(run)} --remove-task {name}) and add it again"
            )


def load_with_added(
    model: MultitaskModel, tensors: Mapping[str, Tensor], added: Mapping[str, Added], where: Path
) -> None:
    """Load a run's weights, and those of its added tasks, into a network that has all of their tasks.

    Args:
        model: the added tasks, and any that is about to be, are set apart in it.
        tensors: the run's weights.
        added: its added tasks.
        where: the file of the run's weights.

    Raises:
        ConfigError: something does not fit.
    """
    checkpoint.load_into(model, grown(model, tensors), where)
    for name, each in added.items():
        try:
            load_own_state(model, name, each.tensors, each.before)
        except ConfigError as error:
            raise ConfigError(f"{os.fspath(each.path)!r}: {error}; add it again") from error
