"""The run that another one starts from: its files, kept with the new run, and its weights."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from vtadapt.atomic import write_json
from vtadapt.errors import ConfigError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.run.load import RunConfig, read_config
from vtadapt.workflows.run.methods import METHODS, listed, those
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.run.settings.reading import reads
from vtadapt.workflows.run.settings.resolve import BEFORE

FOLDER = "start"
NETWORKS = ("adapters", "network", "dpt", "lora")
"""Entries of ``config.json`` that tell an architecture; a run has one of them at most."""


@dataclass(frozen=True)
class Start:
    """The run that training starts from.

    Attributes:
        path: where its files are.
        config: its ``config.json``.
        named: the run as it was named, of which ``path`` may be the copy in the new run's folder.
    """

    path: Path
    config: RunConfig
    named: Path

    def network(self, settings: TrainSettings) -> TrainSettings:
        """Settings whose network is that of the run, where they do not name it otherwise."""
        entries = (self.config.content.get(key) for key in NETWORKS)
        kept = next((entry for entry in entries if isinstance(entry, dict)), {})
        blocks = load(self.path / files.SETTINGS).adapted_blocks if (self.path / files.SETTINGS).is_file() else None
        found = {**BEFORE, "adapted_blocks": blocks, **kept}
        taken = {k: v for k, v in found.items() if k in TrainSettings.model_fields and reads(settings.method, k)}
        return settings.model_copy(update={k: v for k, v in taken.items() if k not in settings.model_fields_set})

    def load_into(self, model: MultitaskModel, config: dict[str, Any], fresh: Sequence[str]) -> None:
        """Put the old run's weights into a new model, all but the heads that start anew.

        Args:
            model: as its settings build it.
            config: its ``config.json``; gets the label sets of the classes that are kept.
            fresh: tasks whose heads start anew.

        Raises:
            ConfigError: the two are of different architectures.
        """
        whole = METHODS[config["method"]].trains_backbone
        for key in ("method", *NETWORKS, "backbone"):
            old = self.config.content.get(key)
            if key == model.entry and isinstance(old, dict):  # a run of old has what there was no choice of then
                then = {each.name: BEFORE.get(each.name, each.default) for each in fields(model.Config)}
                old = {**then, **old}
            found, wanted = _comparable(config.get(key), whole), _comparable(old, whole)
            if found != wanted:
                raise ConfigError(
                    f"{key} {found} is not that of the run this one starts from, {os.fspath(self.path)!r}: {wanted}; "
                    "use the settings it was trained with (random weights: its seed, too)"
                )
        heads = _new_heads(model, fresh)
        tensors, _ = checkpoint.read_tensors(self.path / files.MODEL)
        checkpoint.load_into(model, {**tensors, **heads}, self.path / files.MODEL)
        config["label_sets"] |= {k: v for k, v in self.config.label_sets.items() if k not in fresh}

    def keep(self, run: Path) -> None:
        """Copy what is needed of it into the folder of the run that starts from it, the weights last.

        Raises:
            ConfigError: its weights are missing or broken.
        """
        tensors, about = checkpoint.read_tensors(self.path / files.MODEL)
        write_json(run / FOLDER / files.CONFIG, self.config.content, checked=True)
        checkpoint.write_tensors(run / FOLDER / files.MODEL, tensors, about)


def _new_heads(model: MultitaskModel, fresh: Sequence[str]) -> dict[str, Tensor]:
    if fresh and not model.has_own_parts:
        raise ConfigError(
            f"task {fresh[0]!r} has other classes here, and this method cannot give it a new head; wanted "
            f"method {listed(those(lambda m: m.shares))}"
        )
    new = {id(p) for name in fresh for p in model.head_of(name).parameters()}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in new}
    return {name: value for name, value in model.saved_state().items() if name in names}


def _comparable(value: Any, trained_whole: bool) -> Any:
    """As read from a file, less what may differ: where a backbone's weights came from; what is loaded anyway."""
    left_out = ("weights", "file", "sha256") if trained_whole else ("weights", "file")
    value = json.loads(json.dumps(value))
    return {k: v for k, v in value.items() if k not in left_out} if isinstance(value, dict) else value


def open_start(path: Path) -> Start:
    """The run in ``path``, to be started from.

    Raises:
        ConfigError: it is no finished run.
    """
    return Start(path, read_config(path), path)


def find_start(settings: TrainSettings, folder: Path | None = None) -> Start | None:
    """The run that ``settings`` start from; None where they start from none.

    Args:
        settings: of the new run.
        folder: of the new run, where it is there already; the copy in it is read.

    Raises:
        ConfigError: settings that only go with a start, other tasks than its own, or a run that does not load.
    """
    if settings.start is None:
        if settings.held or settings.rehearse or settings.affinity == "start":
            key = "held" if settings.held else "rehearse" if settings.rehearse else "affinity = 'start'"
            raise ConfigError(f"setting {key} needs a run to start from; name it with --set start=RUN")
        return None
    if other := next((key for key in ("label_space", "target") if getattr(settings, key) is not None), None):
        raise ConfigError(f"setting {other} does not go with start: a run that starts from another keeps its classes")
    copied = folder is not None and (folder / FOLDER / files.MODEL).is_file()  # then the run itself may have moved
    named = settings.start if copied else find_run(str(settings.start), settings.run_dir)
    path = folder / FOLDER if folder is not None and copied else named
    config = read_config(path)
    if settings.tasks is not None and list(settings.tasks) != list(config.tasks):
        raise ConfigError(
            f"a run that starts from another has its tasks, {', '.join(config.tasks)}; found tasks "
            f"{', '.join(settings.tasks)}; name those not to be trained in held instead"
        )
    return Start(path, config, named)
