"""The adapted model as a whole: shapes, freezing, gradients, folding, padding, ledger."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from vtadapt.errors import ConfigError
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.backbones.block import Grid
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.swin import SwinBackbone
from vtadapt.models.backbones.windows import fit_shift

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


@pytest.fixture
def backbone() -> SwinBackbone:
    return load_backbone(weights="random", seed=3)


def disturb(model: nn.Module) -> None:
    """Move every parameter that starts at zero, so that nothing is hidden by it."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.05 * torch.randn_like(parameter))


CONFIGS = [
    AdapterConfig(),
    AdapterConfig(decoder="swin"),
    AdapterConfig(decoder="swin", decoder_sharing="per_task"),
    AdapterConfig(decoder_sharing="per_task", train_blocks="full"),
    AdapterConfig(train_blocks="all", embedding_dim=9, reduction=2, decoder_width=16),
]


class ModelContract:
    """What every model must do; subclasses give ``make``."""

    def make(self, backbone: Backbone) -> nn.Module:
        raise NotImplementedError

    def again(self) -> Backbone:
        """The backbone of the fixture, made anew."""
        return load_backbone(weights="random", seed=3)

    @pytest.mark.parametrize("size", [(64, 64), (33, 75), (1, 1), (40, 129)])
    def test_logits_have_the_images_size(self, backbone, size):
        model = self.make(backbone).eval()
        with torch.no_grad():
            out = model(torch.rand(2, 3, *size))
        assert {name: tuple(x.shape) for name, x in out.items()} == {n: (2, c, *size) for n, c in CHANNELS.items()}
        assert all(torch.isfinite(x).all() for x in out.values())

    def test_every_trained_parameter_moves_within_three_steps_and_no_frozen_tensor_changes(self, backbone):
        model = self.make(backbone)
        before = copy.deepcopy(model.state_dict())
        frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
        optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        seen: set[str] = set()
        torch.manual_seed(0)
        for _ in range(3):
            optimiser.zero_grad()
            out = model(torch.rand(2, 3, 96, 96))
            # A target, not a sum: after a LayerNorm a sum is constant and its gradient says nothing.
            sum((x - torch.randn_like(x)).square().mean() for x in out.values()).backward()
            seen |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
            optimiser.step()
        assert seen == {n for n, p in model.named_parameters() if p.requires_grad}
        for name, value in model.state_dict().items():
            if name in frozen or name not in dict(model.named_parameters()):
                assert torch.equal(value, before[name]), name

    def test_the_ledger_holds_every_parameter_once(self, backbone):
        model = self.make(backbone)
        listed = [id(p) for _, _, group in model.components() for p in group.parameters]
        assert len(listed) == len(set(listed))
        assert set(listed) == {id(p) for p in model.parameters()}
        trained = sum(g.count for _, _, g in model.components() if g.trained)
        assert trained == sum(p.numel() for p in model.parameters() if p.requires_grad)

    def test_saved_state_restores_the_outputs(self, backbone):
        model = self.make(backbone)
        disturb(model)
        fresh = self.make(self.again())
        fresh.load_state_dict(model.saved_state(), strict=False)
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            wanted, found = model.eval()(image), fresh.eval()(image)
        assert all(torch.equal(wanted[n], found[n]) for n in CHANNELS)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.decoder}-{c.decoder_sharing}-{c.train_blocks}")
class TestAdapted(ModelContract):
    @pytest.fixture(autouse=True)
    def _config(self, config):
        self.config = config

    def make(self, backbone):
        torch.manual_seed(0)
        return AdaptedModel(backbone, CHANNELS, self.config)


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


def test_folded_tasks_equal_separate_ones(backbone):
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig()).eval()
    disturb(model)
    image = torch.rand(2, 3, 64, 64)
    together = model(image)
    for index, name in enumerate(CHANNELS):
        alone = AdaptedModel(backbone, {name: CHANNELS[name]}, AdapterConfig()).eval()
        state = {k: v for k, v in model.state_dict().items() if k in alone.state_dict()}
        state["embedding.weight"] = model.embedding.weight[index : index + 1]
        state["affinity"] = torch.ones(1, 1)
        alone.load_state_dict(state)
        assert torch.allclose(alone(image)[name], together[name], atol=1e-5)


def test_affinity_reaches_the_outputs(backbone):
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig()).eval()
    disturb(model)
    image = torch.rand(1, 3, 64, 64)
    before = model(image)
    model.affinity[0, 1] = 0.7  # semseg helps depth
    after = model(image)
    assert torch.equal(before["semseg"], after["semseg"])
    assert not torch.equal(before["depth"], after["depth"])


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


def test_frozen_backbone_stays_in_eval_mode_and_trunk_has_no_graph(backbone):
    AdaptedModel(backbone, CHANNELS, AdapterConfig()).train()
    assert not backbone.training
    assert not backbone.trunk(torch.rand(1, 3, 64, 64)).tokens.requires_grad


def test_adapted_blocks_follow_the_slides():
    big = load_backbone("swin_small_patch4_window7_224", "random")
    assert big.first_adapted == 14  # 0-based: blocks 15 to 18
    assert [len(s.blocks) for s in big.adapted_stages] == [4, 2]
    assert big.window**3 == 343


@pytest.mark.parametrize("count", [1, 4, 6])
def test_another_number_of_adapted_blocks(backbone, count):
    image = torch.rand(1, 3, 64, 64)
    before = backbone.features(image)
    backbone.adapt_last(count)
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig())
    assert [len(stage.blocks) for stage in backbone.adapted_stages] == [count, 2]
    assert [len(blocks) for blocks in model.adapters.blocks] == [count, 2]
    assert sum(group.count for _, _, group in model.components()) == sum(p.numel() for p in model.parameters())
    trunk = backbone.trunk(image)
    whole = backbone._run([b.module for b in backbone.adapted_stages[0].blocks], trunk.tokens)
    assert torch.allclose(whole, before[-2], atol=1e-5)  # the trunk ends just before them
    assert model(image)["normals"].shape == (1, 3, 64, 64)


@pytest.mark.parametrize("count", [0, 7])
def test_more_adapted_blocks_than_there_are(backbone, count):
    with pytest.raises(ConfigError, match=rf"adapted_blocks = {count}; the last stage but one .* has 1 to 6"):
        backbone.adapt_last(count)


def test_default_embedding_is_the_window_cubed(backbone):
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig())
    assert model.embedding.weight.shape == (3, backbone.window**3)


def test_shared_decoder_does_not_grow_with_tasks(backbone):
    def count(tasks, sharing):
        config = AdapterConfig(decoder_sharing=sharing)
        return sum(p.numel() for p in AdaptedModel(backbone, tasks, config).decoders.parameters())

    one, three = {"a": 1}, CHANNELS
    assert count(one, "shared") == count(three, "shared")
    assert 3 * count(one, "per_task") == count(three, "per_task")


def test_no_task_is_an_error(backbone):
    with pytest.raises(ConfigError, match="at least one"):
        AdaptedModel(backbone, {}, AdapterConfig())


@pytest.mark.parametrize("sharing", ["shared", "per_task"])
def test_asking_for_some_tasks_gives_the_same_as_all(backbone, sharing):
    model = AdaptedModel(backbone, CHANNELS, AdapterConfig(decoder_sharing=sharing)).eval()
    disturb(model)
    image = torch.rand(2, 3, 64, 64)
    whole, some = model(image), model(image, ["normals", "semseg"])
    assert list(some) == ["normals", "semseg"]
    for name, logits in some.items():
        assert torch.allclose(logits, whole[name], atol=1e-5)
