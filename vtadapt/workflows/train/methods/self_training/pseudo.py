"""Labels that a teacher makes: what it is sure of, and how much that counts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vtadapt.tasks import Task


class Pseudo(NamedTuple):
    """Labels of a batch, in the form of the task's own.

    Attributes:
        target: missing where the teacher is not sure.
        weight: in 0..1, (): how much they count.
    """

    target: Tensor
    weight: Tensor


class Rules(NamedTuple):
    """When a teacher is sure.

    Attributes:
        threshold: confidence from which a class is sure, and by whose share of pixels classes weigh.
        share: of the pixels of each predicted class that is taken all the same, the most confident.
        agreement: how far predictions of other kinds may move under a mirror: a share of a distance, radians of a
            direction, a difference of probabilities.
    """

    threshold: float
    share: float
    agreement: float


def pseudo_labels(task: Task, logits: Tensor, mirrored: Tensor | None, rules: Rules) -> Pseudo:
    """The mean of what is predicted of an image and of its mirror image, where that can be trusted.

    Classes: label argmax p of the mean p, where max p reaches the :func:`cutoffs` of that class; the weight is the
    share of pixels with max p >= ``threshold`` (DAFormer, Hoyer et al., CVPR 2022, eq. 4; that paper takes every pixel
    `[ours: the sure ones]`). Other kinds `[ours]`: the mean, where both views are at most ``agreement`` apart by
    :meth:`vtadapt.tasks.kinds.base.Kind.apart`; the weight is the share of such pixels.

    Args:
        task: of the labels.
        logits: (B, C, H, W) of the images.
        mirrored: of their mirror images; None where left and right mean something.
        rules: when the teacher is sure.
    """
    kind = task.behaviour
    here = task.for_blending(logits)
    there = here if mirrored is None else torch.stack([kind.mirror(x, -1) for x in task.for_blending(mirrored)])
    mean = (here + there) / 2
    target = task.decode(task.from_blended(mean))
    if kind.scores_classes:
        confidence = mean.amax(1)
        sure = confidence >= cutoffs(confidence, target, task.channels, rules)[target]
        weight = (confidence >= rules.threshold).float().mean()
    else:
        sure = kind.apart(task, here, there) <= rules.agreement
        weight = sure.float().mean()
    return Pseudo(hidden(task, target, ~sure), weight)


def cutoffs(confidence: Tensor, labels: Tensor, classes: int, rules: Rules) -> Tensor:
    """The least confidence with which each class is taken: (K,).

    That is ``threshold``, or less where fewer than ``share`` of the pixels predicted as the class reach it: then the
    least of those most confident. So that rare and hard classes, of which a network is never as sure as of road and
    sky, have labels too (class-balanced self-training, Zou et al., ECCV 2018).

    Args:
        confidence: (B, H, W), of the likeliest class.
        labels: (B, H, W), that class.
        classes: K.
        rules: threshold and share.
    """
    found = torch.full((classes,), rules.threshold, dtype=confidence.dtype, device=confidence.device)
    for index in range(classes) if rules.share else ():
        own = confidence[labels == index]
        if count := round(rules.share * len(own)):
            found[index] = found[index].minimum(own.topk(count).values[-1])
    return found


def hidden(task: Task, target: Tensor, where: Tensor) -> Tensor:
    """``target`` with its task's missing value where the mask (B, H, W) is true."""
    mask = where if target.ndim == where.ndim else where[:, None]
    return target.masked_fill(mask, task.behaviour.missing(task))
