"""TAWT: weights of the tasks by mirror descent on the similarity of their gradients with the target's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from vtadapt.affinity.troa import mirror_step
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.methods.base import Batch, Objective
from vtadapt.workflows.train.troa import default_interval, in_eval_mode

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import


class Tawt(Objective):
    """Target-aware weighted training (Chen, Crammer, He, Roth and Su, ICLR 2022, algorithm 1), joint training.

    Every ``tawt_every`` steps W[s, t] <- W[s, t] exp(eta c[s, t]) / Z_t with c the cosine of the gradients of source s
    and target t with respect to the parameters that all tasks share, here the encoder (the paper replaces the inverse
    Hessian of its bound by a constant, and its code the inner product by the cosine). W starts at 1/T.

    Several targets [ours]: the paper trains one network per target. One run here has one network for all tasks, so W
    has one column per target; all are moved at the same steps, as they need the same T gradients, and the loss is
    sum_s T w_s L_s with w_s = mean over targets t of W[s, t]: the mean of the factors is 1.

    Gradients of sources come from the first half of the batch, those of targets from the second [ours]: in the paper
    each task has data of its own. From the same images a target would have a cosine of exactly 1 with itself, and W
    would go to the identity, that is to equal weights, whatever the tasks.
    """

    def __init__(
        self, settings: TrainSettings, model: MultitaskModel, tasks: Mapping[str, Task], fabric: Fabric
    ) -> None:
        """Start with W = 1/T."""
        super().__init__(settings, model, tasks, fabric)
        self.every = settings.tawt_every or default_interval(len(tasks))
        self.weights = torch.full((len(tasks), len(tasks)), 1 / len(tasks), dtype=torch.float64)
        self.factors = self._factors

    def _factors(self) -> dict[str, float]:
        return dict(zip(self.tasks, (self.weights.mean(1) * len(self.tasks)).tolist(), strict=True))

    def before_step(self, batch: Batch, step: int) -> dict[str, Any] | None:
        """Every ``tawt_every`` steps one mirror step."""
        if (step + 1) % self.every:
            return None
        self.update(self.similarities(batch))
        return {"step": step + 1, "split": "tawt", "factors": {k: round(v, 5) for k, v in self._factors().items()}}

    def update(self, similarities: Tensor) -> None:
        """One mirror step; (T, T), rows are sources, NaN where a pair was not observed."""
        self.weights = mirror_step(self.weights, similarities, self.settings.tawt_eta)

    def similarities(self, batch: Batch) -> Tensor:
        """(T, T) float64: cosine of the gradients of source s and target t; NaN where one has no label in its half.

        In float32 and without an effect on the network: it is in eval mode, no gradient is kept.
        """
        # A batch of one image has no halves: both then are that image, better than no observation at all.
        half = max(1, len(batch["image"]) // 2)
        first, second = slice(0, half), slice(half if len(batch["image"]) > 1 else 0, None)
        with in_eval_mode(self.model), torch.autocast(batch["image"].device.type, enabled=False), torch.enable_grad():
            # All targets are kept, sources come one by one: T + 1 gradients of the encoder in memory and not 2 T.
            targets = list(self._gradients(batch, second))
            rows = [[self._cosine(source, g) for g in targets] for source in self._gradients(batch, first)]
        return torch.tensor(rows, dtype=torch.float64)

    @staticmethod
    def _cosine(source: Tensor | None, target: Tensor | None) -> float:
        if source is None or target is None:
            return torch.nan
        return float(F.cosine_similarity(source, target, dim=0))

    def _gradients(self, batch: Batch, part: slice) -> Iterator[Tensor | None]:
        """Gradient of each task's loss on part of a batch, flat; None where no process has a label of it there."""
        # Heads have a gradient for one task only, and every cosine would be pulled to 0 by them.
        shared = [p for p in self.model.backbone.parameters() if p.requires_grad]
        logits = self.model(batch["image"][part])
        for name, task in self.tasks.items():
            loss = task.loss_fn(logits[name], batch["targets"][name][part])
            found = torch.autograd.grad(loss.value, shared, retain_graph=True, allow_unused=True)
            # An unused parameter counts as zeros, so that all tasks' vectors line up.
            flat = torch.cat(
                [(torch.zeros_like(p) if g is None else g).flatten() for g, p in zip(found, shared, strict=True)]
            )
            count = torch.tensor(float(loss.valid), device=flat.device)
            if self.fabric.world_size > 1:  # only the direction counts: that of the sum over all labelled pixels
                flat, count = (cast(Tensor, self.fabric.all_reduce(x, reduce_op="sum")) for x in (flat * count, count))
            # A gradient of zeros has no direction, and one that is not finite none that can be compared.
            yield flat if count > 0 and torch.isfinite(flat).all() and flat.any() else None

    def state(self) -> dict[str, Tensor]:
        """W."""
        return {"weights": self.weights}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        self.weights = state["weights"].clone()
