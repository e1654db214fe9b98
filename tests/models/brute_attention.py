"""Attention of one block written out pixel by pixel, to compare the capture with."""

from __future__ import annotations

import itertools
import math

import torch

from vtadapt.models.attention_maps import AttentionMaps


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
