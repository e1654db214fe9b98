"""Removing runs, and tasks that were added: only of runs that nothing is at work on, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vtadapt.atomic import disk_error, temporary_name
from vtadapt.errors import ConfigError
from vtadapt.workflows.run.added import need_removable_task, remove_added
from vtadapt.workflows.run.folder import alone_in, is_bundled, refuse_trained
from vtadapt.workflows.runs.survey import is_run


def need_removable(path: Path) -> None:
    """Refuse what is no run, the bundled one, a link, and a run that is being trained.

    Raises:
        ConfigError: it is one of these.
    """
    if path.is_symlink():
        raise ConfigError(f"{os.fspath(path)!r} is a link; remove the link, or name the folder that it leads to")
    if not is_run(path):
        raise ConfigError(f"{os.fspath(path)!r} is no run; only folders of runs are removed")
    if is_bundled(path):
        raise ConfigError("the bundled demo run is a part of vtadapt and stays")
    refuse_trained(path)


def remove_run(path: Path) -> None:
    """Remove a run's folder.

    It is given another name first, so that a run which is cut off in the middle is no run any more.

    Raises:
        ConfigError: see :func:`need_removable`.
        DataError: the disk refuses.
    """
    need_removable(path)
    with alone_in(path), disk_error(path):
        gone = temporary_name(path)
        path.rename(gone)
    with disk_error(path):
        shutil.rmtree(gone)


def need_removable_from(path: Path, task: str) -> None:
    """Refuse what :func:`need_removable` does, and a task that was not added or that a later one rests on.

    Raises:
        ConfigError: it is one of these.
    """
    need_removable(path)
    need_removable_task(path, task)


def remove_task(path: Path, task: str) -> None:
    """Remove a task that was added to a run; the run is then what it was without it.

    Raises:
        ConfigError: see :func:`need_removable_from`.
        DataError: the disk refuses.
    """
    need_removable_from(path, task)
    with alone_in(path):
        remove_added(path, task)
