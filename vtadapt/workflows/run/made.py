"""Runs that no training of ours made: a network for a loop of one's own, and its folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vtadapt.atomic import need_writable, write_json
from vtadapt.errors import DataError
from vtadapt.models.backbones.weights.find import about_backbone
from vtadapt.tasks import Task
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import FOLDER
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.load import Loaded, bring, describe
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings, save
from vtadapt.workflows.run.settings.fields import GROUPS

OF_THE_NETWORK = (
    "seed",
    *(key for name in ("model", *METHODS) for key in getattr(GROUPS.get(name), "model_fields", ())),
)
"""Settings that decide what the network is and begins with; the others are of its training."""


def create_run(settings: TrainSettings, tasks: Mapping[str, Task], device: str = "cpu") -> Loaded:
    """A network as it is before training, in the form of a finished run; nothing is written.

    Raises:
        ConfigError: see :func:`vtadapt.workflows.run.build.build_model`.
        UsageError: a device that is not there.
    """
    assert settings.size is not None
    model = build_model(settings, tasks)
    bring(model, device)
    return Loaded(settings.run_dir, settings, dict(tasks), dict.fromkeys(tasks, ""), model, settings.size)


def save_run(loaded: Loaded, folder: Path, *, overwrite: bool = False) -> Loaded:
    """Write a run's network, settings and description to a folder; returns the run as it is there.

    Metrics are not written: nobody has measured the network as it is now. Tasks that were added become its own.

    Raises:
        DataError: the disk refuses, or a run is there and it is not to be overwritten.
    """
    if (folder / files.CONFIG).exists() and not overwrite:
        raise DataError(f"a run is at {os.fspath(folder)!r} already; name another folder, or save(..., overwrite=True)")
    need_writable(folder)
    settings, model = loaded.settings, loaded.model
    backbone = about_backbone(settings.encoder, settings.weights, model.digest())
    config = describe(settings, [], loaded.tasks, model, backbone)
    config |= {"size": [*loaded.size], "label_sets": dict(loaded.label_sets)}
    save(folder / files.SETTINGS, settings)
    checkpoint.write_tensors(folder / files.MODEL, model.saved_state())
    write_json(folder / files.CONFIG, config, checked=True)
    for name in (files.RESULTS, files.AFFINITY, files.METRICS, files.PACKS):  # of the network that was here before
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return replace(loaded, path=folder, added={})
