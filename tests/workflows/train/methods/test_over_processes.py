"""Losses and gradients of several processes are those of one that has all the images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vtadapt.tasks.losses import Loss
from vtadapt.workflows.train.methods.base import over_processes

LABELS = {"depth": [3, 1], "edges": [0, 5], "normals": [0, 0]}  # labelled pixels of each of two processes


class OneOfTwo:
    """Stands for Fabric in one of two processes, the other one's sums being known."""

    world_size, device = 2, torch.device("cpu")

    def __init__(self, other: Tensor) -> None:
        self.other = other

    def all_reduce(self, mine: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "sum"
        return mine + self.other


def of_process(rank: int, weight: Tensor) -> dict[str, Loss]:
    """The mean over its labelled pixels of weight times the pixel's number, numbered over both processes."""
    losses = {}
    for task, counts in LABELS.items():
        begin = sum(counts[:rank])
        pixels = torch.arange(begin, begin + counts[rank]) + 1.0
        losses[task] = Loss((weight * pixels).mean() if len(pixels) else torch.tensor(torch.nan), len(pixels))
    return losses


def test_the_mean_over_processes_is_the_mean_over_pixels() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    both = [of_process(rank, weight) for rank in (0, 1)]
    rows = [
        torch.tensor(
            [[x.valid, x.valid * float(x.value.detach()) if x.valid else 0.0] for x in losses.values()]
        ).double()
        for losses in both
    ]
    found = [over_processes(both[rank], OneOfTwo(rows[1 - rank])) for rank in (0, 1)]  # type: ignore[arg-type]
    for task, wanted in (("depth", 2.5), ("edges", 3.0)):  # means of 1..4, 1..5
        shares = [found[rank][0][task] for rank in (0, 1)]
        terms = [share * losses[task].value for share, losses in zip(shares, both, strict=True) if losses[task].valid]
        (gradient,) = torch.autograd.grad(sum(terms) / 2, weight, retain_graph=True)  # averaged, as DDP does
        assert float(gradient) == pytest.approx(wanted)
        assert [shown[task] for _, shown in found] == [pytest.approx(2 * wanted)] * 2
    assert all("normals" not in shown for _, shown in found)


def test_a_single_process_counts_whole() -> None:
    class Alone:
        world_size = 1

    alone: Any = Alone()
    shares, shown = over_processes({"a": Loss(torch.tensor(0.25), 4), "b": Loss(torch.tensor(0.0), 0)}, alone)
    assert shares == {"a": 1.0, "b": 1.0}
    assert shown == {"a": 0.25}
