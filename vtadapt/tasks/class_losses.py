"""Losses of classes: of (B, K, H, W) logits and (B, H, W) labels, of which 255 counts for nothing.

Each takes weights of the classes (K,), by which the mean over pixels (of Dice: over classes) is weighted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.losses import LossFn, cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

GAMMA = 2.0  # of the focal loss, as its authors found best


def focal(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean of (1 - p)^2 (-log p), p the probability of the pixel's label (Lin et al., ICCV 2017, eq. 4).

    Pixels that are right already count for little, so that rare classes are not drowned by them.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    entropy = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="none")
    known = labels != VOID
    weight = known.to(entropy.dtype)
    if class_weights is not None:
        weight = weight * class_weights[labels.where(known, 0)]
    value = (1 - torch.exp(-entropy)).clamp_min(0) ** GAMMA * entropy
    return (weight * value).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def dice(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """1 - 2 sum(p y) / (sum(p) + sum(y)), p the probability and y whether it is the label (Milletari et al., 2016).

    The sums go over all labelled pixels of the batch; the mean over the classes that the batch has, so that a small one
    counts as much as a large one.
    """
    import torch

    classes = logits.shape[1]
    known = labels != VOID
    target = labels.where(known, 0)
    probability = logits.softmax(1)
    mass = (probability * known[:, None]).sum((0, 2, 3))
    hit = probability.gather(1, target[:, None])[:, 0][known]
    of_label = target[known]
    shared = torch.zeros(classes, dtype=mass.dtype, device=mass.device).index_add(0, of_label, hit)
    truth = torch.bincount(of_label, minlength=classes).to(mass.dtype)
    present = truth > 0
    value = 1 - 2 * shared[present] / (mass + truth)[present]
    if class_weights is None:
        return value.mean()
    weight = class_weights[present]
    return (weight * value).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def cross_entropy_dice(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """The sum of both: cross-entropy has a gradient where Dice has none, Dice sees classes that are rare."""
    return cross_entropy(logits, labels, class_weights) + dice(logits, labels, class_weights)


CLASS_LOSSES: Mapping[str, LossFn] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "cross_entropy_dice": cross_entropy_dice,
}
"""Name -> function."""
