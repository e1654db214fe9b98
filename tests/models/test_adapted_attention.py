"""Task-adapted attention in Swin's windows: without its bias timm's to the bit, with it the formula written out."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.models.model_contract import CHANNELS, disturb
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.backbones.block import Grid
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.families.windows import MASKED, fit_shift
from vtadapt.models.backbones.load import load_backbone


@pytest.fixture
def backbone() -> SwinBackbone:
    return load_backbone(weights="random", seed=3)


def test_attention_without_bias_is_timms(backbone):
    for stage in backbone.adapted_stages:
        for block in stage.blocks:
            attention = TaskAdaptedAttention(block.window, 4)
            window = block.window[0]
            for size in ((window, window), (3 * window, 2 * window)):
                fit_shift(block.module, size)
                x = torch.randn(2, *size, stage.dim)
                tasks = x[:, None].expand(-1, 3, -1, -1, -1)
                found = block.windowed(tasks, attention.bias(torch.randn(3, 4)), Grid(size))
                wanted = block.module._attn(x)
                for t in range(3):
                    assert torch.allclose(found[:, t], wanted, atol=1e-6, rtol=1e-5)


def test_attention_without_bias_equals_timms_window_attention_bit_for_bit(backbone):
    block = backbone.adapted_stages[0].blocks[0].module
    attention = TaskAdaptedAttention(block.window_size, 4)
    x = torch.randn(6, 64, 128)
    zero = attention.bias(torch.randn(1, 4))
    assert torch.equal(zero, torch.zeros(1, 64, 64))
    assert torch.equal(block.attn(x, mask=zero), block.attn(x))


def brute_force_attention(block, x, bias, valid):
    """Attention of one image pixel by pixel, with the shift and padding rules written out: x (H, W, C)."""
    h, w, c = x.shape
    win_h, win_w = block.window_size
    shift_h, shift_w = block.shift_size
    heads, dim = block.attn.num_heads, c // block.attn.num_heads
    tall, wide = -(-h // win_h) * win_h, -(-w // win_w) * win_w
    qkv = block.attn.qkv(x).view(h, w, 3, heads, dim)
    padding = block.attn.qkv(torch.zeros(c)).view(3, heads, dim)
    table = block.attn.relative_position_bias_table

    def place(i, size, window, shift):  # window number, position inside, region after the cyclic shift
        j = (i - shift) % size
        region = 0 if j < size - window else (1 if j < size - shift or shift == 0 else 2)
        return j // window, j % window, region

    out = torch.zeros(h, w, heads * dim)
    for y, xx in itertools.product(range(h), range(w)):
        wy, py, ry = place(y, tall, win_h, shift_h)
        wx, px, rx = place(xx, wide, win_w, shift_w)
        logits, values = [], []
        for ky, kx in itertools.product(range(tall), range(wide)):
            vy, qy, sy = place(ky, tall, win_h, shift_h)
            vx, qx, sx = place(kx, wide, win_w, shift_w)
            if (vy, vx) != (wy, wx):
                continue
            inside = ky < h and kx < w
            k = qkv[ky, kx, 1] if inside else padding[1]
            logit = (qkv[y, xx, 0] * k).sum(-1) * dim**-0.5
            logit = logit + table[(py - qy + win_h - 1) * (2 * win_w - 1) + px - qx + win_w - 1]
            logit = logit + bias[py * win_w + px, qy * win_w + qx]
            if any(block.shift_size) and (sy, sx) != (ry, rx):
                logit = logit - 100
            if not (inside and valid[ky, kx]):
                logit = logit - 100
            logits.append(logit)
            values.append(qkv[ky, kx, 2] if inside else padding[2])
        attention = torch.stack(logits).softmax(0)  # (keys, heads)
        out[y, xx] = (attention[..., None] * torch.stack(values)).sum(0).flatten()
    return block.attn.proj(out)


@pytest.mark.parametrize("size", [(8, 8), (9, 5), (4, 11)])
@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_attention_equals_brute_force_with_shift_and_padding(backbone, size, shifted):
    block = backbone.adapted_stages[1].blocks[1 if shifted else 0]  # windows of 4
    attention = TaskAdaptedAttention(block.window, 3)
    disturb(attention)
    attention.film.linear.weight.data.mul_(20)
    block.module.attn.relative_position_bias_table.data.normal_()
    x, z = torch.randn(1, 2, *size, 256), torch.randn(2, 3)
    valid = torch.ones(size, dtype=torch.bool)
    valid[-1] = False
    found = block.windowed(x, attention.bias(z), Grid(size, valid))
    for t in range(2):
        wanted = brute_force_attention(block.module, x[0, t], attention.bias(z)[t], valid)
        assert torch.allclose(found[0, t], wanted, atol=1e-5)
    assert not torch.allclose(found[0, 0], found[0, 1], atol=1e-3)


def test_padding_does_not_leak_from_the_border_into_the_adapted_blocks(backbone):
    """What the padded tokens hold must not change the valid ones."""
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig()).eval()
    disturb(model)
    trunk = backbone.trunk(torch.rand(1, 3, 70, 100))
    z = model.embedding(model.affinity)
    x = trunk.tokens[:, None].expand(-1, 3, -1, -1, -1).clone()
    grid = trunk.grids[0]
    assert grid.valid is not None
    changed = x.clone()
    changed[:, :, ~grid.valid] = 5.0
    first = model.adapters.blocks[0][0]
    block = backbone.adapted_stages[0].blocks[0]
    a, _ = first(block, x, None, z, grid)
    b, _ = first(block, changed, None, z, grid)
    assert torch.allclose(a[:, :, grid.valid], b[:, :, grid.valid], atol=1e-6)


@torch.no_grad()
def test_keys_beyond_a_shifted_window_have_no_denormal_probabilities():
    """timm's own mask leaves them, and products with denormal numbers are slow; what the block computes is the same."""
    backbone = load_backbone("swin_pico", "random", seed=3)
    block = backbone.adapted_stages[0].blocks[1].module
    fit_shift(block, (16, 16))
    assert any(block.shift_size)
    x, heard = torch.randn(1, 16, 16, 128), []
    handle = block.attn.attn_drop.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    found = block(x)
    del block.get_attn_mask  # timm's own again
    wanted = block(x)
    handle.remove()
    assert torch.equal(found, wanted)
    ours, timms = ((p > 0) & (p < torch.finfo(p.dtype).tiny) for p in heard)
    assert timms.any()
    assert not ours.any()


def test_a_mask_is_made_once_for_each_size(backbone):
    block = backbone.adapted_stages[0].blocks[1].module
    fit_shift(block, (16, 16))
    first = block.get_attn_mask(torch.zeros(1, 16, 16, 4))
    assert block.get_attn_mask(torch.ones(2, 16, 16, 4)) is first
    assert first.unique().tolist() == [MASKED, 0]
    assert block.get_attn_mask(torch.zeros(1, 16, 24, 4)).shape == (6, 64, 64)
    assert block.get_attn_mask(torch.zeros(1, 16, 16, 4, dtype=torch.float64)).dtype == torch.float64
    fit_shift(block, (8, 8))
    assert block.get_attn_mask(torch.zeros(1, 8, 8, 4)) is None
