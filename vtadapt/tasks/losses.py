"""Losses: each takes the valid pixels of a batch and returns their mean; one readable table per kind of task.

Every function gets float32 tensors that hold valid pixels only (``Task.loss_fn`` selects them), with N pixels:

* classes: logits (B, K, H, W) and labels (B, H, W), because cross-entropy ignores pixels by itself;
* regression: prediction and target (N, C), the prediction in the task's units (already decoded);
* unit_vector: prediction and target (N, 3), both of unit length;
* boundary: logits (N, 1) and target (N, 1) in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

IGNORE = 255
RESERVED = "(void)"  # in a list of more than 255 classes the name of that id, which no pixel has
"""The label of a pixel without a class."""

BERHU_FRACTION = 0.2
SILOG_LAMBDA = 0.5
POSITIVE_WEIGHT = 0.95
MIN_DISTANCE = 0.01
"""Metres: the smallest distance that a prediction can take, so that inverse distance and logarithm stay finite."""

LossFn = Callable[..., Tensor]  # of prediction and target; those of classes also of the weights of these


class Loss(NamedTuple):
    """A loss: ``value`` () float32, attached to the graph; ``valid``, the number of pixels that it is the mean of."""

    value: Tensor
    valid: int


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision becomes float32; float64, which a test may want, stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def no_valid_pixel(logits: Tensor) -> Loss:
    """Return a zero that is connected to ``logits`` (gradient exactly 0), for a batch without a single label."""
    # The product comes before the sum: the sum of huge finite values may be inf, and inf * 0 is NaN.
    return Loss((torch.nan_to_num(at_least_float32(logits)) * 0.0).sum(), 0)


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean over the pixels whose label is not 255 of -log softmax(logits)[label]; (B, K, H, W), (B, H, W).

    With ``class_weights`` (K,) the mean is weighted: sum of w[label] times the loss over the sum of w[label].
    """
    return F.cross_entropy(logits, labels, class_weights, ignore_index=IGNORE)


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


def cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - <p, g> of unit vectors."""
    return (1 - (prediction * target).sum(1)).mean()


def angular(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean angle in radians, 2 atan2(|p - g|, |p + g|), which unlike arccos keeps its precision near 0.

    The lengths are sqrt(x + 1e-12), so that the gradient is finite (and 0) where p equals g.
    """
    apart = ((prediction - target).square().sum(1) + 1e-12).sqrt()
    along = ((prediction + target).square().sum(1) + 1e-12).sqrt()
    return (2 * torch.atan2(apart, along)).mean()


def weighted_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of -(0.95 g log p + 0.05 (1 - g) log(1 - p)), p = sigmoid(logits); soft targets g in 0..1 are fine.

    Edge pixels are rare, so the positive side weighs 0.95 (the setting of the ASTMT line of work).
    """
    return -(
        POSITIVE_WEIGHT * target * F.logsigmoid(logits) + (1 - POSITIVE_WEIGHT) * (1 - target) * F.logsigmoid(-logits)
    ).mean()


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy, both sides weighing 1: for regions such as saliency."""
    return F.binary_cross_entropy_with_logits(logits, target)


def probability_l1(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of |sigmoid(logits) - g|."""
    return (torch.sigmoid(logits) - target).abs().mean()


LOSSES: Mapping[str, Mapping[str, LossFn]] = {
    "classes": {"cross_entropy": cross_entropy},
    "regression": {"l1": l1, "l2": l2, "berhu": berhu, "berhu_inverse": berhu_inverse, "silog": silog},
    "unit_vector": {"cosine": cosine, "l1": l1, "angular": angular},
    "boundary": {"weighted_bce": weighted_bce, "bce": bce, "l1": probability_l1},
}
"""Kind of task -> name of the loss -> function."""

DISTANCE_LOSSES = frozenset({"berhu_inverse", "silog"})
"""Losses that need a positive quantity, that is ``distance=True``."""
