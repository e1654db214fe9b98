"""Heads: sizes, where they start, what each pixel depends on, and which pattern a token's grid leaves in a drawing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.model_contract import ConfiguredContract, disturb
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.decoder import SwinDecoder
from vtadapt.models.heads.convex import ConvexHead, ConvexHeads, bilinear_weights
from vtadapt.models.heads.make import HEADS, make_heads
from vtadapt.models.heads.overlap import OverlapHead
from vtadapt.models.heads.stem import StemHeads
from vtadapt.models.heads.subpixel import SubpixelHeads

OTHERS = [kind for kind in HEADS if kind != "subpixel"]
WIDTH = 24


@pytest.fixture
def backbone():
    return load_backbone(weights="random", seed=3)


@pytest.mark.parametrize("config", [AdapterConfig(head=kind) for kind in OTHERS], ids=OTHERS)
class TestHeadsInTheModel(ConfiguredContract):
    network = AdaptedModel

    def test_what_another_task_is_conditioned_on_is_drawn_the_same_way(self, backbone):
        """TROA's u[s|s] is the prediction of s, the stem's view of the image included."""
        model = self.make(backbone).eval()
        disturb(model)
        image = torch.rand(1, 3, 40, 56)
        with torch.no_grad():
            crossed, _ = model.cross(backbone.trunk(image), "depth", ["depth"])
            assert torch.allclose(crossed["depth"], model(image)["depth"], atol=1e-5)


def drawn(kind: str, x: Tensor, scale: int = 4, image: Tensor | None = None) -> Tensor:
    torch.manual_seed(1)
    heads = make_heads(kind, WIDTH, {"a": 3}, scale)
    disturb(heads)
    image = torch.zeros(1, 3, scale * x.shape[-2], scale * x.shape[-1]) if image is None else image
    with torch.no_grad():
        return heads(x[:, None], ["a"], image, (image.shape[-2], image.shape[-1]))["a"]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("scale", [2, 4, 7, 8])
def test_any_number_of_pixels_a_token(kind, scale):
    assert drawn(kind, torch.randn(2, WIDTH, 3, 5), scale).shape == (2, 3, 3 * scale, 5 * scale)


@pytest.mark.parametrize("kind", HEADS)
def test_a_fresh_head_says_little_and_the_same_for_equal_tokens(kind):
    heads = make_heads(kind, WIDTH, {"a": 3}, 4)
    with torch.no_grad():
        out = heads(torch.ones(1, 1, WIDTH, 6, 6), ["a"], torch.zeros(1, 3, 24, 24), (24, 24))["a"]
    assert out.abs().max() < 0.5
    assert torch.allclose(out[..., 8:16, 8:16], out[..., 8:9, 8:9].expand(-1, -1, 8, 8), atol=1e-5)


def test_a_decoder_that_draws_every_pixel_has_one_layer_after_it():
    for kind in HEADS:
        assert isinstance(make_heads(kind, WIDTH, {"a": 2}, 1), SubpixelHeads)


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_the_subpixel_head_is_a_convolution_and_a_pixel_shuffle(scale, last):
    heads = make_heads("subpixel", WIDTH, {"a": 3, "b": 2}, scale)
    disturb(heads)
    x = torch.randn(2, 2, 5, 7, WIDTH).movedim(-1, 2) if last else torch.randn(2, 2, WIDTH, 5, 7)
    x.requires_grad_()
    size = (5 * scale, 7 * scale)
    found = heads(x, ["b", "a"], torch.zeros(2, 3, *size), size)
    for index, name in enumerate(("b", "a")):
        layer = heads.heads[name]
        wanted = F.pixel_shuffle(F.conv2d(x[:, index], layer.weight, layer.bias), scale)
        assert torch.allclose(found[name], wanted, atol=1e-6)
        assert found[name].is_contiguous()
        inputs = (x, layer.weight, layer.bias)
        target = torch.randn_like(wanted)
        ours, theirs = (torch.autograd.grad((y * target).sum(), inputs) for y in (found[name], wanted))
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-4)


def test_expanding_each_image_before_its_head_is_expanding_all():
    torch.manual_seed(0)
    decoder, channels = SwinDecoder((8, 16), 4), {"a": 3, "b": 2}
    heads = make_heads("subpixel", decoder.width, channels, decoder.scale)
    disturb(heads)
    features, skips, image = [torch.randn(2, 2, 4, 6, 16)], (torch.randn(2, 8, 12, 8),), torch.zeros(2, 3, 32, 48)
    wanted = heads(decoder(features, skips), ["a", "b"], image, (30, 41))
    found = heads(decoder.tokens(features, skips), ["a", "b"], image, (30, 41), [decoder.last] * 2)
    for name in channels:
        assert torch.allclose(found[name], wanted[name], atol=1e-5)
    grads = [torch.autograd.grad(sum(x.square().sum() for x in y.values()), list(decoder.parameters()))
             for y in (found, wanted)]  # fmt: skip
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(*grads, strict=True))


def test_the_names_of_old_runs_weights():
    state = make_heads("subpixel", WIDTH, {"a": 2}, 4).state_dict()
    assert {key: tuple(x.shape) for key, x in state.items()} == {
        "heads.a.weight": (32, WIDTH, 1, 1),
        "heads.a.bias": (32,),
    }


def test_convex_weights_begin_as_bilinear_interpolation():
    weights = bilinear_weights(4)
    assert torch.allclose(weights.sum(0), torch.ones(16))
    values = torch.randn(1, 1, 5, 6)
    head = ConvexHead(1, 1, 4)
    head.values.weight.data.fill_(1)
    with torch.no_grad():
        found = head(values)
    exact = F.interpolate(values, scale_factor=4, mode="bilinear", align_corners=False)
    spread = float(values.max() - values.min())
    # FLOOR for what should be zero, in each of two directions: at most so much of the nine's spread.
    assert (found - exact).abs().max() < 2 * 0.02 * spread
    assert (found - exact).abs().mean() > 0


@pytest.mark.parametrize("scale", [2, 3, 4, 7])
def test_overlap_begins_as_bilinear_interpolation_exactly(scale):
    head = OverlapHead(WIDTH, 2, scale)
    x = torch.randn(2, WIDTH, 5, 6)
    with torch.no_grad():
        coarse = torch.einsum("bchw,cn->bnhw", x, head.weight[:, :, 0, 0])
        wanted = F.interpolate(coarse, scale_factor=scale, mode="bilinear", align_corners=False)
        assert torch.allclose(head(x), wanted, atol=1e-6)


def test_overlap_blends_what_four_tokens_say_of_a_pixel():
    head = OverlapHead(1, 1, 4)
    head.weight.data.normal_()
    x = torch.randn(1, 1, 4, 4)
    with torch.no_grad():
        out = head(x)[0, 0]
    # Pixel (6, 9): its centre lies at 1.125 and 1.875 tokens from the first token's centre.
    own, hand = head.weight.data[0, 0], 0.0
    for row, down in ((1, 0.875), (2, 0.125)):
        for column, across in ((1, 0.125), (2, 0.875)):
            said = own[6 - (4 * row - 2), 9 - (4 * column - 2)]
            hand += float(down * across * said * x[0, 0, row, column])
    assert float(out[6, 9]) == pytest.approx(hand, abs=1e-6)


def test_convex_stays_between_the_nine_tokens_around():
    x = torch.randn(1, WIDTH, 6, 7)
    heads = ConvexHeads(WIDTH, {"a": 1}, 4)
    heads.heads["a"].weights.weight.data.normal_()
    with torch.no_grad():
        values = heads.heads["a"].values(x)
        out = heads(x[:, None], ["a"], torch.zeros(1, 3, 24, 28), (24, 28))["a"]
    around = F.pad(values, (1, 1, 1, 1), mode="replicate")
    for bound, sign in ((F.max_pool2d(around, 3, 1), 1), (F.max_pool2d(-around, 3, 1), -1)):
        each = bound.repeat_interleave(4, 2).repeat_interleave(4, 3)
        assert (sign * out <= each + 1e-6).all()
    i, j, p, q = 2, 3, 1, 2  # one pixel by hand
    weights = heads.heads["a"].weights(x)[0, :, i, j].view(9, 16)[:, 4 * p + q].softmax(0)
    hand = (weights * around[0, 0, i : i + 3, j : j + 3].flatten()).sum()
    assert torch.allclose(out[0, 0, 4 * i + p, 4 * j + q], hand, atol=1e-6)


def test_the_stem_sees_five_pixels_and_moves_with_the_image():
    image = torch.zeros(1, 3, 24, 24)
    image[..., 11, 13] = 1
    x = torch.randn(1, WIDTH, 1, 1).expand(-1, -1, 6, 6)
    plain, spotted = drawn("stem", x), drawn("stem", x, image=image)
    changed = (plain != spotted).any(1)[0].nonzero()
    assert changed.min(0).values.tolist() == [9, 11]
    assert changed.max(0).values.tolist() == [13, 15]
    moved = drawn("stem", x, image=image.roll((1, 2), (2, 3)))
    assert torch.allclose(moved[..., 10:15, 13:18], spotted[..., 9:14, 11:16], atol=1e-6)


def test_the_stem_runs_once_for_all_tasks():
    heads = StemHeads(WIDTH, {"a": 1, "b": 2}, 4)
    seen: list[tuple[int, ...]] = []
    heads.stem.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape)))
    out = heads(torch.randn(2, 2, WIDTH, 4, 4), ["b", "a"], torch.rand(2, 3, 16, 16), (15, 16))
    assert {name: tuple(v.shape) for name, v in out.items()} == {"b": (2, 2, 15, 16), "a": (2, 1, 15, 16)}
    assert seen == [(2, 16, 16, 16)]


def test_a_head_of_doublings_reaches_beyond_its_token_and_the_sub_pixel_head_does_not():
    x = torch.zeros(1, WIDTH, 7, 7)
    y = x.clone()
    y[..., 3, 3] = 1
    reach = {}
    for kind in HEADS:
        changed = (drawn(kind, x) != drawn(kind, y)).any(1)[0].nonzero()
        reach[kind] = (int(changed.min()), int(changed.max()))
    assert reach["subpixel"] == (12, 15)
    assert reach["overlap"] == (10, 17)
    assert reach["convex"] == (8, 19)
    assert reach["stem"] == (10, 17)
    assert reach["x2"][0] < 10
    assert reach["x2"][1] > 17
