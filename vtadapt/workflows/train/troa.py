"""TROA beside training, and one batch's cosines for ``vtadapt affinity``: where model, tasks and measures meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from vtadapt.affinity import measures
from vtadapt.affinity import troa as algorithm
from vtadapt.errors import ConfigError
from vtadapt.models.adapted import AdaptedModel
from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task
from vtadapt.workflows.run.affinity_file import describe
from vtadapt.workflows.run.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes more than a second to import

Sums = tuple[Tensor, Tensor, Tensor]


def default_interval(tasks: int) -> int:
    """Steps between two updates. One costs about (1 + T) / 2 training steps, so this keeps it near a tenth of them."""
    return 6 * (tasks + 1)


def batch_cosines(
    model: AdaptedModel,
    tasks: Mapping[str, Task],
    batch: Mapping[str, Any],
    *,
    measure: str = "troa",
    blocks: bool = False,
    targets: Sequence[str] | None = None,
) -> Tensor:
    """Cosines of the task gradients of every image of a batch, by what enters each adapted block.

    Float32 whatever the precision of training; no dropout; the trunk runs once for all targets. What is returned for
    an image does not depend on the others of the batch.

    Args:
        model: left in the mode it was in, without gradients in its parameters.
        tasks: of the model, in the order of the axes.
        batch: as the loader gives it, on the model's device.
        measure: "troa"; "cosine", plain gradients; "permuted", troa with the sources' labels of the next image: what
            is left when labels and image do not belong together.
        blocks: by what enters each adapted block, not the first alone, of which A is made.
        targets: with "troa", the tasks whose columns are wanted; None for all.

    Returns:
        (blocks or 1, B, T, T or as many as targets), NaN where the image lacks a label.
    """
    device = batch["image"].device
    # TensorFloat-32, which convolutions use on a GPU unless told otherwise, has the mantissa of a half.
    tf32 = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    # Dropout would give each target another network, and the cosines would measure that.
    with in_eval_mode(model), tf32, torch.autocast(device.type, enabled=False), torch.enable_grad():
        trunk = model.backbone.trunk(batch["image"])
        # f is where the gradients stop: the trunk is not differentiated, and cosines of half precision are noise.
        trunk = replace(trunk, tokens=_wide(trunk.tokens.detach()).requires_grad_())
        # Rolled by one, every image meets the label of another: what is then left of a cosine is not about the image.
        labels, apart = batch["targets"], measure == "permuted"
        other = {name: y.roll(1, 0) for name, y in labels.items()} if apart else labels

        def run(target: str) -> measures.Conditioned:
            wanted = (target,) if measure == "cosine" else tuple(tasks)
            logits, entered = model.cross(trunk, target, wanted)
            losses = {name: _per_image(tasks[name], logits[name], other[name]) for name in wanted}
            own = _per_image(tasks[target], logits[target], labels[target]) if apart else None
            return measures.Conditioned(entered if blocks else entered[:1], losses, own)

        if measure == "cosine":
            return measures.plain_cosine(run, tuple(tasks))
        return measures.troa(run, tuple(tasks), targets)


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """The model in eval mode within, and then in the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _wide(x: Tensor) -> Tensor:
    """Half precision becomes float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _per_image(task: Task, logits: Tensor, target: Tensor) -> Tensor:
    """(B,) loss of each image by itself, NaN where it has no label.

    Images are taken apart since some losses couple those of a batch (berHu's threshold is that of its largest error).
    """
    # split, not slices: the backward of every slice would fill a tensor of the whole batch.
    found = [task.loss_fn(*pair) for pair in zip(logits.split(1), target.split(1), strict=True)]
    return torch.stack([loss.value if loss.valid else loss.value * torch.nan for loss in found])


def reduce_sums(found: Sums, fabric: Fabric) -> Sums:
    """Add up over ranks."""
    if fabric.world_size == 1:
        return found
    # One message for the three sums, of a few numbers each: the time goes into sending, not into the size.
    total = fabric.all_reduce(torch.stack(found).to(fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return tuple(total.cpu())  # type: ignore[return-value]


class TroaUpdates:
    """TROA in a training run: on its steps the batch at hand is measured before it is trained on.

    A goes into the model's buffer, which conditions every task; W gives factors of the losses. Both can be left out:
    ``affinity`` = "identity", "uniform" or "start" fixes A, ``troa_weights`` = false leaves the losses alone.
    """

    def __init__(
        self, settings: TrainSettings, model: MultitaskModel, tasks: Mapping[str, Task], fabric: Fabric
    ) -> None:
        """Fix A where it is not learned.

        Raises:
            ConfigError: the method has no affinity matrix, or tasks are held, of which it could not be learned.
        """
        self.model, self.tasks, self.fabric = cast(AdaptedModel, model), tasks, fabric
        learned = settings.affinity == "troa" or settings.troa_weights
        adapted = model.has_affinity
        if not adapted and (settings.affinity in ("uniform", "start") or settings.troa_weights):
            raise ConfigError(f"method {settings.method!r} has no affinity matrix; leave the affinity settings out")
        if adapted and learned and settings.held:
            raise ConfigError(
                f"affinities cannot be learned while {', '.join(settings.held)} is held without labels; wanted "
                "affinity start, uniform or identity, and no troa_weights"
            )
        self.every = (settings.troa_every or default_interval(len(tasks))) if learned and adapted else 0
        if len(tasks) == 1:
            self.every = 0  # one task: A = W = 1
        self.conditioning = settings.affinity
        self.use_affinity, self.use_weights = settings.affinity == "troa", settings.troa_weights
        self.state = algorithm.Troa(len(tasks), settings.troa_momentum, settings.troa_eta)
        if adapted and settings.affinity == "uniform":
            self.model.affinity.fill_(1.0)
        if adapted and settings.affinity == "identity":  # the run that this one starts from may have had another
            self.model.affinity.copy_(torch.eye(len(model.tasks)))

    def due(self, step: int) -> bool:
        """Whether the batch of this step (from 0) is measured before it is trained on."""
        # Counted from 1: with the usual interval the adapters have learned something before A is first measured.
        return self.every > 0 and (step + 1) % self.every == 0

    def update(self, batch: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Measure the batch of ``step`` (from 0), move A and W; returns the record for ``metrics.jsonl``."""
        found = algorithm.sums(batch_cosines(self.model, self.tasks, batch)[0].cpu())
        self.state.update(*reduce_sums(found, self.fabric))
        self.apply()
        return {"step": step + 1, "split": "troa", **describe(self.state)}

    def apply(self) -> None:
        """Put A into the model."""
        # Before the first update A of the state says nothing, while the model's may come from the run it starts from.
        if self.use_affinity and self.state.updates:
            self.model.affinity.copy_(self.state.affinity)

    def complaint(self, steps: int) -> str | None:
        """What to tell where a whole training was too short for a single update."""
        if not self.every or self.state.updates:
            return None
        return f"the affinity was never updated: {steps} steps, an update every {self.every}; lower troa_every"

    def factors(self) -> dict[str, float]:
        """Factor of each task's loss, 1 on average."""
        if not (self.every and self.use_weights):
            return {}
        return dict(zip(self.tasks, self.state.task_weights.tolist(), strict=True))
