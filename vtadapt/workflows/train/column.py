"""TROA for a task that is added to a run: its column of A alone, from the labels of tasks that are not trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from vtadapt.affinity import troa as algorithm
from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.run.affinity_file import describe
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.lessons import Lessons
from vtadapt.workflows.train.troa import TroaUpdates, batch_cosines, default_interval, reduce_sums

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import


class ColumnUpdates(TroaUpdates):
    """The updates of one column of A; all other cells, and the losses, are left alone.

    Without labels of another task there is nothing to measure: the task then keeps to its own embedding.
    """

    def __init__(self, settings: TrainSettings, model: MultitaskModel, lessons: Lessons, fabric: Fabric) -> None:
        """Fix the column where it is not learned.

        Args:
            settings: of the training; ``affinity`` "uniform" is a column of ones, all but "troa" leave it fixed.
            model: with the added task.
            lessons: the added task, and those whose labels are at hand.
            fabric: of the run.
        """
        assert lessons.added is not None
        self.model, self.fabric, self.added = cast(AdaptedModel, model), fabric, lessons.added
        self.tasks: Mapping[str, Any] = {**lessons.sources, **lessons.trained}  # the added one last
        self.rows = [model.tasks.index(name) for name in self.tasks]
        self.state = algorithm.Troa(len(self.tasks), settings.troa_momentum, settings.troa_eta)
        self.conditioning = settings.affinity
        self.use_affinity, self.use_weights = model.has_affinity and settings.affinity == "troa", False
        wanted = self.use_affinity and len(self.tasks) > 1
        self.every = (settings.troa_every or default_interval(len(self.tasks))) if wanted else 0
        if model.has_affinity and settings.affinity == "uniform":
            self.model.affinity[: self.rows[-1] + 1, self.rows[-1]] = 1.0

    def update(self, batch: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Measure the column on the batch of ``step`` (from 0); returns the record for ``metrics.jsonl``."""
        found = batch_cosines(self.model, self.tasks, batch, targets=(self.added,))[0].cpu()  # (B, S, 1)
        cells = found.new_full((len(found), len(self.tasks), len(self.tasks)), torch.nan)
        cells[:, :, -1:] = found
        self.state.update(*reduce_sums(algorithm.sums(cells), self.fabric))
        self.apply()
        return {"step": step + 1, "split": "troa", **describe(self.state)}

    def apply(self) -> None:
        """Put the column into the model."""
        if self.use_affinity and self.state.updates:
            column = self.state.affinity[:, -1].to(self.model.affinity)
            self.model.affinity[self.rows, self.rows[-1]] = column


def updates_of(settings: TrainSettings, model: MultitaskModel, lessons: Lessons, fabric: Fabric) -> TroaUpdates:
    """The updates of A in a run.

    Raises:
        ConfigError: see :class:`TroaUpdates`.
    """
    if lessons.added is not None:
        return ColumnUpdates(settings, model, lessons, fabric)
    return TroaUpdates(settings, model, lessons.trained, fabric)
