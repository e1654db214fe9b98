"""By networks of one task each: what a source's training makes of the features, and what its labels say of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from vtadapt.models.adapted import AdaptedModel
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.cell import scarce_rows
from vtadapt.workflows.gain.predictors.tokens import around, explained, label_tokens

SIDE = 8  # pixels of a token of labels


@dataclass(frozen=True)
class Features:
    """What the head of a network reads: ``tokens`` (N, h, w, C) of ``side`` pixels, the padding included."""

    tokens: Tensor
    side: int


def features_of(model: AdaptedModel, bench: Bench, rows: Sequence[int]) -> Features:
    """What the head of a network of one task reads of some pictures."""
    entered: list[Tensor] = []
    handle = model.heads.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    model.eval()
    try:
        with torch.no_grad():
            model(bench.train.encoded([*rows]))
    finally:
        handle.remove()
    return Features(entered[0][:, 0].movedim(1, -1), cast(int, model.decoders[0].scale))


def by_labels(bench: Bench, target: str, sources: Sequence[str], rows: Sequence[int]) -> dict[str, float]:
    """Source -> share of the target's variance that a linear map explains of the source's labels around a token.

    Pictures that have labels of both tell it; 0 where fewer than two images have.
    """
    out = {}
    for source in sources:
        there = {*bench.labelled[source]}
        index = [row for row in rows if row % bench.images in there]
        if len({*_images(bench, index)}) < 2:
            out[source] = 0.0
            continue
        wanted = label_tokens(bench.tasks[target], bench.train.targets[target][index], SIDE)
        known = label_tokens(bench.tasks[source], bench.train.targets[source][index], SIDE)
        about = torch.cat([around(known.mean), known.spread], -1)
        out[source] = explained(about, wanted.mean, wanted.seen, _images(bench, index))
    return out


def by_features(bench: Bench, target: str, features: Mapping[str, Features], rows: Sequence[int]) -> dict[str, float]:
    """Source -> share of the target's variance that a linear map explains of what the source's training made."""
    out = {}
    for source, found in features.items():
        wanted = label_tokens(bench.tasks[target], bench.train.targets[target][[*rows]], found.side)
        height, width = wanted.seen.shape[1:]  # without the padding
        out[source] = explained(found.tokens[:, :height, :width], wanted.mean, wanted.seen, _images(bench, rows))
    return out


def scarce_of(bench: Bench, target: str, scarce: int, seed: int) -> list[int]:
    """Rows of the pictures whose labels of the target are known, all views."""
    few = scarce_rows(bench, target, scarce, seed)
    return [view * bench.images + image for view in range(bench.views) for image in few]


def _images(bench: Bench, rows: Sequence[int]) -> list[int]:
    """The image that each row is a view of."""
    return [row % bench.images for row in rows]
