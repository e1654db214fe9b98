"""Weights in the layouts of their publishers load, give the same features, and are refused where a key does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.models.backbones.layouts import LAYOUTS, as_dinov2, as_dinov3, as_swin, dinov2, dinov3, spread, swin
from vtadapt.errors import ConfigError
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.backbones.weights.publishers import unwrap
from vtadapt.models.backbones.weights.state_dict import load_weights

SIZES = {"dinov2": 518, "dinov2-reg4": 518, "eva02": 56}


@pytest.fixture
def save(tmp_path):
    """Save the content of a checkpoint as .pth, or a flat one as .safetensors."""

    def saved(content: Any, name: str = "w.pth") -> Path:
        path = tmp_path / name
        if name.endswith(".safetensors"):
            save_file({key: value.contiguous() for key, value in content.items()}, path)
        else:
            torch.save(content, path)
        return path

    return saved


@pytest.fixture
def refused(save):
    """The one line that a checkpoint is refused with."""

    def line(net: torch.nn.Module, content: Any) -> str:
        with pytest.raises(ConfigError) as error:
            load_weights(net, save(content))
        assert "\n" not in str(error.value)
        return str(error.value)

    return line


@pytest.mark.parametrize("publisher", LAYOUTS)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_publishers_file_gives_the_features_of_the_network_it_was_made_of(save, publisher, name):
    make, layout = LAYOUTS[publisher]
    net, other = spread(make(), 1), spread(make(), 2)
    content = layout(net)
    load_weights(other, save(unwrap(content) if name.endswith(".safetensors") else content, name))
    image = torch.rand(1, 3, *(2 * [SIZES.get(publisher, 64)]))
    with torch.no_grad():
        found, wanted = other.forward_features(image), net.forward_features(image)
    assert wanted.std() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("publisher", LAYOUTS)
def test_timms_own_keys_load(save, publisher):
    make, _ = LAYOUTS[publisher]
    net, other = spread(make(), 1), spread(make(), 2)
    load_weights(other, save(net.state_dict(), "w.safetensors"))
    for key, value in net.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


@pytest.mark.parametrize("publisher", LAYOUTS)
def test_a_key_less_or_more_or_of_another_shape_is_refused_by_its_name(refused, publisher):
    make, layout = LAYOUTS[publisher]
    net = make()
    state = unwrap(layout(net))
    assert state is not None
    key = next(key for key in state if "blocks.1." in key and key.endswith("proj.weight"))
    less = {k: v for k, v in state.items() if k != key}
    assert f"{key}: found nothing, wanted shape" in refused(net, less)
    assert "blocks.1.extra: found shape (3,), wanted nothing" in refused(
        net, {**state, "blocks.1.extra": torch.ones(3)}
    )
    odd = state[key][:-1]
    assert f"{key}: found shape {tuple(odd.shape)}, wanted shape {tuple(state[key].shape)}" in refused(
        net, {**state, key: odd}
    )


def wrappings(state: dict[str, Any]) -> dict[str, Any]:
    """The ways in which training code wraps a state dict."""
    return {
        "model": {"model": state, "epoch": 3},
        "state_dict": {"state_dict": {f"module.{k}": v for k, v in state.items()}},
        "teacher": {
            "student": {},
            "teacher": {**{f"backbone.{k}": v for k, v in state.items()}, "dino_head.mlp.0.weight": torch.ones(2, 2)},
        },
        "teacher in model": {"model": {"teacher": {f"module.backbone.{k}": v for k, v in state.items()}}},
        "compiled": {f"_orig_mod.{k}": v for k, v in state.items()},
    }


@pytest.mark.parametrize("wrapping", wrappings({}))
def test_what_training_wraps_around_weights_is_taken_off(save, wrapping):
    net, other = spread(dinov2(), 1), spread(dinov2(), 2)
    load_weights(other, save(wrappings(as_dinov2(net))[wrapping]))
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())


def test_training_checkpoints_of_dinov2_have_their_blocks_in_chunks(save):
    net, other = spread(dinov2(), 1), spread(dinov2(), 2)
    load_weights(other, save({k.replace("blocks.", "blocks.0."): v for k, v in as_dinov2(net).items()}))
    assert torch.equal(other.state_dict()["blocks.1.ls2.gamma"], net.state_dict()["blocks.1.ls2.gamma"])


def test_position_embeddings_of_another_grid_are_resampled_but_patches_are_not(save, refused):
    net = spread(dinov2(), 1)
    small = as_dinov2(net)
    grid = torch.full((1, 10 * 10, 24), 0.5)
    small["pos_embed"] = torch.cat([small["pos_embed"][:, :1], grid], 1)
    load_weights(net, save(small))
    assert net.state_dict()["pos_embed"].shape == (1, 37 * 37 + 1, 24)
    torch.testing.assert_close(net.state_dict()["pos_embed"][:, 1:], torch.full((1, 37 * 37, 24), 0.5))
    small["patch_embed.proj.weight"] = torch.rand(24, 3, 16, 16)
    line = refused(net, small)
    assert "patch_embed.proj.weight: found shape (24, 3, 16, 16), wanted shape (24, 3, 14, 14)" in line


def test_registers_do_not_load_into_a_network_without(refused):
    assert "register_tokens: found shape (1, 4, 24), wanted nothing" in refused(dinov2(), as_dinov2(dinov2(4)))
    # Without registers the class token has a position, too.
    assert "pos_embed: found shape (1, 1370, 24), wanted shape (1, 1369, 24)" in refused(dinov2(4), as_dinov2(dinov2()))


def test_biases_that_a_network_of_dinov3_has_no_place_for_must_be_zero(refused):
    line = refused(dinov3(), as_dinov3(spread(dinov3(biases=True))))
    assert "blocks.0.attn.qkv.bias" in line and "_qkvb" in line


def test_a_file_of_the_transformers_library_is_told_apart(refused):
    assert "transformers" in refused(dinov2(), {"embeddings.cls_token": torch.ones(1)})


@pytest.mark.parametrize("content", [{}, {"model": {}}, [torch.ones(1)], {"a": 1}, {"model": {"a": "b"}}, {3: 4}])
def test_what_is_no_state_dict_is_refused(refused, content):
    assert "state dict" in refused(dinov2(), content)


@pytest.mark.parametrize(
    ("name", "where"),  # a .pth is a zip archive, which anything may follow
    [("w.pth", "short"), ("w.pth", "first"), *(("w.safetensors", where) for where in ("short", "long", "first"))],
)
def test_a_file_one_byte_off_is_refused(save, name, where):
    state = unwrap(as_swin(swin()))
    assert state is not None
    path = save(state, name)
    content = path.read_bytes()
    changed = {"short": content[:-1], "long": content + b"x", "first": bytes([content[0] ^ 1]) + content[1:]}[where]
    path.write_bytes(changed)
    with pytest.raises(ConfigError, match=r"w\.(pth|safetensors)"):
        load_weights(swin(), path)


def test_stages_of_blocks_are_no_chunks_of_dinov2(tmp_path):
    """An EfficientNet has ``blocks.1.0.`` too, and a classifier that nothing here reads."""
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = tmp_path / "lite.safetensors"
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
    found = load_backbone("tf_efficientnet_lite0", str(path)).net.state_dict()
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in found.items())
