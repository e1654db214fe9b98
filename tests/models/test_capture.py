"""Captured attention against references written out pixel by pixel, and against constructions with a known answer."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.models.brute_attention import assert_equals, axis, brute_force
from tests.models.conftest import CHANNELS
from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.backbones.block import Grid
from vtadapt.models.capture import regular_attention, task_attention

SIZES = [(8, 8), (9, 5), (3, 6)]


@pytest.fixture(params=[False, True], ids=["plain", "shifted"])
def block(backbone, request):
    return backbone.adapted_stages[1].blocks[1 if request.param else 0]  # windows of 4


@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_regular_attention_equals_brute_force(block, size):
    x = torch.randn(1, *size, 256)
    found = block.look(x, None, Grid(size), "all")
    own = block.module
    wanted = brute_force(own, own.norm1(x)[0], torch.zeros(16, 16), None, pad_first=False)
    assert_equals(found[0], wanted)
    sums = found[0].weights.sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_task_attention_equals_brute_force(block, size):
    attention = TaskAdaptedAttention(block.window, 3)
    attention.a0.data.normal_()
    attention.film.linear.weight.data.normal_()
    x, z = torch.randn(1, 2, *size, 256), torch.randn(2, 3)
    valid = torch.ones(size, dtype=torch.bool)
    valid[-1] = False
    found = block.look(x, attention.bias(z), Grid(size, valid), "all")
    own = block.module
    for t in range(2):
        assert_equals(found[t], brute_force(own, own.norm1(x[0, t]), attention.bias(z)[t], valid, pad_first=True))
        sums = found[t].weights.sum(-1)
        assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5)
    assert not torch.allclose(found[0].weights, found[1].weights, atol=1e-2)


@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_reach_is_the_part_of_the_window_that_mixes(block, size):
    attention = TaskAdaptedAttention(block.window, 3)
    attention.a0.data.normal_().mul_(3)  # the learned bias hides nothing
    found = block.look(torch.randn(1, 1, *size, 256), attention.bias(torch.randn(1, 3)), Grid(size))
    shift = block.module.shift_size
    places = [axis(n, 4, s, pad_first=True) for n, s in zip(size, shift, strict=True)]
    for y, x in itertools.product(range(size[0]), range(size[1])):
        sides = []
        for tokens, token, n in zip(places, (y, x), size, strict=True):
            mine = next(p for p in tokens if p[0] == token)
            sides.append([any(p[0] == k and (p[1], p[3]) == (mine[1], mine[3]) for p in tokens) for k in range(n)])
        wanted = torch.tensor(sides[0])[:, None] & torch.tensor(sides[1])
        assert torch.equal(found[0].reach(y, x), wanted)
        assert bool((found[0].query(y, x)[~wanted] < 1e-20).all())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (33, 517), (1, 1), (150, 200)], ids=str)
def test_capture_does_not_change_the_prediction_by_a_bit(model, size, fused):
    image = torch.rand(1, 3, *size)
    blocks = [block.module for stage in model.backbone.adapted_stages for block in stage.blocks]
    for block in blocks:
        block.attn.fused_attn = fused
    with torch.no_grad():
        before = model(image)
        features = model.backbone.features(image)
    logits, maps = task_attention(model, image, 1, head="all", from_stage=True)
    regular_attention(model.backbone, image)
    with torch.no_grad():
        after = model(image)
        again = model.backbone.features(image)
    for name in CHANNELS:
        assert torch.equal(logits[name], before[name])
        assert torch.equal(after[name], before[name])
    assert all(torch.equal(a, b) for a, b in zip(again, features, strict=True))
    assert [len(each) for each in maps.values()] == [2, 2, 2]
    hooks = [m for m in model.modules() if m._forward_pre_hooks]
    assert hooks == []
    assert all(block.attn.fused_attn is fused for block in blocks)


@torch.no_grad()
@pytest.mark.parametrize("fused", [True, False])
def test_capture_notes_the_very_inputs_of_the_model(model, fused):
    """Through the whole model: the probabilities, times v and projected, are what the block's attention gives."""
    image = torch.rand(1, 3, 150, 200)
    block = model.backbone.adapted_stages[1].blocks[1].module
    block.attn.fused_attn = fused
    heard = []
    handle = block.attn.register_forward_hook(lambda _, args, out: heard.append((args[0], out)))
    _, maps = task_attention(model, image, head="all")
    handle.remove()
    x, out = next(pair for pair in heard if len(pair[0]) == 3 * len(maps["semseg"][0].places))  # not the numbers' pass
    v = block.attn.qkv(x).view(len(x), 16, 3, 16, -1)[:, :, 2].transpose(1, 2)
    weights = torch.cat([maps[name][0].weights for name in CHANNELS])
    assert torch.allclose(block.attn.proj((weights @ v).transpose(1, 2).flatten(2)), out, atol=1e-4)
