"""XTAM's correlation attention by hand on a 2x2 map; an exchange that begins as none."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.models.peers.networks import build_peer
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.peers.xtam import ExchangeBlock, PairAttention, correlation_attention

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


def by_hand(keys, queries, values):
    """Lists per position of lists per channel -> for each position of the target a list of channels."""
    out = []
    for query in queries:
        scores = [sum(k * q for k, q in zip(key, query, strict=True)) / math.sqrt(len(query)) for key in keys]
        total = sum(math.exp(s) for s in scores)
        shares = [math.exp(s) / total for s in scores]
        out.append([sum(p * v[c] for p, v in zip(shares, values, strict=True)) for c in range(len(values[0]))])
    return out


# The four positions of a 2x2 map, row by row; two channels.
SOURCE = [[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0], [0.5, 0.5]]
TARGET = [[2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]


def as_map(positions):
    """(1, C, 2, 2)."""
    return torch.tensor(positions).T.reshape(1, -1, 2, 2)


def identity_pair(**options) -> PairAttention:
    """Projections that change nothing, alpha 1, beta 0."""
    pair = PairAttention(2, **{"positions": 1024, **options})
    pair.extract = nn.Identity()
    for conv in (pair.key, pair.query, pair.value):
        conv.weight.data.copy_(torch.eye(2)[..., None, None])
        conv.bias.data.zero_()
    pair.alpha.data.fill_(1)
    return pair


def test_correlation_attention_on_a_2x2_map_is_the_formula_by_hand():
    values = [[3.0, 1.0, 0.0], [0.0, 1.0, 2.0], [5.0, 0.0, 0.0], [0.0, -4.0, 1.0]]
    out = correlation_attention(
        as_map(SOURCE).flatten(2), as_map(TARGET).flatten(2), torch.tensor(values).T[None]
    )  # (1, 3, 4)
    assert torch.allclose(out[0].T, torch.tensor(by_hand(SOURCE, TARGET, values)), atol=1e-6)
    # And one number to the last digit: the first position of the target asks with (2, 0), scores 2, 0, -2, 1 / sqrt 2.
    weights = [math.exp(s / math.sqrt(2)) for s in (2, 0, -2, 1)]
    assert out[0, 0, 0].item() == pytest.approx((3 * weights[0] + 5 * weights[2]) / sum(weights), abs=1e-6)


def test_the_exchange_is_target_asks_source_answers():
    found = identity_pair()(as_map(SOURCE), as_map(TARGET))
    assert torch.allclose(found, as_map(by_hand(SOURCE, TARGET, SOURCE)), atol=1e-6)
    assert not torch.allclose(found, as_map(by_hand(TARGET, SOURCE, TARGET)), atol=1e-2)


def test_self_gated_attention_by_hand():
    pair = identity_pair()
    pair.alpha.data.zero_()
    pair.beta.data.copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1))
    pair.gate.weight.data.copy_(torch.tensor([[1.0, 1.0], [0.0, 3.0]])[..., None, None])
    pair.gate.bias.data.zero_()

    def gated(x, y):
        return [2 * x / (1 + math.exp(-(x + y))), -y / (1 + math.exp(-3 * y))]

    assert torch.allclose(pair(as_map(SOURCE), as_map(TARGET)), as_map([gated(*p) for p in SOURCE]), atol=1e-6)


def test_a_large_source_is_averaged_down_to_the_limit():
    source, target = torch.rand(2, 2, 8, 8), torch.rand(2, 2, 8, 8)
    pooled = source.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))  # (2, 2, 4, 4)
    few, many = identity_pair(positions=16), identity_pair(positions=64)
    wanted = correlation_attention(pooled.flatten(2), target.flatten(2), pooled.flatten(2)).view_as(target)
    assert torch.allclose(few(source, target), wanted, atol=1e-6)
    assert not torch.allclose(many(source, target), wanted, atol=1e-4)


def test_scales_act_per_channel():
    pair = identity_pair()
    pair.alpha.data.copy_(torch.tensor([0.0, 3.0]).view(2, 1, 1))
    plain = identity_pair()(as_map(SOURCE), as_map(TARGET))
    scaled = pair(as_map(SOURCE), as_map(TARGET))
    assert torch.equal(scaled[:, 0], torch.zeros(1, 2, 2))
    assert torch.allclose(scaled[:, 1], 3 * plain[:, 1])


def test_zero_scales_at_the_start_are_no_exchange():
    torch.manual_seed(0)
    model = build_peer("xtam", load_backbone("resnet_pico", "random"), CHANNELS).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(image)
        block = model.exchange
        model.exchange = nn.Module()
        model.exchange.forward = lambda streams, targets: {t: streams[t] for t in targets}
        without = model(image)
        model.exchange = block
        for pair in block.modules():
            if isinstance(pair, PairAttention):
                pair.alpha.fill_(0.5)
        after = model(image)
    for task in CHANNELS:
        assert torch.equal(before[task], without[task]), task
        assert not torch.allclose(before[task], after[task], atol=1e-4), task


def test_every_ordered_pair_of_tasks_has_its_own_exchange():
    names = ("a", "b", "c")
    block = ExchangeBlock(names, 8, 64)
    assert {(s, t) for t, into in block.pairs.items() for s in into} == {(s, t) for s in names for t in names if s != t}
    streams = {n: torch.rand(1, 8, 4, 4) for n in names}
    block.pairs["b"]["c"].alpha.data.fill_(1.0)  # c -> b
    out = block(streams, names)
    assert [n for n in names if not torch.equal(out[n], streams[n])] == ["b"]
    changed = block({**streams, "a": torch.rand(1, 8, 4, 4)}, names)
    assert torch.equal(changed["b"], out["b"])
    assert not torch.equal(block({**streams, "c": torch.rand(1, 8, 4, 4)}, names)["b"], out["b"])


def test_both_levels_are_supervised_and_the_first_is_before_the_exchange():
    torch.manual_seed(0)
    model = build_peer("xtam", load_backbone("resnet_pico", "random"), CHANNELS)
    image = torch.rand(2, 3, 48, 80)
    levels = model.levels(image)
    assert len(levels) == 2
    levels[0]["depth"].square().mean().backward()
    moved = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
    assert moved == {"backbone", "first", "second", "early_heads"}
    assert model.first["normals"].project[0].weight.grad is None
