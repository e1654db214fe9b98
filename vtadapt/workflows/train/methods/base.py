"""An objective: how the loss of a step is made of a network and a batch, and what it keeps from step to step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from vtadapt.errors import VtadaptError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.tasks.losses import BY_LARGEST, Loss, largest_by
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
        losses = {name: self.task_loss(task, logits[name], batch, step) for name, task in tasks.items()}
        shares, shown = over_processes(losses, self.fabric)
        terms = [
            self.weight(task) * factors.get(name, 1.0) * shares[name] * losses[name].value
            for name, task in tasks.items()
        ]
        return sum(terms[1:], terms[0]), shown

    def weight(self, task: Task) -> float:
        """Weight of a task's loss: from the settings, else its own."""
        return self.settings.loss_weights.get(task.name, task.weight)

    def task_loss(self, task: Task, logits: Tensor, batch: Batch, step: int) -> Loss:
        """The loss of one task.

        Raises:
            VtadaptError: it is not a number.
        """
        joined = self.fabric.world_size > 1 and task.loss in BY_LARGEST
        with largest_by(self._largest) if joined else contextlib.nullcontext():
            loss = task.loss_fn(logits, batch["targets"][task.name], self.class_weights.get(task.name))
        if joined and not loss.valid:  # the other processes wait for this one
            self._largest(loss.value.detach())
        if loss.valid and not torch.isfinite(loss.value):
            raise VtadaptError(
                f"loss of task {task.name!r} is {float(loss.value.detach())} at step {step + 1}; "
                f"lower --lr or check its labels in images {', '.join(batch['name'][:4])}"
            )
        return loss

    def _largest(self, error: Tensor) -> Tensor:
        """The largest of all processes; a value of 0 in one without a labelled pixel changes nothing."""
        return cast(Tensor, self.fabric.all_reduce(error.clone(), reduce_op="max"))

    def clip(self, model: Any, optimiser: Any) -> None:
        """Bound the norm of the gradients, all together; arguments as Fabric gives them.

        Raises:
            VtadaptError: it is not finite.
        """
        norm = self.fabric.clip_gradients(model, optimiser, max_norm=self.settings.clip_norm, error_if_nonfinite=False)
        self.need_finite_norm(norm)

    def need_finite_norm(self, norm: Tensor | None) -> None:
        """Refuse an update that would make all weights NaN: those from before it are kept.

        Raises:
            VtadaptError: ``norm``, of the gradients, is not finite. That of half precision may be now and then: its
                scaler leaves such a step out.
        """
        if norm is not None and self.fabric.strategy.precision.precision != "16-mixed" and not norm.isfinite():
            raise VtadaptError(
                f"the gradients are {float(norm)}: the run diverges; what was saved before is kept, train again with a "
                "lower --lr"
            )

    def state(self) -> dict[str, Tensor]:
        """All that resuming needs besides network and optimiser."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        del state


def over_processes(losses: Mapping[str, Loss], fabric: Fabric) -> tuple[dict[str, float], dict[str, float]]:
    """What each task's loss in this process counts for, and the losses of all processes to show.

    Gradients are averaged over the processes, each the mean over its own labelled pixels. That is the mean over all
    pixels, as one process with all images has it, where a process with n of N labelled pixels on R processes counts
    n R / N. (The mean that ``silog`` subtracts, the weights of classes of :mod:`.adversarial` and the statistics of
    batch norm, which the CNNs have, stay each process' own.)

    Args:
        losses: by task; the same tasks in every process.
        fabric: of the run.

    Returns:
        Task -> factor, 1 in a single process; task -> mean over the labelled pixels of all, where there are any.
    """
    if fabric.world_size == 1:
        shown = {name: float(loss.value.detach()) for name, loss in losses.items() if loss.valid}
        return dict.fromkeys(losses, 1.0), {name: round(value, 5) for name, value in shown.items()}
    rows = [
        [float(loss.valid), loss.valid * float(loss.value.detach()) if loss.valid else 0.0] for loss in losses.values()
    ]
    mine = torch.tensor(rows, dtype=torch.float64, device=fabric.device)
    both = cast(Tensor, fabric.all_reduce(mine.clone(), reduce_op="sum"))
    shares = (mine[:, 0] * fabric.world_size / both[:, 0].clamp_min(1)).tolist()
    means = (both[:, 1] / both[:, 0].clamp_min(1)).tolist()
    there = (both[:, 0] > 0).tolist()
    shown = {name: round(mean, 5) for name, mean, some in zip(losses, means, there, strict=True) if some}
    return dict(zip(losses, shares, strict=True)), shown
