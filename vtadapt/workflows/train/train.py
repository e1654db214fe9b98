"""``vtadapt train``: adapters, a probe or another system on one or several packs, with checkpoints and exact resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtadapt.atomic import write_json
from vtadapt.errors import VtadaptError
from vtadapt.workflows.evaluate.evaluate import Metrics
from vtadapt.workflows.evaluate.trivial import Asked, with_trivial
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.same_packs import digests_of, note_packs
from vtadapt.workflows.run.folder import open_run, refuse_trained
from vtadapt.workflows.run.launcher import obey
from vtadapt.workflows.run.settings import TrainSettings, load, save
from vtadapt.workflows.run.settings.reading import check_method
from vtadapt.workflows.terminal.interrupt import going_on
from vtadapt.workflows.terminal.text import warn
from vtadapt.workflows.train.lengthen import LENGTH
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.trainer import Trainer


def train(
    settings: TrainSettings,
    *,
    resume: Path | None = None,
    quiet: bool = False,
    trivial: bool = True,
    weights: str | None = None,
    longer: bool = False,
) -> dict[str, Any]:
    """Train and evaluate; returns what ``results.json`` holds, with the run's folder under ``run``.

    Args:
        settings: of the run; when resuming its own are read, but for the folder of the packs, which may have moved.
        resume: folder of a run that was interrupted.
        quiet: no progress.
        trivial: also measure the trivial predictors at the end, see
            :func:`vtadapt.workflows.evaluate.trivial.with_trivial`.
        weights: when resuming, where those of the backbone are now, see :func:`vtadapt.workflows.run.load.load_run`.
        longer: when resuming, take how long ``settings`` say that a run is, too; see
            :func:`vtadapt.workflows.train.lengthen.lengthened`.

    Raises:
        ConfigError: among other things a setting that the method does not read.
    """
    if resume:
        refuse_trained(resume)
        keys = ("data_dir", *LENGTH) if longer else ("data_dir",)
        taken = {key: getattr(settings, key) for key in keys}
        settings = load(resume / files.SETTINGS).model_copy(update=taken)
    else:
        check_method(settings, settings.changes())
    settings = obey(settings, begun=resume is not None)
    trainer = build_trainer(settings, resume, weights=weights, quiet=quiet)
    settings, fabric = trainer.settings, trainer.fabric
    try:
        with open_run(fabric, resume, settings.run_dir, settings.data) as path:
            if fabric.is_global_zero:
                _begin(trainer, path, begun=resume is not None, longer=longer)
            with going_on(f"vtadapt train --resume {path}"):
                results = trainer.run(path, resume is not None, quiet)
                if trivial and fabric.is_global_zero and _same_packs(trainer):
                    results |= _floor(trainer, results["metrics"])
                    write_json(path / files.RESULTS, results, checked=True)
                return results
    except RuntimeError as error:
        if fabric.world_size > 1 and "onnection" in str(error):
            raise VtadaptError("another process of this run has ended; its own message says why") from error
        raise


def _begin(trainer: Trainer, path: Path, *, begun: bool, longer: bool) -> None:
    """Write what a run begins with into its folder; its settings last, by which it is found."""
    # The folders of a sweep have settings from the beginning; checkpoints of before do not know their packs.
    if not begun or not any((path / name).is_file() for name in (files.PACKS, LAST)):
        note_packs(path, trainer.packs)
    if not begun and trainer.lessons.start is not None:
        trainer.lessons.start.keep(path)
    if longer or not begun:
        save(path / files.SETTINGS, trainer.settings)


def _same_packs(trainer: Trainer) -> bool:
    """Whether the packs are still those that the run has read, of which it holds the files; says so where not."""
    found = digests_of(trainer.packs, trainer.settings.data_dir)
    for name in (name for name, digest in trainer.packs.items() if found.get(name) != digest):
        warn(
            f"data set {name!r} was replaced while the run read it: the run is of the one before, and trivial "
            "predictors, which would be of the new one, are left out"
        )
        return False
    return True


def _floor(trainer: Trainer, metrics: Mapping[str, Metrics]) -> dict[str, Any]:
    """What trivial predictors reach in all that a run was measured in."""
    asked = {
        name: Asked({task: trainer.tasks[task] for task in by_task}, trainer.data.label_maps.get(name))
        for name, by_task in metrics.items()
    }
    return with_trivial(trainer.settings, asked, metrics)
