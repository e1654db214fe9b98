"""Where backbones and their weights come from."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from vtadapt.errors import ConfigError
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.weights.state_dict import load_weights


def test_random_weights_depend_on_the_seed_only():
    torch.manual_seed(5)
    a = load_backbone(weights="random", seed=1)
    state = torch.get_rng_state()
    b = load_backbone(weights="random", seed=1)
    assert torch.equal(state, torch.get_rng_state())  # the caller's generator is untouched
    assert a.digest() == b.digest()
    assert a.digest() != load_backbone(weights="random", seed=2).digest()


def test_trunk_is_timms_own_forward():
    backbone = load_backbone("swin_pico", "random")
    image = torch.rand(2, 3, 128, 128)
    features = backbone.net.forward_intermediates(backbone.prepare(image), intermediates_only=True)
    trunk = backbone.trunk(image)
    for skip, wanted in zip(trunk.skips, features, strict=False):
        assert torch.allclose(skip.permute(0, 3, 1, 2), wanted, atol=1e-5)
    for level, wanted in zip(backbone.features(image), features, strict=True):
        assert torch.allclose(level.permute(0, 3, 1, 2), wanted, atol=1e-5)
    x = trunk.tokens
    for block in backbone.adapted_stages[0].blocks:
        x = block.module(x)
    assert torch.allclose(x.permute(0, 3, 1, 2), features[2], atol=1e-5)


@pytest.mark.parametrize("kind", ["safetensors", "pth", "wrapped"])
def test_weights_from_a_file_in_timms_format(tmp_path, kind):
    name = "swin_tiny_patch4_window7_224"
    net = timm.create_model(name, pretrained=False)  # with its classification head, as published files have
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(net.state_dict(), path)
    else:
        torch.save({"model": net.state_dict()} if kind == "wrapped" else net.state_dict(), path)
    backbone = load_backbone(name, str(path))
    assert torch.equal(backbone.net.layers[3].blocks[1].attn.qkv.weight, net.layers[3].blocks[1].attn.qkv.weight)


SAYS = {"auto": "--weights", "timm": "bundled", "/no/such.safetensors": "no weights at"}
WITHOUT = [(name, "auto") for name in ("swin_tiny_patch4_window7_224", "resnet18")]
WITHOUT += [(name, where) for name in ("swin_pico", "resnet_pico") for where in ("timm", "/no/such.safetensors")]


@pytest.mark.parametrize(
    ("name", "weights", "says"),
    [("swin_pica", "auto", "swin_pico"), ("resnet_pica", "random", "resnet_pico")]
    + [("mixer_s16_224", "random", "images of any size")]
    + [(name, weights, SAYS[weights]) for name, weights in WITHOUT],
)
def test_wrong_names_and_weights_are_told_in_one_line(name, weights, says):
    with pytest.raises(ConfigError, match=says) as error:
        load_backbone(name, weights)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_size_names_the_key(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(load_backbone(weights="random").net.state_dict(), path)
    net = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, num_classes=0, strict_img_size=False)
    with pytest.raises(ConfigError, match="patch_embed|layers"):
        load_weights(net, path)


def test_a_checkpoint_with_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    path = tmp_path / "w.pth"
    torch.save({"model": Evil()}, path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_backbone(weights=str(path))


def test_a_broken_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="cannot read"):
        load_backbone(weights=str(path))


def test_larger_images_shift_the_windows_of_one_window_stages():
    backbone = load_backbone(weights="random")
    block = backbone.net.layers[2].blocks[1]
    backbone.trunk(torch.rand(1, 3, 128, 128))
    assert block.shift_size == (0, 0)
    backbone.trunk(torch.rand(1, 3, 256, 128))
    assert block.shift_size == (4, 0)


def test_any_size_is_padded_and_the_padding_is_known():
    backbone = load_backbone(weights="random")
    assert isinstance(backbone, SwinBackbone)
    trunk = backbone.trunk(torch.rand(1, 3, 33, 100))
    assert trunk.tokens.shape[1:3] == (4, 8)
    first, last = trunk.grids
    assert first.valid is not None
    assert (first.size, int(first.valid.sum())) == ((4, 8), 3 * 7)
    assert (last.size, last.valid) == ((2, 4), None)  # the last of them see a row or more of the image
    assert [grid.valid for grid in backbone.trunk(torch.rand(1, 3, 64, 96)).grids] == [None, None]


def test_weights_of_a_deeper_swin_are_refused_by_key(tmp_path):
    path = tmp_path / "w.safetensors"
    deeper = timm.create_model("swin_small_patch4_window7_224", pretrained=False, num_classes=0)
    save_file(deeper.state_dict(), path)
    with pytest.raises(ConfigError, match=r"layers.2.blocks.\d+.*do not fit|do not fit.*layers.2.blocks"):
        load_backbone("swin_tiny_patch4_window7_224", str(path))


def test_a_timm_name_may_carry_the_tag_of_its_weights():
    backbone = load_backbone("swin_tiny_patch4_window7_224.ms_in1k", "random")
    assert backbone.name == "swin_tiny_patch4_window7_224.ms_in1k"


def test_the_pyramid_of_a_plain_transformer_depends_on_the_seed_only():
    pyramids = []
    for outside, seed in ((5, 1), (6, 1), (5, 2)):
        torch.manual_seed(outside)
        state = torch.get_rng_state()
        backbone = load_backbone("vit_tiny_patch16_224", "random", seed=seed)
        assert torch.equal(state, torch.get_rng_state())
        pyramids.append(backbone.pyramid.finest.linear.weight)
    assert torch.equal(pyramids[0], pyramids[1])
    assert not torch.equal(pyramids[0], pyramids[2])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("beit_base_patch16_224", "images of any size"),
        ("vit_small_r26_s32_224", "wanted plain patches"),
        ("vit_base_patch16_plus_clip_240x", "unknown backbone"),
        ("vit_tiny_patch16_22", "vit_tiny_patch16_224"),
    ],
)
def test_encoders_that_cannot_be_used_are_told_in_one_line(name, says):
    with pytest.raises(ConfigError, match=says) as error:
        load_backbone(name, "random")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["convnext_atto", "efficientnet_b0"])
def test_other_encoders_give_their_last_four_levels(name):
    backbone = load_backbone(name, "random").eval()
    levels = backbone.features(torch.rand(1, 3, 70, 90))
    assert backbone.strides == (4, 8, 16, 32)
    assert [tuple(x.shape) for x in levels] == [
        (1, 96 // s, 96 // s, c) for s, c in zip((4, 8, 16, 32), backbone.channels, strict=True)
    ]
    own = backbone.net.forward_features(backbone.prepare(torch.zeros(1, 3, 96, 96)))
    assert own.shape[-1] == levels[-1].shape[1]
