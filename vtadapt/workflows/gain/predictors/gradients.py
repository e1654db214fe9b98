"""By the gradients of one network of all tasks, as :mod:`vtadapt.affinity.measures` has them."""

from __future__ import annotations

from collections import Counter
from typing import cast

import torch
from torch import Tensor

from vtadapt.affinity import measures
from vtadapt.models.adapted import AdaptedModel
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.train.troa import batch_cosines

BATCH = 8
IMAGES = 128


def by_cosines(model: AdaptedModel, bench: Bench, measure: str) -> Tensor:
    """Mean cosines (T, T) of the task gradients of the first 128 images, "troa" or "permuted"."""
    found = []
    for rows in _batches(bench):
        targets = {name: bench.train.targets[name][rows] for name in bench.tasks}
        batch = {"image": bench.train.encoded(rows), "targets": targets}
        found.append(batch_cosines(model, bench.tasks, batch, measure=measure)[0].cpu())
    return torch.cat(found).nanmean(0).nan_to_num()  # pairs that no image has labels of: nothing is known


def by_lookahead(model: AdaptedModel, bench: Bench, lr: float) -> Tensor:
    """Mean relative fall (T, T) of each target's loss after one step of each source, on the first 128 images."""
    theta = [parameter for group in model.shared_parameters().values() for parameter in group]
    found = []
    for rows in _batches(bench):

        def losses(rows: list[int] = rows) -> dict[str, Tensor]:
            logits = model(bench.train.encoded(rows))
            known = bench.train.targets
            return {n: t.weight * t.loss_fn(logits[n], known[n][rows]).value for n, t in bench.tasks.items()}

        found.append(measures.lookahead(losses, cast("list[Tensor]", theta), tuple(bench.tasks), lr))
    return torch.stack(found).nanmean(0).nan_to_num()


def _batches(bench: Bench) -> list[list[int]]:
    """The first images; those with labels of more tasks first, since a pair is told by images that have both."""
    has = Counter(image for task in bench.tasks for image in bench.labelled[task])
    order = sorted(range(bench.images), key=lambda image: -has[image])
    count = min(IMAGES, bench.images) // BATCH * BATCH or bench.images
    return [order[start : min(start + BATCH, count)] for start in range(0, count, BATCH)]
