"""Cross-task consistency: predictions must look like the labels through frozen networks from task to task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from vtadapt.errors import DataError
from vtadapt.models.multitask import MultitaskModel
from vtadapt.models.peers.cross_task import CrossTaskNetworks
from vtadapt.tasks import Task
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.methods.base import Batch, Objective, over_processes
from vtadapt.workflows.train.methods.cross_training import CrossTraining, label_pairs
from vtadapt.workflows.train.methods.maps import label_map, prediction_map

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

MOMENTUM = 0.9  # of the averages of the gradient magnitudes


def coefficients(direct: float, paths: Sequence[float]) -> list[float]:
    """Coefficients a_i of the K consistency terms of a task, from mean gradient magnitudes g_0 (direct) and g_i.

    a_i = (S - g_i) / (K (S - g_0)) with S = g_0 + sum g_j. The authors' code weighs the direct loss by (S - g_0) / S
    and each term by (S - g_i) / (K S); ours is that divided by the direct loss' coefficient, so that the direct losses
    stay those of mtl-cnn and the balance between tasks with them. With one term a_1 = g_0 / g_1: both pull alike.
    """
    total = direct + sum(paths)
    if total <= direct:  # no term has a gradient
        return [0.0] * len(paths)
    return [(total - g) / (len(paths) * (total - direct)) for g in paths]


class Consistency(Objective):
    """Cross-task consistency (Zamir et al., CVPR 2020) on the network of mtl-cnn.

    For each task t the loss is w_t (L_t + sum_i a_i P_i) with P_i = mean |h_{t->i}(f_t(x)) - h_{t->i}(y_t)| over the
    pixels where y_t is there. The h, one for each ordered pair of tasks with common images, are trained first, on
    labels alone, for ``cross_task_share`` of the steps, and frozen.

    The a_i are :func:`coefficients` of running averages (0.9) of mean gradient magnitudes. The authors take them over
    the weights of the task's own network; here the network is shared, and they are taken at the prediction f_t(x)
    [ours], which all terms of a task go through.

    Other readings [ours]: both sides of P_i are compared as predictions (probabilities of classes, metres over the
    typical distance, unit vectors); all terms are used at every step (the authors draw some); depth -> normals is
    learned as the others are, since not every data set has intrinsics.
    """

    networks: CrossTaskNetworks

    def __init__(
        self, settings: TrainSettings, model: MultitaskModel, tasks: Mapping[str, Task], fabric: Fabric
    ) -> None:
        """Start with no gradient seen."""
        super().__init__(settings, model, tasks, fabric)
        self.names = list(tasks)
        size = (len(tasks), len(tasks))
        self.sums = torch.zeros(size, dtype=torch.float64)  # [t, i]; the diagonal is the direct loss
        self.counts = torch.zeros(size, dtype=torch.float64)

    def prepare(self, data: TrainData, loader: Any, path: Path, steps: int, quiet: bool) -> dict[str, Any]:
        """Train the cross-task networks, or read those of the run's folder.

        Raises:
            DataError: no image has labels of two tasks.
        """
        pairs = label_pairs(data, self.tasks)
        if not pairs:
            raise DataError("method 'consistency' wants images with labels of two tasks; none was found")
        steps = max(1, round(self.settings.cross_task_share * steps))
        training = CrossTraining(self.settings, self.tasks, self.fabric, pairs, steps)
        training.run(data, loader, path, quiet)
        self.networks = training.networks
        return {
            "what": "cross-task networks",
            "seconds": round(training.seconds, 2),
            "steps": steps,
            "parameters": sum(p.numel() for p in self.networks.parameters()),
            "losses": training.losses,
        }

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """See the class; what is returned has the right gradient, its value means nothing."""
        # Views, since Fabric's half precision refuses a gradient taken at what its module returned.
        logits = {name: y.view_as(y) for name, y in model(batch["image"], list(tasks)).items()}
        losses = {name: self.task_loss(task, logits[name], batch, step) for name, task in tasks.items()}
        pulls = {name: self.pulls(name, logits[name], batch) for name, loss in losses.items() if loss.valid}
        seen = torch.full_like(self.sums, torch.nan)
        for name, found in pulls.items():
            row = self.names.index(name)
            own = torch.autograd.grad(losses[name].value, logits[name], retain_graph=True)[0]
            seen[row, row] = float(own.abs().mean())
            for other, pull in found.items():
                seen[row, self.names.index(other)] = float(pull.abs().mean())
        self.observe(seen)
        shares, shown = over_processes(losses, self.fabric)  # P_i is a mean over the same pixels
        total: Tensor | None = None
        for name, task in tasks.items():
            value = losses[name].value
            for other, factor in self.coefficients(name, list(pulls.get(name, {}))).items():
                # The gradient of <pull, f> at f is the pull: the path through h is not gone back a second time.
                value = value + factor * (pulls[name][other] * logits[name]).sum()
            value = self.weight(task) * shares[name] * value
            total = value if total is None else total + value
        assert total is not None
        return total, shown

    def pulls(self, name: str, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Gradients of task ``name``'s terms P_i with respect to its logits, by the name of i."""
        leaf = logits.detach().requires_grad_()
        found = {}
        for source, other in self.networks.pairs:
            if source == name:
                found[other] = torch.autograd.grad(self.term(source, other, leaf, batch), leaf)[0]
        return found

    def term(self, name: str, other: str, logits: Tensor, batch: Batch) -> Tensor:
        """P: the mean over labelled pixels of |h(f(x)) - h(y)|, h from task ``name`` to task ``other``."""
        network, task = self.networks[name, other], self.tasks[name]
        label, mask = label_map(task, batch["targets"][name])
        with torch.no_grad():
            wanted = prediction_map(self.tasks[other], network(label))
        found = prediction_map(self.tasks[other], network(torch.where(mask, prediction_map(task, logits), 0.0)))
        error = (found - wanted).abs().mean(1, keepdim=True)
        return (error * mask).sum() / mask.sum().clamp_min(1)

    def observe(self, seen: Tensor) -> None:
        """Take in mean gradient magnitudes (T, T), NaN where a pair was not there, as the mean over processes."""
        there = seen.isfinite().double()
        values = seen.nan_to_num(0.0)
        if self.fabric.world_size > 1:
            both = torch.stack([values, there]).to(self.fabric.device)
            values, there = cast(Tensor, self.fabric.all_reduce(both, reduce_op="sum")).cpu()
        values, observed = values / there.clamp_min(1), there > 0
        self.sums = torch.where(observed, MOMENTUM * self.sums + (1 - MOMENTUM) * values, self.sums)
        self.counts = torch.where(observed, MOMENTUM * self.counts + (1 - MOMENTUM), self.counts)

    def coefficients(self, name: str, others: Sequence[str]) -> dict[str, float]:
        """a_i of the terms of task ``name``, by the name of i."""
        averages = (self.sums / self.counts.clamp_min(1e-12))[self.names.index(name)].tolist()
        found = [averages[self.names.index(other)] for other in others]
        return dict(zip(others, coefficients(averages[self.names.index(name)], found), strict=True))

    def state(self) -> dict[str, Tensor]:
        """The averages; the networks have a file of their own."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        self.sums, self.counts = state["sums"].clone(), state["counts"].clone()
