"""What is read off captured attention: where it lies, its heads, rollout, regions, focus."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from vtadapt.errors import UsageError
from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.attention_maps import AttentionMaps, rollout
from vtadapt.models.backbones.block import Grid
from vtadapt.models.capture import find_block, regular_attention, task_attention


@pytest.mark.parametrize("block", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("size", [(33, 517), (150, 200)], ids=str)
def test_maps_of_any_size_are_cropped_to_the_image(model, block, size):
    image = torch.rand(1, 3, *size)
    regular = regular_attention(model.backbone, image, block)[0]
    _, tasks = task_attention(model, image, block, tasks=["depth"])
    maps = tasks["depth"][0]
    stride = 16 if block in (0, 1) else 32
    assert maps.stride == regular.stride == stride
    assert maps.shown == regular.shown == (math.ceil(size[0] / stride), math.ceil(size[1] / stride))
    assert maps.received().shape == maps.shown
    # All attention of the tasks stays on the image: 1 a query. The backbone's own also falls on its padding.
    assert float(maps.received().sum()) == pytest.approx(maps.shown[0] * maps.shown[1], rel=1e-4)
    assert 0 < float(regular.received().sum()) < regular.shown[0] * regular.shown[1] + 1e-3
    for y, x in [(0, 0), (maps.shown[0] - 1, maps.shown[1] - 1)]:
        assert float(maps.query(y, x).sum()) == pytest.approx(1, abs=1e-4)


def test_heads(model):
    image = torch.rand(1, 3, 100, 100)
    every = regular_attention(model.backbone, image, head="all")[0]
    mean = regular_attention(model.backbone, image)[0]
    third = regular_attention(model.backbone, image, head=3)[0]
    assert every.weights.shape[1] == 16
    assert torch.allclose(every.weights.mean(1, keepdim=True), mean.weights, atol=1e-6)
    assert torch.equal(every.weights[:, 3:4], third.weights)
    assert torch.allclose(every.received(), mean.received(), atol=1e-5)


@pytest.mark.parametrize("size", [(4, 4), (9, 6), (8, 12)], ids=str)
@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_the_bright_spot_is_where_it_must_be(backbone, size, shifted):
    """Keys are the first channel alone and queries a constant, so that all look at the token where it is large."""
    block = backbone.adapted_stages[1].blocks[1 if shifted else 0]
    attn, c = block.module.attn, 256
    block.module.norm1 = nn.Identity()
    attn.relative_position_bias_table.data.zero_()
    attn.qkv.weight.data.zero_()
    attn.qkv.bias.data.zero_()
    attn.qkv.bias.data[:c] = 1.0  # q
    attn.qkv.weight.data[c : 2 * c, 0] = 1.0  # k
    bright = (size[0] - 2, size[1] - 3)
    x = torch.zeros(1, 1, *size, c)
    x[0, 0, *bright, 0] = 3.0  # logit 3 * 16 / sqrt(16) = 12, others 0
    attention = TaskAdaptedAttention(block.window, 2)
    found = block.look(x, attention.bias(torch.zeros(1, 2)), Grid(size))
    maps = found[0]
    reach = maps.reach(*bright)
    received = maps.received()
    assert divmod(int(received.argmax()), size[1]) == bright
    n = int(reach.sum())  # that see it, and whom it sees
    assert float(received[bright]) == pytest.approx(n * math.exp(12) / (math.exp(12) + n - 1), rel=1e-4)
    for y, x_ in itertools.product(range(size[0]), range(size[1])):
        looks = maps.query(y, x_)
        if reach[y, x_]:
            assert divmod(int(looks.argmax()), size[1]) == bright
        else:
            seen = maps.reach(y, x_)
            assert torch.allclose(looks[seen], torch.full_like(looks[seen], 1 / int(seen.sum())), atol=1e-5)


def windows(weights: torch.Tensor, places: list[list[int]], size: tuple[int, int]) -> AttentionMaps:
    index = torch.tensor(places)
    return AttentionMaps(weights, index, torch.ones(*index.shape, index.shape[1], dtype=torch.bool), size, size)


def test_rollout_equals_the_product_of_dense_matrices():
    torch.manual_seed(0)
    size = (2, 4)
    halves = windows(torch.rand(2, 3, 4, 4).softmax(-1), [[0, 1, 4, 5], [2, 3, 6, 7]], size)
    middle = windows(torch.rand(2, 1, 4, 4).softmax(-1), [[1, 2, 5, 6], [3, 7, 0, 4]], size)
    dense = []
    for maps in (halves, middle, halves):
        full = torch.zeros(8, 8)
        for m, tokens in enumerate(maps.places.tolist()):
            for i, j in itertools.product(range(4), range(4)):
                full[tokens[i], tokens[j]] = maps.weights[m, :, i, j].mean()
        dense.append(0.5 * full + 0.5 * torch.eye(8))
    wanted = dense[2] @ dense[1] @ dense[0]
    for q in range(8):
        found, reached = rollout([halves, middle, halves], divmod(q, 4))
        assert torch.allclose(found.flatten(), wanted[q], atol=1e-6)
        assert torch.equal(reached.flatten(), wanted[q] > 0)
        assert float(found.sum()) == pytest.approx(1)
    assert torch.allclose(rollout([halves, middle, halves])[0].flatten(), wanted.sum(0), atol=1e-6)


def test_rollout_stays_in_a_stage_and_mixes_its_shifted_windows(model):
    image = torch.rand(1, 3, 320, 320)  # stage 3: 20 x 20 tokens in windows of 8
    one = regular_attention(model.backbone, image, 1)
    both = regular_attention(model.backbone, image, 1, from_stage=True)
    assert (len(one), len(both)) == (1, 2)
    assert len(regular_attention(model.backbone, image, 2, from_stage=True)) == 1  # the first of the next stage
    reach = one[0].reach(10, 10)
    _, reached = rollout(both, (10, 10))
    assert int(reach.sum()) == 64
    assert int(reached.sum()) > 64
    assert bool(reached[reach].all())


@torch.no_grad()
def test_regions_are_what_reach_says(backbone):
    block = backbone.adapted_stages[1].blocks[1]
    attention = TaskAdaptedAttention(block.window, 3)
    found = block.look(torch.randn(1, 1, 9, 6, 256), attention.bias(torch.randn(1, 3)), Grid((9, 6)))
    regions = found[0].regions()
    assert len(regions.unique()) == 6  # 2 + 4 + 3 rows by 2 + 4 columns
    for y, x in itertools.product(range(9), range(6)):
        assert torch.equal(regions == regions[y, x], found[0].reach(y, x))


def test_the_most_focused_token():
    size = (1, 5)
    weights = torch.full((1, 1, 6, 6), 1 / 5)
    weights[..., 5] = 0  # a place without a token, which a mask hides
    weights[0, 0, 3] = torch.tensor([0.9, 0.025, 0.025, 0.025, 0.025, 0])
    maps = windows(weights, [[4, 2, 0, 1, 3, -1]], size)
    maps.visible[..., 5] = False
    y, x, entropy = maps.most_focused()
    assert (y, x) == (0, 1)
    assert entropy == pytest.approx(-(0.9 * math.log(0.9) + 0.1 * math.log(0.025)) / math.log(5), abs=1e-5)


def test_a_transformer_without_windows_has_one_window():
    """What a plain ViT will give: one window, its class token without a place."""
    weights = torch.rand(1, 2, 7, 7).softmax(-1)
    maps = windows(weights, [[-1, 0, 1, 2, 3, 4, 5]], (2, 3))
    assert torch.allclose(maps.query(1, 0).flatten(), weights[0, :, 4, 1:].mean(0))
    assert torch.allclose(maps.received().flatten(), weights[0, :, 1:, 1:].mean(0).sum(0))
    assert bool(maps.reach(0, 0).all())
    with pytest.raises(ValueError, match="not in the map"):
        maps.query(2, 0)


def test_blocks_and_heads_by_number(model):
    assert find_block(model, -1) == ("stage 4 block 2", 16)
    assert find_block(model, 0, 7) == ("stage 3 block 5", 8)
    with pytest.raises(UsageError, match=r"block 4: .* 0 = stage 3 block 5, .*3 = stage 4 block 2; -1 is the last"):
        find_block(model, 4)
    with pytest.raises(UsageError, match="block -5"):
        find_block(model, -5)
    for head in (8, -1):
        with pytest.raises(UsageError, match=f"head {head}: stage 3 block 5 has 8 heads; wanted mean or 0 to 7"):
            find_block(model, 0, head)
    with pytest.raises(ValueError, match=r"\(1, 3, H, W\), found \(2, 3, 8, 8\)"):
        regular_attention(model.backbone, torch.rand(2, 3, 8, 8))
