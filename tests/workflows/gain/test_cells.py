"""What a training of the yardstick reads, and what it must not."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from vtadapt.errors import DataError
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.cell import Cell, batches, measure, scarce_rows, train_cell

ALONE, WITH = Cell("depth", (), 1, 3), Cell("depth", ("edges",), 1, 3)


def test_the_target_sees_the_same_whatever_helps_it(bench: Bench) -> None:
    alone, pair = (list(islice(batches(bench, cell, 4, 20), 20)) for cell in (ALONE, WITH))
    assert [few for few, _ in alone] == [few for few, _ in pair]
    known = set(scarce_rows(bench, "depth", 3, 1))
    assert len(known) == 3
    assert {row % bench.images for few, _ in pair for row in few} == known
    assert {row % bench.images for _, rest in pair for row in rest} == set(range(bench.images)) - known
    assert len({row for few, _ in pair for row in few}) > 3  # several views


def test_another_seed_knows_other_images(bench: Bench) -> None:
    many = replace(bench, images=100, labelled={"depth": range(100)})
    assert scarce_rows(many, "depth", 10, 0) != scarce_rows(many, "depth", 10, 1)


def _weights(bench: Bench, settings: Any, cell: Cell) -> torch.Tensor:
    model = train_cell(bench, settings, cell)
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


def _changed(bench: Bench, task: str, rows: list[int]) -> Bench:
    label = bench.train.targets[task].clone()
    label[rows] = 2 * label[rows] if task == "depth" else 1 - label[rows].clamp_min(0)
    return replace(bench, train=replace(bench.train, targets={**bench.train.targets, task: label}))


def test_no_other_label_of_the_target_is_read(bench: Bench, settings: Any) -> None:
    known = [view * bench.images + i for view in range(bench.views) for i in scarce_rows(bench, "depth", 3, 1)]
    unknown = sorted(set(range(len(bench.train))) - set(known))
    before = _weights(bench, settings, WITH)
    assert torch.equal(before, _weights(_changed(bench, "depth", unknown), settings, WITH))
    assert not torch.equal(before, _weights(_changed(bench, "depth", known), settings, WITH))
    assert not torch.equal(before, _weights(_changed(bench, "edges", unknown), settings, WITH))


def test_a_weight_of_zero_takes_a_source_out(bench: Bench, settings: Any) -> None:
    off = train_cell(bench, settings, WITH, {"edges": 0.0})
    changed = train_cell(_changed(bench, "edges", list(range(len(bench.train)))), settings, WITH, {"edges": 0.0})
    for a, b in zip(off.parameters(), changed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_is_measured_is_of_the_validation_pictures(bench: Bench, settings: Any) -> None:
    found = measure(bench, train_cell(bench, settings, ALONE), bench.tasks["depth"])
    assert found["loss"] > 0 and found["metrics"]["rmse/pixel"] > 0
    assert len(bench.val) == 4


def test_nothing_is_measured_where_no_pixel_is_labelled(bench: Bench, settings: Any) -> None:
    empty = {**bench.val.targets, "depth": torch.zeros_like(bench.val.targets["depth"])}
    without = replace(bench, val=replace(bench.val, targets=empty))
    with pytest.raises(DataError, match="over 4 validation images: none of their pixels is labelled"):
        measure(without, train_cell(bench, settings, ALONE), bench.tasks["depth"])
