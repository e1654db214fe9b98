"""Predictors find what is planted, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vtadapt.tasks import make_task
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.options import PREDICTORS, GainOptions
from vtadapt.workflows.gain.predictors.predict import predict
from vtadapt.workflows.gain.predictors.tokens import around, explained, label_tokens

SEEN = torch.ones(8, 6, 6, dtype=torch.bool)


def test_a_linear_map_explains_what_it_can_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(0)
    known = torch.randn(8, 6, 6, 5, generator=generator)
    copied, other = known @ torch.randn(5, 2, generator=generator), torch.randn(8, 6, 6, 2, generator=generator)
    assert explained(known, copied, SEEN, range(8)) > 0.99
    assert explained(known, copied + copied.std() * other, SEEN, range(8)) == pytest.approx(0.5, abs=0.1)
    assert explained(known, other, SEEN, range(8)) < 0.05


def test_pictures_are_not_known_by_heart() -> None:
    """A feature that names the picture explains its labels only where the picture was seen."""
    own = torch.eye(8)[:, None, None].expand(8, 6, 6, 8)
    label = torch.randn(8, 1, 1, 1, generator=torch.Generator().manual_seed(1)).expand(8, 6, 6, 1)
    assert explained(own, label, SEEN, range(8)) < 0.05
    views = torch.cat([own, own])
    assert explained(views, torch.cat([label, label]), torch.cat([SEEN, SEEN]), [*range(8), *range(8)]) < 0.05


def test_labels_by_tokens() -> None:
    semseg = make_task("semseg", "classes", num_classes=2)
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, :2, :2] = torch.tensor([[1, 1], [255, 0]])
    found = label_tokens(semseg, target, 2)
    assert found.mean[0, 0, 0].tolist() == pytest.approx([1 / 3, 2 / 3]) and found.seen.all()
    depth = make_task("depth", "regression", units="m")
    assert depth.distance
    metres = torch.full((1, 1, 2, 2), 2.0)
    metres[..., 0] = 0  # missing
    assert label_tokens(depth, metres, 2).mean.item() == pytest.approx(2.0 / depth.typical)
    assert not label_tokens(depth, torch.zeros(1, 1, 2, 2), 2).seen.any()


def test_neighbours_lie_where_they_lie() -> None:
    x = torch.arange(9.0).view(1, 3, 3, 1)
    assert around(x)[0, 1, 1].tolist() == list(range(9))
    assert around(x)[0, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 3, 4]


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_scores_each_source(name: str, bench: Bench, settings: Any, options: GainOptions) -> None:
    found = predict(name, bench, settings, options, ["depth", "edges"], 0)
    assert {t: set(of) for t, of in found.scores.items()} == {
        "depth": {"semseg", "edges"},
        "edges": {"semseg", "depth"},
    }
    values = [value for of in found.scores.values() for value in of.values()]
    assert len(set(values)) == 4 and all(value == value for value in values)
    assert found.cpu_seconds > 0
    assert predict(name, bench, settings, options, ["depth", "edges"], 0).scores == found.scores


@pytest.mark.parametrize("name", ["features", "labels"])
def test_the_advised_knows_few_labels_of_the_target(
    name: str, bench: Bench, settings: Any, options: GainOptions
) -> None:
    """The two predictors that a user can follow read no label of the target but the few that there are."""
    from dataclasses import replace

    from vtadapt.workflows.gain.predictors.sources import scarce_of

    known = scarce_of(bench, "depth", options.scarce, 0)
    label = bench.train.targets["depth"].clone()
    label[sorted(set(range(len(bench.train))) - set(known))] = 0
    other = replace(bench, train=replace(bench.train, targets={**bench.train.targets, "depth": label}))
    first, second = (predict(name, each, settings, options, ["depth"], 0).scores for each in (bench, other))
    assert first == second


def test_where_nothing_can_be_told_the_score_is_0() -> None:
    generator = torch.Generator().manual_seed(0)
    known, label = torch.randn(4, 3, 3, 2, generator=generator), torch.randn(4, 3, 3, 1, generator=generator)
    seen = torch.zeros(4, 3, 3, dtype=torch.bool)
    assert explained(known, label, seen, range(4)) == 0  # no label
    assert explained(known, torch.ones(4, 3, 3, 1), ~seen, range(4)) == 0  # one value
    seen[1] = True
    assert explained(known, label, seen, range(4)) == 0  # one image: none is left to learn from
    seen[2, 0, 0] = True
    assert explained(known, label, seen, range(4)) == explained(known, label, seen, range(4))  # no NaN
