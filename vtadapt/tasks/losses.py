"""What the losses of all kinds share, and those of numbers; the others stand with their kinds (``tasks.kinds``).

Losses of numbers take the valid pixels of a batch, prediction and target (N, C) float32 in the task's units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

BERHU_FRACTION = 0.2
SILOG_LAMBDA = 0.5
MIN_DISTANCE = 0.01
"""Metres: the smallest distance that a prediction can take, so that inverse distance and logarithm stay finite."""

LossFn = Callable[..., "Tensor"]
"""Mean over the valid pixels of a batch, of prediction and target; those of classes also of the weights of these."""


class Loss(NamedTuple):
    """A loss: ``value`` () float32, attached to the graph; ``valid``, the number of pixels that it is the mean of."""

    value: Tensor
    valid: int


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision becomes float32; float64, which a test may want, stays."""
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


def no_valid_pixel(logits: Tensor) -> Loss:
    """Return a zero that is connected to ``logits`` (gradient exactly 0), for a batch without a single label."""
    # The product comes before the sum: the sum of huge finite values may be inf, and inf * 0 is NaN.
    return Loss((at_least_float32(logits).nan_to_num() * 0.0).sum(), 0)


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of |p - g| over pixels and channels."""
    return (prediction - target).abs().mean()


def l2(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of (p - g)^2 over pixels and channels."""
    return (prediction - target).square().mean()


def berhu(prediction: Tensor, target: Tensor) -> Tensor:
    """Reverse Huber (Laina et al. 2016, eq. 2-3): |e| where |e| <= c, else (e^2 + c^2) / (2c).

    c = 0.2 max |e| over the valid pixels of the batch; it is a constant for the gradient (our reading).
    """
    import torch

    error = (prediction - target).abs()
    c = (BERHU_FRACTION * error.detach().max()).clamp_min(torch.finfo(error.dtype).tiny ** 0.5)
    return torch.where(error <= c, error, (error.square() + c * c) / (2 * c)).mean()


def berhu_inverse(prediction: Tensor, target: Tensor) -> Tensor:
    """``berhu`` of 1/p against 1/g: near surfaces weigh more; both are at least 1 cm."""
    return berhu(1 / prediction.clamp_min(MIN_DISTANCE), 1 / target.clamp_min(MIN_DISTANCE))


def silog(prediction: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant log error (Eigen et al. 2014, eq. 4): mean d^2 - 0.5 (mean d)^2 with d = log p - log g.

    Our reading: the means run over all valid pixels of the batch, not per image.
    """
    d = prediction.clamp_min(MIN_DISTANCE).log() - target.clamp_min(MIN_DISTANCE).log()
    return d.square().mean() - SILOG_LAMBDA * d.mean().square()
