"""Rehearsal: a run that starts from another goes on seeing what that one was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from vtadapt.errors import ConfigError
from vtadapt.tasks import Task
from vtadapt.workflows.train.methods.base import Batch, Objective
from vtadapt.workflows.train.methods.wrapped import Wrapped
from vtadapt.workflows.train.second_data import Stream


class Rehearsal(Wrapped):
    """Each step also has a batch of the data that the start was trained on, with the labels it has there `[ours]`.

    loss = the wrapped objective's on the new data + sum over kept tasks of weight x loss on the old data. Kept are the
    tasks whose head means the same as before, those that are held among them: their head and embedding stay as they
    are, but what all tasks share is kept in tune with them while it learns the new data from the other tasks' labels
    (without it the shared features drift away from under a frozen head). No label of the new data is used that would
    not be used without it.
    """

    def __init__(self, inner: Objective, kept: Mapping[str, Task], label_maps: Mapping[str, Sequence[int]]) -> None:
        """Wrap an objective.

        Args:
            inner: of the new data.
            kept: tasks of the start whose heads mean the same, and which the old data has.
            label_maps: of those with other classes there: the task's class of each.

        Raises:
            ConfigError: there is none, or several processes.
            DataError: the pack is missing or broken.
        """
        super().__init__(inner)
        settings = self.settings
        assert settings.rehearse is not None
        if not kept:
            raise ConfigError(f"rehearse = {settings.rehearse!r} has no label of a task whose head is kept")
        if self.fabric.world_size > 1:  # two forwards with other tasks each, of which DDP follows one
            raise ConfigError("rehearse is for a single process; wanted --devices 1")
        self.kept = dict(kept)
        self.stream = Stream(settings, settings.rehearse, self.kept, self.fabric, label_maps)

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """The wrapped objective's loss, and that on the old data."""
        total, shown = super().loss(model, batch, tasks, step)
        old = self.stream.batch(step)
        labelled = {name: t for name, t in self.kept.items() if t.valid(old["targets"][name]).any()}
        there = labelled or self.kept
        again, seen = self.supervised(model(old["image"], list(there)), old, there, step)
        return total + again, {**shown, **{f"{name} (old)": value for name, value in seen.items()}}
