"""By networks of one task each: what a source's training makes of the features, and what its labels say of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vtadapt.models.multitask import MultitaskModel
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.cell import scarce_rows
from vtadapt.workflows.gain.predictors.tokens import around, explained, label_tokens

SIDE = 8  # pixels of a token of labels


def features_of(model: MultitaskModel, bench: Bench, rows: Sequence[int]) -> Tensor:
    """What the head of a network of one task reads, by tokens: (N, h, w, C)."""
    entered: list[Tensor] = []
    heads = model.heads
    assert isinstance(heads, torch.nn.Module)
    handle = heads.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    model.eval()
    try:
        with torch.no_grad():
            model(bench.train.encoded([*rows]))
    finally:
        handle.remove()
    return entered[0][:, 0].movedim(1, -1)


def by_labels(bench: Bench, target: str, sources: Sequence[str], rows: Sequence[int]) -> dict[str, float]:
    """Source -> share of the target's variance that a linear map explains of the source's labels around a token."""
    index = [*rows]
    wanted = label_tokens(bench.tasks[target], bench.train.targets[target][index], SIDE)
    out = {}
    for source in sources:
        known = label_tokens(bench.tasks[source], bench.train.targets[source][index], SIDE)
        out[source] = explained(torch.cat([around(known.mean), known.spread], -1), wanted.mean, wanted.seen)
    return out


def by_features(bench: Bench, target: str, features: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, float]:
    """Source -> share of the target's variance that a linear map explains of what the source's training made."""
    out = {}
    for source, found in features.items():
        side = bench.train.size[0] // found.shape[1]
        wanted = label_tokens(bench.tasks[target], bench.train.targets[target][[*rows]], side)
        if source != target:
            out[source] = explained(found, wanted.mean, wanted.seen)
    return out


def scarce_of(bench: Bench, scarce: int, seed: int) -> list[int]:
    """Rows of the pictures whose labels of the target are known, all views."""
    few = scarce_rows(bench.images, scarce, seed)
    return [view * bench.images + image for view in range(bench.views) for image in few]
