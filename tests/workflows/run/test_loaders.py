"""The order in which a run reads its images."""

from __future__ import annotations

import pytest

from vtadapt.errors import ConfigError
from vtadapt.workflows.run.loaders import RunSampler


def draw(lengths, *, epoch=0, start=0, rank=0, world=1, batch=4, seed=0):
    sampler = RunSampler(lengths, batch, seed, rank, world)
    sampler.set(epoch, start)
    indices = list(sampler)
    assert len(indices) == len(sampler)
    return [tuple(indices[i : i + batch]) for i in range(0, len(indices), batch)]


def test_an_epoch_takes_every_image_at_most_once_and_epochs_differ():
    first, second = draw([18]), draw([18], epoch=1)
    flat = [i for b in first for i in b]
    assert len(set(flat)) == len(flat) == 16
    assert first != second
    assert first == draw([18])


def test_starting_in_the_middle_is_the_rest_of_the_same_epoch():
    assert draw([18], epoch=3, start=2) == draw([18], epoch=3)[2:]
    assert draw([18, 9], epoch=3, start=2) == draw([18, 9], epoch=3)[2:]


def test_ranks_share_the_batches_of_one_process_with_the_same_global_batch():
    whole = draw([18, 12], batch=4)
    parts = [draw([18, 12], batch=2, rank=r, world=2) for r in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


def test_batches_of_several_sets_are_of_one_set_each_and_the_sets_take_turns():
    batches = draw([40, 12], epoch=2)
    owners = [{int(i >= 40) for i in b} for b in batches]
    assert all(len(o) == 1 for o in owners)
    share = sum(o == {1} for o in owners) / len(owners)
    assert 0.4 <= share <= 0.6
    assert all(0 <= i < 52 for b in batches for i in b)


def test_a_set_smaller_than_a_batch_still_takes_part():
    batches = draw([8, 3], batch=4)
    assert any(all(i >= 8 for i in b) for b in batches)


def test_fewer_images_than_a_batch_is_an_error():
    with pytest.raises(ConfigError, match="lower --batch-size"):
        draw([3], batch=4)
