"""A task more for a finished run, from Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vtadapt.api.model import Model
from vtadapt.api.runs import PathLike
from vtadapt.errors import UsageError
from vtadapt.workflows.run.files import CONFIG
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings.resolve import Given


def add_task(
    run: PathLike | Model,
    task: str,
    data: PathLike | None = None,
    *,
    run_dir: PathLike = "runs",
    weights: PathLike | None = None,
    quiet: bool = True,
    device: str = "cpu",
    **settings: Any,
) -> Model:
    """Train a task more for a finished run, as ``vtadapt train --add-task`` does, and load the run again.

    Only what is of the new task alone is trained, and kept in a file of its own in the run's folder: the outputs of the
    other tasks stay the same bit for bit. The same call again goes on where one was interrupted.

    >>> model = vtadapt.add_task("rooms-0001", "edges", steps=500)  # doctest: +SKIP

    Args:
        run: its folder, its name in ``run_dir``, or the model that :func:`vtadapt.load` or :func:`vtadapt.train` gave,
            which itself stays without the task.
        task: its name, as the data's recipe declares it.
        data: the data set that has its labels, or the path of a recipe; None for the run's own.
        run_dir: folder of the runs.
        weights: of the run's backbone, where they are not found by themselves, as for :func:`vtadapt.load`.
        quiet: no progress on stderr.
        device: that the result is loaded to; what it is trained on is the setting ``accelerator``.
        settings: others than the run's own, such as steps, lr, batch_size, seed, data_dir or losses.

    Returns:
        The run with the task; ``model.path / "added"`` holds its file.

    Raises:
        ConfigError: the run is not finished, is not in a folder of your own, has the task already, or is of a method
            that cannot get another; a setting that does not fit.
        DataError: the data is not prepared, or has no label of the task.
        UsageError: a model that is in no folder yet, or a device that is not there.
    """
    from vtadapt.workflows.train.add_task import add_task as work  # here: it takes seconds, which loading need not wait
    from vtadapt.workflows.train.adding import adding_settings, need_addable

    if isinstance(run, Model):
        if not (run.path / CONFIG).is_file():
            raise UsageError("a task is added to a run in a folder; this model is in none, model.save(FOLDER) first")
        run = run.path
    found = find_run(os.fspath(run), Path(run_dir))
    need_addable(found, task)
    given = settings if data is None else {**settings, "data": os.fspath(data)}
    chosen = adding_settings(found, {key: Given(value, "flag") for key, value in given.items()})
    place = None if weights is None else os.fspath(weights)
    work(found, task, chosen, quiet=quiet, weights=place, trivial=False)
    return Model(load_run(found, device, weights=place), device)
