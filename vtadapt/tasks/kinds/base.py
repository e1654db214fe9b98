"""What a kind of task is: how its labels are stored, transformed, trained on, measured, checked and drawn.

A kind is one file of this folder, with an instance of a subclass of :class:`Kind` named ``KIND``; its name is that of
the file. What a subclass leaves as it is makes a map of numbers: float32, NaN where missing, drawn in viridis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtadapt.digits import amount
from vtadapt.errors import ConfigError, near_matches
from vtadapt.tasks.colour.draw import Picture, draw_values, robust_range
from vtadapt.tasks.labels import Labels
from vtadapt.tasks.losses import Loss, LossFn, at_least_float32, no_valid_pixel
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.nearest import nearest
from vtadapt.tasks.spec import AnyTask, Colour, Declared
from vtadapt.tasks.trivial.base import Constant, Trivial

if TYPE_CHECKING:
    from torch import Tensor

Range = tuple[float, float]
Limits = tuple["Tensor", "Tensor"]
"""Lowest and highest value, () each."""


@dataclass(frozen=True)
class Key:
    """What explains the colours of some pictures of a task: words, and at most one of the rest.

    Attributes:
        about: the words.
        classes: name and colour of the classes that occur, the most frequent first.
        limits: lowest and highest value, for a bar.
        directions: whether the colours are directions.
        smooth: whether the pictures may be scaled with interpolation: none would then show what is not there.
    """

    about: str = ""
    classes: Sequence[tuple[str, Colour]] = ()
    limits: Range | None = None
    directions: bool = False
    smooth: bool = False


def chosen(x: Tensor, mask: Tensor, count: int) -> Tensor:
    """(B, C, H, W) -> (count, C): the pixels where ``mask`` (B, H, W) is true, which are ``count``."""
    x = x.movedim(1, -1)
    # Selecting (not multiplying by 0) keeps whatever missing pixels hold, NaN included, out of the gradient. Looking up
    # where the others are takes longer than the loss itself, so it is left out where there are none.
    return x.flatten(0, 2) if count == mask.numel() else x[mask]


class Kind(Labels):
    """Behaviour shared by all tasks of a kind; stateless, the task is handed to every method."""

    losses: ClassVar[Mapping[str, LossFn]]
    """Name of a loss -> function of what ``for_loss`` and ``target_for_loss`` give."""
    metrics: ClassVar[Mapping[str, bool]]
    """Metric (the part of its key before the slash) -> whether more is better."""
    meter: ClassVar[Callable[..., Meter]]
    scores_classes: ClassVar[bool] = False
    """Whether logits are scores of classes, of which a pixel is one."""
    smooth: ClassVar[bool] = True
    """Whether a picture may be scaled with interpolation."""

    yes_or_no: ClassVar[bool] = False
    """Whether a prediction is a probability that a threshold makes yes or no of, see ``Meter.threshold``."""

    # Targets: tensors of one sample, (H, W) ids or (C, H, W) float32

    def missing(self, task: Declared) -> float:
        """Return the value of a target that is not there."""
        return self.storage(task).missing

    def missing_target(self, task: AnyTask, size: tuple[int, int]) -> Tensor:
        """Return a target of (height, width) without any label."""
        import torch

        return torch.full((self.channels_of(task), *size), self.missing(task))

    def to_target(self, task: AnyTask, array: NDArray[Any]) -> Tensor:  # noqa: ARG002
        """Return a stored label as a target."""
        import torch

        data = torch.from_numpy(array).float()
        return data[None] if data.ndim == 2 else data.permute(2, 0, 1).contiguous()

    def check_stored(self, task: Declared, array: NDArray[Any], where: str) -> None:  # noqa: B027
        """Raise DataError for a stored label that would be misread."""

    def mapped(self, array: NDArray[Any], ids: tuple[int, ...]) -> NDArray[Any]:  # noqa: ARG002
        """Return a stored label with other ids: the new one of each."""
        raise ConfigError(f"Kind {self.name!r} has no ids that could be mapped.")

    def resize(self, target: Tensor, size: Sequence[int]) -> Tensor:
        """Resize a target to (height, width)."""
        return nearest(target, size)

    def mirror(self, target: Tensor, axis: int) -> Tensor:
        """Mirror a target left and right (``axis`` -1), or up and down (-2)."""
        return target.flip(axis)

    def zoomed(self, task: AnyTask, target: Tensor, zoom: float) -> Tensor:  # noqa: ARG002
        """Return what a target says where all looks ``zoom`` times nearer."""
        return target

    def refocused(self, task: AnyTask, target: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        """Return what a target says where the focal length were ``factor`` times as long."""
        return target

    # Batches: logits (B, C, H, W), targets (B, H, W) or (B, C, H, W)

    def target_shape(self, task: AnyTask, logits: Tensor) -> tuple[int, ...]:
        """Return the shape of the target that fits ``logits``."""
        return (logits.shape[0], task.channels, *logits.shape[2:])

    def check_values(self, task: AnyTask, target: Tensor) -> None:  # noqa: B027
        """Raise DataError for target values that the task cannot have."""

    def valid(self, task: AnyTask, target: Tensor) -> Tensor:  # noqa: ARG002
        """Return (B, H, W) bool: True where the target is there."""
        return target.isfinite().all(1)

    def decode(self, task: AnyTask, logits: Tensor) -> Tensor:
        """Turn logits into what the target holds."""
        return self.for_loss(task, at_least_float32(logits))

    def for_loss(self, task: AnyTask, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the map that the loss compares with the target: the logits themselves, or a decoded map."""
        return logits

    def target_for_loss(self, target: Tensor) -> Tensor:
        """Return the (N, C) valid target pixels in the form that the loss wants."""
        return target

    def loss(self, task: AnyTask, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Return the mean loss over the valid pixels of a checked batch; ``class_weights`` are for classes alone."""
        mask = self.valid(task, target)
        count = int(mask.sum())
        if count == 0:
            return no_valid_pixel(logits)
        prediction = chosen(self.for_loss(task, at_least_float32(logits)), mask, count)
        wanted = self.target_for_loss(chosen(target, mask, count).to(prediction.dtype))
        return Loss(self.losses[task.loss](prediction, wanted), count)

    def higher_is_better(self, key: str) -> bool:
        """Return the direction of a metric key; ConfigError for an unknown metric."""
        stem = key.split("/", 1)[0]
        if stem not in self.metrics:
            raise ConfigError(
                f"Unknown metric {key!r} for a task of kind {self.name!r}; "
                f"one of {', '.join(self.metrics)} was wanted.{near_matches(stem, self.metrics)}"
            )
        return self.metrics[stem]

    def for_discriminator(self, task: AnyTask, logits: Tensor, limits: Limits | None, log: bool = False) -> Tensor:  # noqa: ARG002
        """Return what a discriminator of domains sees, (B, C, H, W) of the order of 1, with a gradient."""
        return self.decode(task, logits)

    def limits(self, task: AnyTask, target: Tensor, log: bool = False) -> Limits | None:  # noqa: ARG002
        """Return the range of a batch of labels that ``for_discriminator`` scales by, None for kinds without one."""
        return None

    def for_blending(self, task: AnyTask, logits: Tensor) -> Tensor:
        """Return what is averaged where several predictions of one pixel become one, (B, C, H, W) float32."""
        return self.for_loss(task, at_least_float32(logits))

    def from_blended(self, task: AnyTask, mean: Tensor) -> Tensor:  # noqa: ARG002
        """Return logits that decode to an average of :meth:`for_blending`."""
        return mean

    def apart(self, task: AnyTask, here: Tensor, there: Tensor) -> Tensor:
        """Return how far two predictions in the form of :meth:`for_blending` are from one another: (B, H, W).

        The length of their difference: about radians of unit vectors; of distances the share of the larger one, of
        other numbers of the typical one.
        """
        length = (here - there).square().sum(1).sqrt()
        return length / (here.maximum(there)[:, 0] if task.distance else task.typical)

    def label_map(self, task: AnyTask, target: Tensor) -> Tensor:
        """Return a target as a map (B, C, H, W) float32 of the order of 1, which another network can read."""
        return target.float() / task.typical

    def prediction_map(self, task: AnyTask, logits: Tensor) -> Tensor:
        """Return logits as the map that :meth:`label_map` makes of a label; differentiable."""
        return self.decode(task, logits) / task.typical

    def total(self, task: AnyTask, target: Tensor) -> Tensor:
        """Return the sum over the valid pixels of a batch that :meth:`constant` wants the mean of: (C,) float64."""
        return target.movedim(1, -1)[self.valid(task, target)].double().sum(0)

    def constant(self, task: AnyTask, mean: Tensor) -> Tensor:  # noqa: ARG002
        """Return the logits (C,) of the best constant prediction."""
        return mean

    def trivials(self, task: AnyTask) -> Mapping[str, Trivial]:
        """Return name -> a predictor that has not learned to see; the best of them is the floor of a metric."""
        return {"constant": Constant(task, self.total, self.constant)}

    # Pictures: arrays of one sample, (H, W) or (C, H, W)

    def drawable(self, array: NDArray[Any], hidden: NDArray[np.bool_]) -> NDArray[Any]:
        """Return a stored label in the form of a target, missing where ``hidden`` (H, W)."""
        values = np.where(hidden[..., None] if array.ndim == 3 else hidden, np.nan, array).astype(np.float32)
        return np.moveaxis(values, -1, 0) if array.ndim == 3 else values

    def plane(self, task: AnyTask, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values (H, W) (mean over channels) and their validity."""
        import torch

        planes = x if x.ndim == 3 else x[None]
        return planes.mean(0), self.valid(task, torch.from_numpy(planes)[None])[0].numpy()

    def value_range(self, task: AnyTask, x: NDArray[Any]) -> Range | None:
        """Return the range of values that :meth:`colour` draws, None for kinds without one."""
        values, valid = self.plane(task, x)
        return robust_range(values[valid])

    def colour(self, task: AnyTask, x: NDArray[Any], value_range: Range | None) -> Picture:
        """Draw one sample."""
        values, valid = self.plane(task, x)
        return draw_values(values, valid, value_range or self.value_range(task, x), bright_low=task.distance)

    def ends(self, task: AnyTask) -> tuple[str, str]:
        """Return what low and high values look like."""
        return ("bright", "dark") if task.distance else ("dark", "bright")

    def key(self, task: AnyTask, samples: Sequence[NDArray[Any]], limits: Range | None) -> Key:  # noqa: ARG002
        """Return what explains the colours of ``samples``, drawn in the range ``limits``."""
        if limits is None:
            return Key()
        bright = "near" if task.distance else "high"
        return Key(
            f"{amount(limits[0])} .. {amount(limits[1])} {task.units}".rstrip() + f", {bright} = bright", limits=limits
        )

    def raw(self, task: AnyTask, prediction: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        """Return a decoded prediction in the element type in which it is written to a file."""
        return prediction
