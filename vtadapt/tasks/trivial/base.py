"""Trivial predictors of a task: what is reached without a network, the floor that every trained one must be above."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from vtadapt.tasks.spec import AnyTask

if TYPE_CHECKING:
    from torch import Tensor


class Trivial(ABC):
    """Predicts the same for the same image and draw, whatever was predicted before.

    Attributes:
        learns_from: training images, evenly spaced, whose labels it is given.
        draws: predictions of an image that differ by chance; metrics are their mean.
        measured_on: at most so many images, evenly spaced; None for all.
        ready: whether it has what it needs to predict.
    """

    learns_from: int = 0
    draws: int = 1
    measured_on: int | None = None
    ready: bool = True

    def add(self, image: Tensor, target: Tensor) -> None:  # noqa: B027
        """Take in a training batch: images (B, 3, H, W) in 0..1 and targets of the task."""

    @abstractmethod
    def predict(self, image: Tensor, draw: int) -> Tensor:
        """Images (B, 3, H, W) in 0..1 -> logits (B, channels, H, W)."""


class Everywhere(Trivial):
    """The same logits for every pixel."""

    def __init__(self, task: AnyTask, logit: float) -> None:
        """Say ``logit`` in every channel."""
        self.channels, self.logit = task.channels, logit

    def predict(self, image: Tensor, draw: int) -> Tensor:  # noqa: ARG002
        """See the class."""
        return image.new_full((len(image), self.channels, *image.shape[-2:]), self.logit)


class Constant(Trivial):
    """The best constant of the training labels: most frequent class, mean quantity, direction of the mean vector."""

    learns_from = 500
    ready = False

    def __init__(
        self,
        task: AnyTask,
        total: Callable[[AnyTask, Tensor], Tensor],
        constant: Callable[[AnyTask, Tensor], Tensor],
    ) -> None:
        """``total`` and ``constant`` are those of the task's kind: the sum over a batch, and logits of a mean."""
        self.task, self._total, self._constant = task, total, constant
        self.sum: Tensor | None = None
        self.pixels = 0

    def add(self, image: Tensor, target: Tensor) -> None:  # noqa: ARG002
        """Add the labelled pixels of a batch."""
        total = self._total(self.task, target)
        self.sum = total if self.sum is None else self.sum + total
        self.pixels += int(self.task.valid(target).sum())
        self.ready = self.pixels > 0

    def predict(self, image: Tensor, draw: int) -> Tensor:  # noqa: ARG002
        """See the class."""
        assert self.sum is not None
        logits = self._constant(self.task, self.sum / self.pixels).float()
        return logits.view(1, -1, 1, 1).expand(len(image), -1, *image.shape[-2:]).to(image.device)
