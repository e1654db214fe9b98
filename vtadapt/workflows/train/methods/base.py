"""An objective: how the loss of a step is made of a network and a batch, and what it keeps from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtadapt.errors import VtadaptError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.tasks.losses import Loss
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.run.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

Batch = Mapping[str, Any]
Logits = Mapping[str, Tensor]


class Objective:
    """The weighted sum of the tasks' losses; adapters, linear, stl, mtl-cnn, xtam and mult are trained so.

    A network that supervises several levels (XTAM) has the sum over them.
    """

    def __init__(
        self, settings: TrainSettings, model: MultitaskModel, tasks: Mapping[str, Task], fabric: Fabric
    ) -> None:
        """Keep what every objective needs.

        Args:
            settings: of the run.
            model: the network itself, not what Fabric or the compiler made of it.
            tasks: of the run.
            fabric: of the run.
        """
        self.settings, self.model, self.tasks, self.fabric = settings, model, dict(tasks), fabric
        self.factors: Callable[[], Mapping[str, float]] = dict
        """Task -> factor of its loss besides its weight; 1 where it is not named."""
        self.class_weights: dict[str, Tensor] = {}
        """Task of classes -> weight of each class in its loss, (K,); all alike where it is not named."""

    def prepare(self, data: TrainData, loader: Any, path: Path, steps: int, quiet: bool) -> dict[str, Any]:
        """Do what comes before the first step; called again when a run is resumed.

        Args:
            data: of the run; its sampler and its set may be put to any epoch.
            loader: over it, as Fabric gives it.
            path: the run's folder, where the result is kept.
            steps: of the run that follows.
            quiet: no progress.

        Returns:
            What ``results.json`` tells of it, with its ``seconds``; empty where there was nothing to do.
        """
        del data, loader, path, steps, quiet
        return {}

    def before_step(self, batch: Batch, step: int) -> dict[str, Any] | None:
        """Look at the batch of ``step`` (from 0) before it is trained on; a record for ``metrics.jsonl``, or None."""
        del batch, step
        return None

    def after_step(self, batch: Batch, step: int) -> None:
        """Do what comes after the optimiser's update of ``step`` (from 0), such as the update of another network."""
        del batch, step

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a step.

        Args:
            model: to call, as Fabric gives it.
            batch: on its device.
            tasks: those with a label in the batch.
            step: from 0, for messages.

        Returns:
            What is differentiated, and each labelled task's own loss (of the last level) to show.
        """
        if self.model.supervised_levels == 1:
            return self.supervised(model(batch["image"], list(tasks)), batch, tasks, step)
        with self.fabric.autocast():  # Fabric puts only forward() into it where there is a single process
            levels = model.levels(batch["image"], list(tasks))
        found = [self.supervised(logits, batch, tasks, step) for logits in levels]
        return torch.stack([total for total, _ in found]).sum(), found[-1][1]

    def supervised(
        self, logits: Logits, batch: Batch, tasks: Mapping[str, Task], step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Sum of weight x factor x loss over the tasks, and the losses to show."""
        factors = self.factors()
        total: Tensor | None = None
        shown = {}
        for name, task in tasks.items():
            loss = self.task_loss(task, logits[name], batch, step)
            weighted = self.weight(task) * factors.get(name, 1.0) * loss.value
            total = weighted if total is None else total + weighted
            if loss.valid:
                shown[name] = round(float(loss.value.detach()), 5)
        assert total is not None
        return total, shown

    def weight(self, task: Task) -> float:
        """Weight of a task's loss: from the settings, else its own."""
        return self.settings.loss_weights.get(task.name, task.weight)

    def task_loss(self, task: Task, logits: Tensor, batch: Batch, step: int) -> Loss:
        """The loss of one task.

        Raises:
            VtadaptError: it is not a number.
        """
        loss = task.loss_fn(logits, batch["targets"][task.name], self.class_weights.get(task.name))
        if loss.valid and not torch.isfinite(loss.value):
            raise VtadaptError(
                f"loss of task {task.name!r} is {float(loss.value.detach())} at step {step + 1}; "
                f"lower --lr or check its labels in images {', '.join(batch['name'][:4])}"
            )
        return loss

    def clip(self, model: Any, optimiser: Any) -> None:
        """Bound the norm of the gradients, all together; arguments as Fabric gives them."""
        self.fabric.clip_gradients(model, optimiser, max_norm=self.settings.clip_norm, error_if_nonfinite=False)

    def state(self) -> dict[str, Tensor]:
        """All that resuming needs besides network and optimiser."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        del state
