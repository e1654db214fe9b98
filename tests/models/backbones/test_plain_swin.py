"""The Swin without timm gives what timm's gives, to the bit: the same weights, features, gradients and attention."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.bundled import OLD_SWIN, build_pico, build_plain, config_of, load_bundled
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.plain.swin import PatchMerging, PlainSwin, join, partition
from vtadapt.models.backbones.weights.state_dict import IMAGENET_MEAN, IMAGENET_STD
from vtadapt.models.capture import regular_attention

# Whole windows; several of them, shifted; all stages padded; higher than wide, one stage shifted one way only.
SIZES = [(128, 128), (160, 224), (105, 157), (256, 64)]


@pytest.fixture(scope="module")
def theirs() -> SwinBackbone:
    net = build_pico(config_of(OLD_SWIN), "auto")
    load_bundled(OLD_SWIN, net)
    return SwinBackbone(OLD_SWIN, net, IMAGENET_MEAN, IMAGENET_STD).eval()


@pytest.fixture(scope="module")
def ours() -> SwinBackbone:
    backbone = load_backbone(OLD_SWIN)
    assert isinstance(backbone, SwinBackbone)
    assert isinstance(backbone.net, PlainSwin)
    return backbone.eval()


def test_the_weights_are_called_and_ordered_as_timms(ours, theirs):
    assert [*ours.net.state_dict()] == [*theirs.net.state_dict()]
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert ours.digest() == theirs.digest()
    assert (ours.channels, ours.strides, ours.window) == (theirs.channels, theirs.strides, theirs.window)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_are_timms_to_the_bit(ours, theirs, size):
    image = torch.rand(2, 3, *size)
    for found, wanted in zip(ours.features(image), theirs.features(image), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("order", ["slides", "residual"])
def test_gradients_are_timms_to_the_bit(theirs, order):
    image, found = torch.rand(1, 3, 96, 160), []
    for backbone in (load_backbone(OLD_SWIN), copy.deepcopy(theirs)):
        torch.manual_seed(0)
        model = AdaptedModel(backbone, {"a": 3, "b": 1}, AdapterConfig(adapter=order, train_blocks="all"))
        sum(x.square().mean() for x in model(image).values()).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    ours, wanted = found
    assert ours.keys() == wanted.keys()
    assert "backbone.net.patch_embed.proj.weight" in ours
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("order", ["slides", "residual"])
def test_adapted_blocks_are_timms_to_the_bit(ours, theirs, order):
    image, found = torch.rand(2, 3, 72, 200), []
    for backbone in (ours, theirs):
        torch.manual_seed(0)
        model = AdaptedModel(backbone, {"a": 3, "b": 1}, AdapterConfig(adapter=order)).eval()
        for parameter in model.adapters.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        with torch.no_grad():
            found.append(model(image))
    assert all(torch.equal(found[0][name], found[1][name]) for name in ("a", "b"))


@pytest.mark.parametrize("block", range(3))
def test_attention_is_timms_to_the_bit(ours, theirs, block):
    image = torch.rand(1, 3, 105, 157)
    one, other = (regular_attention(backbone, image, block)[0] for backbone in (ours, theirs))
    assert torch.equal(one.weights, other.weights)
    assert torch.equal(one.visible, other.visible)


def test_patch_merging_draws_and_computes_as_timms():
    from timm.models.swin_transformer import PatchMerging as Timms

    merged: list[Tensor] = []
    for kind in (PatchMerging, Timms):
        torch.manual_seed(0)
        merged.append(kind(8, 16)(torch.arange(2 * 5 * 7 * 8.0).view(2, 5, 7, 8)))
    assert torch.equal(*merged)
    assert merged[0].shape == (2, 3, 4, 16)


def test_windows_are_cut_row_by_row_and_joined_again():
    x = torch.arange(2 * 4 * 6).view(2, 4, 6, 1)
    windows = partition(x, (2, 3))
    assert windows.shape == (8, 2, 3, 1)
    assert windows[1, :, :, 0].tolist() == [[3, 4, 5], [9, 10, 11]]
    assert torch.equal(join(windows, (4, 6)), x)


def test_loading_leaves_the_callers_generator_alone():
    before = torch.get_rng_state()
    load_backbone(OLD_SWIN)
    assert torch.equal(before, torch.get_rng_state())
    assert build_plain(OLD_SWIN).training
