"""What each kind of task does with logits and targets: ``KINDS`` maps the name of a kind to its behaviour."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from typing_extensions import override

from vtadapt.errors import DataError
from vtadapt.tasks import colour
from vtadapt.tasks.losses import IGNORE, LOSSES, MIN_DISTANCE, Loss, at_least_float32, no_valid_pixel
from vtadapt.tasks.meters import BoundaryMeter, ClassesMeter, UnitVectorMeter
from vtadapt.tasks.meters_regression import RegressionMeter
from vtadapt.tasks.metrics import Meter

if TYPE_CHECKING:
    from vtadapt.tasks.task import Task


Limits = tuple[Tensor, Tensor]
"""Lowest and highest value, () each."""


class Kind(ABC):
    """Behaviour shared by all tasks of a kind; stateless, the task is handed to every method."""

    meter: ClassVar[Callable[..., Meter]]
    default_loss: ClassVar[str]
    default_headline: ClassVar[str]
    channels: ClassVar[int | None] = 1
    """The only number of channels that makes sense, None where the task says."""
    weight: ClassVar[float] = 1.0
    """Default factor of the loss: brings the kinds' usual losses to the same order of magnitude."""

    @abstractmethod
    def decode(self, task: Task, logits: Tensor) -> Tensor:
        """Turn logits (B, C, H, W) into what the target holds."""

    @abstractmethod
    def valid(self, task: Task, target: Tensor) -> Tensor:
        """Return (B, H, W) bool: True where the target is there."""

    @abstractmethod
    def colour(self, task: Task, x: np.ndarray, value_range: tuple[float, float] | None) -> colour.Picture:
        """Draw one sample, (H, W) or (C, H, W)."""

    def target_shape(self, task: Task, logits: Tensor) -> tuple[int, ...]:
        """Return the shape of the target that fits ``logits``."""
        return (logits.shape[0], task.channels, *logits.shape[2:])

    def check_values(self, task: Task, target: Tensor) -> None:  # noqa: B027, ARG002
        """Raise DataError for target values that the task cannot have."""

    def value_range(self, task: Task, x: np.ndarray) -> tuple[float, float] | None:  # noqa: ARG002
        """Return the range of values that ``colour`` draws, None for kinds without one."""
        return None

    def for_discriminator(self, task: Task, logits: Tensor, limits: Limits | None) -> Tensor:  # noqa: ARG002
        """Return what a discriminator of domains sees, (B, C, H, W) of the order of 1, with a gradient."""
        return self.decode(task, logits)

    def limits(self, task: Task, target: Tensor) -> Limits | None:  # noqa: ARG002
        """Return the range of a batch of labels that ``for_discriminator`` scales by, None for kinds without one."""
        return None

    def for_loss(self, task: Task, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the map that the loss compares with the target: the logits themselves, or a decoded map."""
        return logits

    def target_for_loss(self, target: Tensor) -> Tensor:
        """Return the (N, C) valid target pixels in the form that the loss wants."""
        return target

    def loss(self, task: Task, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Return the mean loss over the valid pixels of a checked batch; ``class_weights`` are for classes alone."""
        mask = self.valid(task, target)
        count = int(mask.sum())
        if count == 0:
            return no_valid_pixel(logits)
        # Selecting (not multiplying by 0) keeps whatever missing pixels hold, NaN included, out of the gradient.
        prediction = self.for_loss(task, at_least_float32(logits)).movedim(1, -1)[mask]
        wanted = self.target_for_loss(target.movedim(1, -1)[mask].to(prediction.dtype))
        return Loss(LOSSES[task.kind][task.loss](prediction, wanted), count)


class Classes(Kind):
    """One of K labels per pixel; 255 is ignored. Decoded: int64 (B, H, W)."""

    meter = ClassesMeter
    default_loss = "cross_entropy"
    default_headline = "miou/dataset"
    channels = None

    @override
    def decode(self, task: Task, logits: Tensor) -> Tensor:
        return logits.argmax(1)

    @override
    def valid(self, task: Task, target: Tensor) -> Tensor:
        return target != IGNORE

    @override
    def target_shape(self, task: Task, logits: Tensor) -> tuple[int, ...]:
        return (logits.shape[0], *logits.shape[2:])

    @override
    def check_values(self, task: Task, target: Tensor) -> None:
        bad = (target != IGNORE) & ((target < 0) | (target >= task.channels))
        if bad.any():
            ids = target[bad].unique().tolist()
            shown = ", ".join(str(i) for i in ids[:8]) + (" ..." if len(ids) > 8 else "")
            raise DataError(
                f"Task {task.name!r} has {task.channels} classes, found label ids {shown}; "
                f"0..{task.channels - 1} or {IGNORE} (ignore) were wanted: check the recipe's class list."
            )

    @override
    def for_discriminator(self, task: Task, logits: Tensor, limits: Limits | None) -> Tensor:
        if task.channels == 1:  # certain, whatever the logits
            return logits * 0.0
        log = F.log_softmax(at_least_float32(logits), 1)
        return -log.exp() * log / math.log(task.channels)

    @override
    def loss(self, task: Task, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Loss:
        # Cross-entropy skips ignored pixels itself, without a copy of all K channels.
        count = int(self.valid(task, target).sum())
        if count == 0:
            return no_valid_pixel(logits)
        logits = at_least_float32(logits)
        weights = None if class_weights is None else class_weights.to(logits)
        return Loss(LOSSES[task.kind][task.loss](logits, target.long(), weights), count)

    @override
    def colour(self, task: Task, x: np.ndarray, value_range: tuple[float, float] | None) -> colour.Picture:
        labels = x[0] if x.ndim == 3 else x
        return colour.colour_classes(labels.astype(np.int64), task.colours, task.name)


class Regression(Kind):
    """A quantity per pixel. Decoded: float32 (B, C, H, W).

    A distance is typical x softplus(logit) / log 2 + 1 cm: positive, ``typical`` for the zero logits of a fresh head,
    and linear for large ones, so that its gradient neither dies nor explodes. Other quantities are the logits.
    """

    meter = RegressionMeter
    default_loss = "l1"
    default_headline = "rmse/pixel"
    channels = None

    @override
    def for_loss(self, task: Task, logits: Tensor) -> Tensor:
        if not task.distance:
            return logits
        return task.typical / math.log(2.0) * F.softplus(logits) + MIN_DISTANCE

    @override
    def decode(self, task: Task, logits: Tensor) -> Tensor:
        value = self.for_loss(task, at_least_float32(logits))
        return value if task.max_value is None else value.clamp(max=task.max_value)

    @override
    def valid(self, task: Task, target: Tensor) -> Tensor:
        valid = torch.isfinite(target)
        if task.distance:
            valid = valid & (target > 0)
        if task.max_value is not None:
            valid = valid & (target <= task.max_value)
        return valid.all(1)

    @override
    def for_discriminator(self, task: Task, logits: Tensor, limits: Limits | None) -> Tensor:
        value = self._nearness(task, self.decode(task, logits))
        low, high = (value.detach().min(), value.detach().max()) if limits is None else limits
        return (value - low) / (high - low).clamp_min(torch.finfo(value.dtype).eps)

    @override
    def limits(self, task: Task, target: Tensor) -> Limits | None:
        labelled = self._nearness(task, target.movedim(1, -1)[self.valid(task, target)])
        return (labelled.min(), labelled.max()) if labelled.numel() else None

    @staticmethod
    def _nearness(task: Task, value: Tensor) -> Tensor:
        """Return the inverse of a distance, at least 1 cm; other quantities are left as they are."""
        return 1 / value.clamp_min(MIN_DISTANCE) if task.distance else value

    def _plane(self, task: Task, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (H, W) (mean over channels) and their validity."""
        planes = x if x.ndim == 3 else x[None]
        return planes.mean(0), self.valid(task, torch.from_numpy(planes)[None])[0].numpy()

    @override
    def value_range(self, task: Task, x: np.ndarray) -> tuple[float, float] | None:
        values, valid = self._plane(task, x)
        return colour.robust_range(values[valid])

    @override
    def colour(self, task: Task, x: np.ndarray, value_range: tuple[float, float] | None) -> colour.Picture:
        values, valid = self._plane(task, x)
        return colour.colour_regression(values, valid, value_range or self.value_range(task, x), task.distance)


class UnitVector(Kind):
    """A direction per pixel. Decoded: float32 (B, 3, H, W) of unit length.

    The direction is that of logits + (0, 0, -1): the zero logits of a fresh head face the camera. Normalising zeros
    would have no direction and an unbounded gradient.
    """

    meter = UnitVectorMeter
    weight = 5.0
    default_loss = "cosine"
    default_headline = "angle_mean/pixel"
    channels = 3
    FACING = (0.0, 0.0, -1.0)

    @override
    def for_loss(self, task: Task, logits: Tensor) -> Tensor:
        facing = logits.new_tensor(self.FACING).view(1, 3, 1, 1)
        return F.normalize(logits + facing, dim=1, eps=1e-4)

    @override
    def target_for_loss(self, target: Tensor) -> Tensor:
        return F.normalize(target, dim=1)

    @override
    def decode(self, task: Task, logits: Tensor) -> Tensor:
        return self.for_loss(task, at_least_float32(logits))

    @override
    def valid(self, task: Task, target: Tensor) -> Tensor:
        return torch.isfinite(target).all(1) & (target != 0).any(1)

    @override
    def colour(self, task: Task, x: np.ndarray, value_range: tuple[float, float] | None) -> colour.Picture:
        return colour.colour_unit_vector(x, self.valid(task, torch.from_numpy(x)[None])[0].numpy())


class Boundary(Kind):
    """A probability per pixel. Decoded: float32 (B, 1, H, W) in 0..1, the sigmoid of the logits."""

    meter = BoundaryMeter
    weight = 20.0
    default_loss = "weighted_bce"
    default_headline = "odsf/d0.011"

    @override
    def decode(self, task: Task, logits: Tensor) -> Tensor:
        return torch.sigmoid(at_least_float32(logits))

    @override
    def valid(self, task: Task, target: Tensor) -> Tensor:
        return (target >= 0).all(1)  # False for -1 and for NaN

    @override
    def check_values(self, task: Task, target: Tensor) -> None:
        if (target > 1).any():
            raise DataError(f"Task {task.name!r}: targets must be 0..1 (-1 = missing), found {float(target.max()):g}.")

    @override
    def colour(self, task: Task, x: np.ndarray, value_range: tuple[float, float] | None) -> colour.Picture:
        planes = x if x.ndim == 3 else x[None]
        return colour.colour_boundary(planes[0], self.valid(task, torch.from_numpy(planes)[None])[0].numpy())


KINDS: Mapping[str, Kind] = {
    "classes": Classes(),
    "regression": Regression(),
    "unit_vector": UnitVector(),
    "boundary": Boundary(),
}
