"""The class with the highest score is torch's argmax, whatever the scores."""

from __future__ import annotations

import pytest
import torch

from vtadapt.tasks.best_class import best_class


@pytest.mark.parametrize("classes", [1, 2, 13, 256, 257, 300])
def test_it_is_argmax_with_ties(classes: int) -> None:
    scores = torch.randn(2, classes, 9, 7, generator=torch.Generator().manual_seed(classes)).round(decimals=1)
    found = best_class(scores)
    assert found.dtype == torch.int64
    assert torch.equal(found, scores.argmax(1))
    equal = torch.zeros(1, classes, 3, 3)
    assert torch.equal(best_class(equal), torch.zeros(1, 3, 3, dtype=torch.int64))
    equal[:, -1] = 1
    assert torch.equal(best_class(equal), torch.full((1, 3, 3), classes - 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_taken_as_argmax_takes_them(value: float) -> None:
    scores = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    scores[0, 3, 1], scores[0, 4, 1:3] = value, value
    assert torch.equal(best_class(scores), scores.argmax(1))


def test_half_precision_and_gradients() -> None:
    scores = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    assert torch.equal(best_class(scores), scores.argmax(1))
