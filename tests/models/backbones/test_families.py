"""What every family of vision transformers must do, on tiny networks of timm: one contract that all inherit."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import pytest
import timm
import torch
from torch import Tensor

from tests.models.brute_attention import assert_equals, brute_force, cosine, dot_product
from tests.models.model_contract import CHANNELS, ModelContract, disturb
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.attention import TaskAdaptedAttention
from vtadapt.models.backbones.base import Backbone
from vtadapt.models.backbones.block import AdaptedBlock, Grid
from vtadapt.models.backbones.families.table import family_of, wrap
from vtadapt.models.backbones.families.vit import ViTBlock
from vtadapt.models.capture import find_block, regular_attention, task_attention

SIZES = [(8, 8), (9, 5)]


class FamilyContract(ModelContract):
    """Subclasses name the network of timm, what makes it tiny, and the numbers that follow from its shape."""

    name: ClassVar[str]
    tiny: ClassVar[dict[str, Any]]
    strides: ClassVar[tuple[float, ...]]
    blocks: ClassVar[list[str]]
    whole: ClassVar[int]
    """A side of images without any padding, to windows neither: there the adapted blocks mask it, and timm's do not."""

    def again(self) -> Backbone:
        torch.manual_seed(3)
        net = timm.create_model(self.name, num_classes=0, **family_of(self.name).options, **self.tiny)
        torch.manual_seed(4)
        for parameter in net.parameters():  # LayerScale starts near zero, norms at one: nothing shall hide
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        backbone = wrap(self.name, net, "random")
        assert isinstance(backbone, Backbone)
        return backbone.eval()

    @pytest.fixture
    def backbone(self) -> Backbone:
        return self.again()

    def make(self, backbone: Backbone) -> AdaptedModel:
        torch.manual_seed(0)
        config = AdapterConfig(adapter="residual", embedding_dim=6, decoder_width=8)
        return AdaptedModel(backbone, CHANNELS, config)

    def test_what_it_says_of_itself(self, backbone):
        assert backbone.strides == self.strides
        assert [name for stage in backbone.adapted_stages for name in stage.names] == self.blocks
        assert find_block(self.make(backbone), -1)[0] == self.blocks[-1]

    @pytest.mark.parametrize("size", [(64, 64), (33, 75), (1, 1)])
    def test_levels_cover_the_padded_image(self, backbone, size):
        image = torch.rand(2, 3, *size)
        height, width = backbone.prepare(image).shape[-2:]
        assert 0 <= height - size[0] < backbone.stride
        assert 0 <= width - size[1] < backbone.stride
        sides = [(2, round(height / s), round(width / s)) for s in backbone.strides]
        wanted = [(*side, c) for side, c in zip(sides, backbone.channels, strict=True)]
        assert [tuple(x.shape) for x in backbone.features(image)] == wanted
        trunk = backbone.trunk(image)
        assert not trunk.tokens.requires_grad
        assert all(not skip.requires_grad for skip in trunk.skips)

    @torch.no_grad()
    def test_at_step_0_each_block_gives_what_the_frozen_one_gives_bit_for_bit(self, backbone):
        """Through timm's own forward of the whole network, whose blocks are listened to."""
        image = torch.rand(1, 3, self.whole, 2 * self.whole)
        heard: list[Tensor] = []
        blocks = [block for stage in backbone.adapted_stages for block in stage.blocks]
        handles = [b.module.register_forward_hook(lambda _, __, out: heard.append(out)) for b in blocks]
        backbone.features(image)
        for handle in handles:
            handle.remove()
        model = self.make(backbone).eval()
        found: list[Tensor] = []
        adapters = [
            adapter for stage in range(len(model.adapters.blocks)) for adapter in model.adapters.of_stage(stage)
        ]
        for adapter in adapters:
            adapter.register_forward_hook(lambda _, __, out: found.append(out[0]))
        model(image, ["depth"])
        assert len(found) == len(heard) == len(self.blocks)
        for ours, own in zip(found, heard, strict=True):
            assert torch.equal(ours.reshape(own.shape), own)
        disturb(model)
        found.clear()
        model(image, ["depth"])
        assert not torch.allclose(found[-1].reshape(heard[-1].shape), heard[-1], atol=1e-3)

    @torch.no_grad()
    def test_features_are_timms_own(self, backbone):
        image = torch.rand(1, 3, self.whole, self.whole)
        wanted = backbone.net.forward_intermediates(backbone.prepare(image), indices=4, intermediates_only=True)
        found = backbone.plain_features(image)
        for level, own in list(zip(found, wanted, strict=True))[:-1]:  # timm gives the last without its norm
            assert torch.allclose(level.permute(0, 3, 1, 2), own, atol=1e-4)

    def test_all_orders_and_all_that_is_trained_run(self):
        for config in (
            AdapterConfig(adapter="slides", embedding_dim=6, decoder_width=8),
            AdapterConfig(adapter="residual", decoder="swin", train_blocks="all", embedding_dim=6),
        ):
            model = AdaptedModel(self.again(), CHANNELS, config)
            out = model(torch.rand(1, 3, 70, 90))
            sum(x.square().mean() for x in out.values()).backward()
            assert all(x.shape[-2:] == (70, 90) for x in out.values())
            assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)

    def test_more_blocks_are_adapted_on_request(self, backbone):
        depth = len(backbone._cut_blocks())
        backbone.adapt_last(depth)
        assert len(backbone.adapted_stages[0].blocks) == depth
        out = self.make(backbone)(torch.rand(1, 3, 64, 64))
        assert all(torch.isfinite(x).all() for x in out.values())

    @torch.no_grad()
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_captured_attention_equals_brute_force(self, backbone, size):
        block = backbone.adapted_stages[-1].blocks[-1]
        attention = TaskAdaptedAttention(block.window, 3)
        attention.a0.data.normal_()
        attention.film.linear.weight.data.normal_()
        z = torch.randn(2, 3)
        x = self.tokens(backbone, (1, 2), size)
        for t, maps in enumerate(block.look(x, attention.bias(z), Grid(size), "all")):
            assert_equals(maps, self.brute(block, x[0, t], attention.bias(z)[t], torch.ones(size, dtype=torch.bool)))
        own = block.look(x[0, :1], None, Grid(size), "all")
        nothing = torch.zeros_like(attention.bias(z)[0])
        assert_equals(own[0], self.brute(block, x[0, 0], nothing, None))

    @torch.no_grad()
    def test_capture_does_not_change_the_prediction_by_a_bit(self, backbone):
        model = self.make(backbone).eval()
        disturb(model)
        image = torch.rand(1, 3, 70, 90)
        before = model(image)
        logits, maps = task_attention(model, image, -1, head="all", from_stage=True)
        regular = regular_attention(backbone, image, -1)
        assert all(torch.equal(logits[name], before[name]) for name in CHANNELS)
        stride = backbone.adapted_stages[-1].stride
        assert maps["depth"][-1].shown == regular[0].shown == (-(-70 // stride), -(-90 // stride))
        assert float(maps["depth"][-1].query(0, 0).sum()) <= 1 + 1e-5

    def tokens(self, backbone: Backbone, batch: tuple[int, int], size: tuple[int, int]) -> Tensor:
        raise NotImplementedError

    def brute(self, block: AdaptedBlock, x: Tensor, bias: Tensor, valid: Tensor | None) -> Any:
        """``valid``: for task-adapted attention; None for timm's own, which sees its padding."""
        raise NotImplementedError


class WindowFamily(FamilyContract):
    tiny: ClassVar[dict[str, Any]] = {
        "embed_dim": 16,
        "depths": (1, 1, 2, 2),
        "num_heads": (1, 1, 2, 2),
        "window_size": 4,
        "img_size": 128,
    }
    strides = (4, 8, 16, 32)
    whole = 128
    blocks: ClassVar[list[str]] = ["stage 3 block 2", "stage 4 block 1", "stage 4 block 2"]

    def tokens(self, backbone, batch, size):
        return torch.randn(*batch, *size, backbone.channels[-1])


class TestSwin(WindowFamily):
    name = "swin_tiny_patch4_window7_224"

    def brute(self, block, x, bias, valid):
        return brute_force(block.module, block.module.norm1(x), bias, valid, valid is not None, dot_product)


class TestSwinV2(WindowFamily):
    name = "swinv2_tiny_window8_256"

    def brute(self, block, x, bias, valid):
        return brute_force(block.module, x, bias, valid, valid is not None, cosine)


class PlainFamily(FamilyContract):
    tiny: ClassVar[dict[str, Any]] = {"embed_dim": 32, "depth": 4, "num_heads": 2, "img_size": 64}
    strides = (4, 8, 16, 32)
    whole = 64
    blocks: ClassVar[list[str]] = ["block 3", "block 4"]

    def tokens(self, backbone, batch, size):
        return torch.randn(*batch, 1, backbone.net.num_prefix_tokens + size[0] * size[1], backbone.net.embed_dim)

    def brute(self, block, x, bias, valid):  # noqa: ARG002 - nothing is padded
        """Query by query and key by key, the windows of the bias written out."""
        x, prefix = x[0], block.prefix
        h, w = next(size for size in SIZES if prefix + size[0] * size[1] == len(x))
        q, k = queries_and_keys(block, x, Grid((h, w)))
        logits = torch.einsum("ihd,jhd->hij", q, k) / q.shape[-1] ** 0.5
        places = list(itertools.product(range(h), range(w)))
        for (i, (y, c)), (j, (v, u)) in itertools.product(enumerate(places), enumerate(places)):
            if (y // 7, c // 7) == (v // 7, u // 7):
                logits[:, prefix + i, prefix + j] += bias[(y % 7) * 7 + c % 7, (v % 7) * 7 + u % 7]
        p = logits.softmax(-1)[:, prefix:, prefix:]
        return {place: {key: p[:, i, j] for j, key in enumerate(places)} for i, place in enumerate(places)}

    def test_no_token_sees_padding_only(self, backbone):
        trunk = backbone.trunk(torch.rand(1, 3, 33, 75))
        patch = backbone.patch
        assert trunk.grids[0].size == (-(-33 // patch), -(-75 // patch))
        assert trunk.grids[0].valid is None

    def test_the_bias_neither_leaves_nor_reaches_prefix_tokens(self, backbone):
        block = backbone.adapted_stages[0].blocks[0]
        placed = block._placed(torch.ones(1, 49, 49), Grid((9, 5)))[0, 0]
        prefix = backbone.net.num_prefix_tokens
        assert placed.shape == (prefix + 45, prefix + 45)
        assert float(placed[:prefix].sum() + placed[:, :prefix].sum()) == 0
        assert int(placed.sum()) == 35**2 + 10**2  # windows of 7 x 5 and of 2 x 5 tokens


def queries_and_keys(block: ViTBlock, x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """(N, heads, d) each, by the weights of timm's block; rotations are written out."""
    attn = block.module.attn
    y = block.module.norm1(x)
    if attn.qkv is None:
        q, k = attn.q_proj(y), attn.k_proj(y)
    else:
        own = getattr(attn, "q_bias", None)
        q, k, _ = (y @ attn.qkv.weight.T + (0 if attn.qkv.bias is None else attn.qkv.bias)).chunk(3, -1)
        q = q if own is None else q + own
    q, k = (z.view(len(x), attn.num_heads, -1) for z in (q, k))
    q, k = attn.q_norm(q), attn.k_norm(k)
    rope = block.rope(grid)
    if rope is None:
        return q, k
    sine, cosine_ = (part[:, None] for part in rope.chunk(2, -1))
    return tuple(
        torch.cat([z[: block.prefix], turned(z[block.prefix :], sine, cosine_, attn.rotate_half)]) for z in (q, k)
    )


def turned(z: Tensor, sine: Tensor, cosine_: Tensor, half: bool) -> Tensor:
    """Rotate pairs of channels: neighbours, or those half the channels apart."""
    d = z.shape[-1]
    out = torch.empty_like(z)
    for i in range(d // 2):
        a, b = (i, i + d // 2) if half else (2 * i, 2 * i + 1)
        out[..., a] = z[..., a] * cosine_[..., a] - z[..., b] * sine[..., a]
        out[..., b] = z[..., b] * cosine_[..., b] + z[..., a] * sine[..., b]
    return out


class TestDinoV2(PlainFamily):
    name = "vit_small_patch14_dinov2"
    strides = (3.5, 7, 14, 28)
    whole = 56


class TestDinoV2WithRegisters(TestDinoV2):
    name = "vit_small_patch14_reg4_dinov2"


class TestDinoV3(PlainFamily):
    name = "vit_small_patch16_dinov3"


class TestPerceptionEncoder(PlainFamily):
    name = "vit_pe_spatial_small_patch16_512"


class TestEva02(PlainFamily):
    name = "eva02_small_patch14_224"
    strides = (3.5, 7, 14, 28)
    whole = 56


class TestDeit3(PlainFamily):
    name = "deit3_small_patch16_224"
