"""Labels on the grid of tokens, and what of them a linear map knows from something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as nn_functional
from torch import Tensor

from vtadapt.tasks import Task

FOLDS = 4
PENALTIES = (1e-2, 1e-1, 1.0, 1e1, 1e2)  # of ridge regression, by the number of tokens


@dataclass(frozen=True)
class Tokens:
    """A label of N pictures by tokens.

    Attributes:
        mean: (N, h, w, C) mean over the pixels of a token that are labelled; 0 where none is.
        spread: (N, h, w, C) their standard deviation.
        seen: (N, h, w) whether any pixel is labelled.
    """

    mean: Tensor
    spread: Tensor
    seen: Tensor


def label_tokens(task: Task, target: Tensor, side: int) -> Tokens:
    """A label (N, ...) by tokens of ``side`` pixels: shares of classes, or means of numbers."""
    numbers = task.behaviour.label_map(task, target).nan_to_num()
    weight = task.valid(target)[:, None].float()
    share = nn_functional.avg_pool2d(weight, side).clamp_min(1e-6)
    mean = nn_functional.avg_pool2d(numbers * weight, side) / share
    square = nn_functional.avg_pool2d(numbers.square() * weight, side) / share
    spread = (square - mean.square()).clamp_min(0).sqrt()
    seen = nn_functional.avg_pool2d(weight, side)[:, 0] > 0
    return Tokens(mean.movedim(1, -1), spread.movedim(1, -1), seen)


def around(x: Tensor) -> Tensor:
    """Each token (N, h, w, C) with its eight neighbours: (N, h, w, 9 C); beyond the border 0."""
    padded = nn_functional.pad(x, (0, 0, 1, 1, 1, 1))
    height, width = x.shape[1:3]
    return torch.cat([padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], -1)


def explained(features: Tensor, wanted: Tensor, seen: Tensor, images: Sequence[int]) -> float:
    """Share of the variance of unseen images that a linear map explains, in cross-validation over images.

    Ridge regression, the best of some penalties by the residual of all folds, which flatters a little, and all sources
    alike; columns are scaled to variance 1. It is computed on the CPU, in float64.

    Args:
        features: (N, h, w, F).
        wanted: (N, h, w, C).
        seen: (N, h, w) tokens that count.
        images: the image that each picture is a view of; all views of one are left out together.

    Returns:
        1 - residual / variance over all channels, each of variance 1; negative where the map is worse than the mean.
        0 where nothing can be told: fewer than two images have tokens that count, or these are all alike.
    """
    names = sorted(set(images))
    folds = torch.tensor([names.index(image) % FOLDS for image in images])
    # Not where the network computes: some devices have no float64.
    x, y, seen = features.cpu().double(), wanted.cpu().double(), seen.cpu()
    flat = y[seen]
    if len(flat) < 2:
        return 0.0
    y = (y - flat.mean(0)) / flat.std(0).clamp_min(1e-6)
    used = flat.std(0) > 1e-6
    residual = torch.zeros(len(PENALTIES), dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for fold in folds.unique():
        inside, outside = folds != fold, folds == fold
        if not seen[inside].any():  # all labels are in this fold: nothing to learn from
            continue
        a, b = x[inside][seen[inside]], y[inside][seen[inside]][:, used]
        c, d = x[outside][seen[outside]], y[outside][seen[outside]][:, used]
        centre, scale, middle = a.mean(0), a.std(0, correction=0).clamp_min(1e-6), b.mean(0)
        a, c = (a - centre) / scale, (c - centre) / scale
        gram, cross = a.T @ a, a.T @ (b - middle)
        for place, penalty in enumerate(PENALTIES):
            weights = torch.linalg.solve(gram + penalty * len(a) * torch.eye(len(gram), dtype=gram.dtype), cross)
            residual[place] += (d - middle - c @ weights).square().sum()
        total += d.square().sum()
    return float(1 - (residual / total).min()) if total > 0 else 0.0
