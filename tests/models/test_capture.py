"""Captured attention against references written out pixel by pixel, and against constructions with a known answer."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from vtadapt.errors import UsageError
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.attention_maps import AttentionMaps, rollout
from vtadapt.models.backbones.block import Grid
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.swin import SwinBackbone
from vtadapt.models.capture import find_block, regular_attention, task_attention

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


@pytest.fixture
def backbone() -> SwinBackbone:
    backbone = load_backbone(weights="random", seed=3)
    torch.manual_seed(2)
    for stage in backbone.adapted_stages:
        for block in (
            block.module for block in stage.blocks
        ):  # weights of any size are as good; these make attention that is far from uniform
            block.attn.relative_position_bias_table.data.normal_()
            block.attn.qkv.weight.data.mul_(4)
            block.attn.qkv.bias.data.normal_()
    return backbone


@pytest.fixture
def model(backbone: SwinBackbone) -> AdaptedModel:
    torch.manual_seed(0)
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig()).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def axis(size: int, window: int, shift: int, pad_first: bool) -> list[tuple[int, int, int, int]]:
    """Along one axis, for each place after padding and shift: its token (size and more: padding) and where it is.

    Two orders exist: task-adapted attention pads and then rolls; timm rolls and then pads.
    """
    padded = math.ceil(size / window) * window
    out = []
    for i in range(padded):
        rolled = padded if pad_first else size
        token = (i + shift) % rolled if i < rolled else i
        region = 0 if i < padded - window or shift == 0 else 1 if i < padded - shift else 2
        out.append((token, i // window, i % window, region))
    return out


def dot_product(block, x):
    """Swin: the logits (heads,) of a query and a key of the map, or of a padded key (None), so many tokens apart."""
    h, w, c = x.shape
    attn = block.attn
    heads, dim = attn.num_heads, c // attn.num_heads
    weight, offset = attn.qkv.weight, attn.qkv.bias
    queries = (x @ weight[:c].T + offset[:c]).view(h, w, heads, dim)
    at_tokens = (x @ weight[c : 2 * c].T + offset[c : 2 * c]).view(h, w, heads, dim)
    at_padding = offset[c : 2 * c].view(heads, dim)  # padding is zero after the norm
    win_h, win_w = block.window_size

    def logit(query, key, dy, dx):
        k = at_padding if key is None else at_tokens[key]
        table = attn.relative_position_bias_table
        return (queries[query] * k).sum(-1) / math.sqrt(dim) + table[
            (dy + win_h - 1) * (2 * win_w - 1) + dx + win_w - 1
        ]

    return logit


def cosine(block, x):
    """SwinV2, as :func:`dot_product`: cosines by a learned scale, and the position bias that a small network makes."""
    h, w, c = x.shape
    attn = block.attn
    heads, dim = attn.num_heads, c // attn.num_heads
    queries = (x @ attn.qkv.weight[:c].T + attn.q_bias).view(h, w, heads, dim)
    keys = (x @ attn.qkv.weight[c : 2 * c].T).view(h, w, heads, dim)  # keys have no bias: padding is zero
    scale = attn.logit_scale.view(heads).exp().clamp(max=100)
    win_h, win_w = block.window_size

    def logit(query, key, dy, dx):
        q, k = queries[query], torch.zeros(heads, dim) if key is None else keys[key]
        product = (q * k).sum(-1) / (q.norm(dim=-1).clamp_min(1e-12) * k.norm(dim=-1).clamp_min(1e-12))
        far = torch.tensor([8 * dy / (win_h - 1), 8 * dx / (win_w - 1)])
        position = attn.cpb_mlp(far.sign() * (far.abs() + 1).log2() / math.log2(8))
        return product * scale + 16 * position.sigmoid()

    return logit


def brute_force(block, x, bias, valid, pad_first, logits_of=dot_product):
    """Per query (y, x) of the map (H, W, C): {key: probabilities (heads,)}, padding summed up under the key None."""
    h, w = x.shape[:2]
    win_h, win_w = block.window_size
    of = logits_of(block, x)
    rows = axis(h, win_h, block.shift_size[0], pad_first)
    columns = axis(w, win_w, block.shift_size[1], pad_first)
    out = {}
    for (qy, wy, py, ry), (qx, wx, px, rx) in itertools.product(rows, columns):
        if qy >= h or qx >= w:
            continue
        keys, logits = [], []
        for (ky, vy, sy, ty), (kx, vx, sx, tx) in itertools.product(rows, columns):
            if (vy, vx) != (wy, wx):
                continue
            inside = ky < h and kx < w
            logit = of((qy, qx), (ky, kx) if inside else None, py - sy, px - sx)
            logit = logit + bias[py * win_w + px, sy * win_w + sx]
            if (ty, tx) != (ry, rx):
                logit = logit - 100
            if valid is not None and not (inside and valid[ky, kx]):
                logit = logit - 100
            keys.append((ky, kx) if inside else None)
            logits.append(logit)
        found: dict = {}
        for key, p in zip(keys, torch.stack(logits).softmax(0), strict=True):
            found[key] = found.get(key, 0) + p
        out[qy, qx] = found
    return out


def assert_equals(maps: AttentionMaps, wanted, atol=1e-5):
    heads = maps.weights.shape[1]
    assert sorted(wanted) == list(itertools.product(range(maps.size[0]), range(maps.size[1])))
    received = torch.zeros(maps.size)
    for head in range(heads):
        one = AttentionMaps(maps.weights[:, head : head + 1], maps.places, maps.visible, maps.size, maps.size)
        for (y, x), keys in wanted.items():
            dense = torch.zeros(maps.size)
            for key, p in keys.items():
                if key is not None:
                    dense[key] = p[head]
            assert torch.allclose(one.query(y, x), dense, atol=atol)
            received += dense / heads
    assert torch.allclose(maps.received(), received, atol=1e-4)


SIZES = [(8, 8), (9, 5), (3, 6)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_regular_attention_equals_brute_force(backbone, size, shifted):
    block = backbone.adapted_stages[1].blocks[1 if shifted else 0]  # windows of 4
    x = torch.randn(1, *size, 256)
    found = block.look(x, None, Grid(size), "all")
    own = block.module
    wanted = brute_force(own, own.norm1(x)[0], torch.zeros(16, 16), None, pad_first=False)
    assert_equals(found[0], wanted)
    sums = found[0].weights.sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_task_attention_equals_brute_force(backbone, size, shifted):
    block = backbone.adapted_stages[1].blocks[1 if shifted else 0]
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
@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_reach_is_the_part_of_the_window_that_mixes(backbone, size, shifted):
    block = backbone.adapted_stages[1].blocks[1 if shifted else 0]
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
