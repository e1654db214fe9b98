"""What the losses of all kinds share, those of numbers, and cross-entropy; others stand with their kinds.

Losses of numbers take the valid pixels of a batch, prediction and target (N, C) float32 in the task's units.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from vtadapt.tasks.class_ids import VOID

if TYPE_CHECKING:
    from torch import Tensor

BERHU_FRACTION = 0.2
BY_LARGEST = ("berhu", "berhu_inverse")
"""Losses whose value at a pixel depends on the largest error of the batch."""

_largest: ContextVar[Callable[[Tensor], Tensor]] = ContextVar("_largest", default=lambda error: error)

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


def log_finite(x: Tensor) -> Tensor:
    """Return the logarithm, that of 0 the lowest of any number."""
    import torch

    return x.clamp_min(torch.finfo(x.dtype).tiny).log()


def no_valid_pixel(logits: Tensor) -> Loss:
    """Return a zero that is connected to ``logits`` (gradient exactly 0), for a batch without a single label."""
    # The product comes before the sum: the sum of huge finite values may be inf, and inf * 0 is NaN.
    return Loss((at_least_float32(logits).nan_to_num() * 0.0).sum(), 0)


@contextlib.contextmanager
def largest_by(joined: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the losses :data:`BY_LARGEST` take the largest error of several processes.

    Args:
        joined: largest error of this process () -> of all of them; called once a loss that has a valid pixel.
    """
    token = _largest.set(joined)
    try:
        yield
    finally:
        _largest.reset(token)


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of |p - g| over pixels and channels."""
    return (prediction - target).abs().mean()


def l2(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of (p - g)^2 over pixels and channels."""
    return (prediction - target).square().mean()


def berhu(prediction: Tensor, target: Tensor) -> Tensor:
    """Reverse Huber (Laina et al. 2016, eq. 2-3): |e| where |e| <= c, else (e^2 + c^2) / (2c).

    c = 0.2 max |e| over the valid pixels of the batch (see :func:`largest_by`); it is a constant for the gradient (our
    reading).
    """
    import torch

    error = (prediction - target).abs()
    c = (BERHU_FRACTION * _largest.get()(error.detach().max())).clamp_min(torch.finfo(error.dtype).tiny ** 0.5)
    return torch.where(error <= c, error, (error.square() + c * c) / (2 * c)).mean()


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean over the pixels whose label is not 255 of -log softmax(logits)[label]; (B, K, H, W), (B, H, W).

    With ``class_weights`` (K,) the mean is weighted: sum of w[label] times the loss over the sum of w[label];
    0 where that is 0.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    if class_weights is None:
        return F.cross_entropy(logits, labels, ignore_index=VOID)
    # PyTorch's own mean is NaN where all labelled pixels of a batch are of classes that count nothing.
    each = F.cross_entropy(logits, labels, class_weights, ignore_index=VOID, reduction="sum")
    weight = class_weights[labels.where(labels != VOID, 0).long()].where(labels != VOID, 0.0)
    return each / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
