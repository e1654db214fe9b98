"""The convolutional encoders: timm's own outputs, any size, batch norm in small batches, weights from all sources."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vtadapt.assets.resnet_pico.pretrain import resnet_pico
from vtadapt.assets.swin_pico import pretrain
from vtadapt.errors import ConfigError
from vtadapt.models.backbones.families.cnn import CnnBackbone
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone


def test_names_that_timm_calls_resnets_become_cnns_and_swins_stay_swins():
    assert isinstance(load_backbone("resnet_pico", "random"), CnnBackbone)
    assert isinstance(load_backbone("resnet18.a1_in1k", "random"), CnnBackbone)
    assert isinstance(load_backbone("swin_pico", "random"), SwinBackbone)


@pytest.mark.parametrize("name", ["resnet50", "resnet18"])
def test_levels_are_timms_own_at_output_stride_16(name):
    backbone = load_backbone(name, "random").eval()
    reference = timm.create_model(name, features_only=True, output_stride=16, out_indices=(1, 2, 3, 4)).eval()
    reference.load_state_dict(backbone.net.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = reference(backbone.prepare(image))
    levels = backbone.features(image)
    assert backbone.channels == tuple(reference.feature_info.channels())
    assert backbone.strides == (4, 8, 16, 16)
    assert [level.shape[1:3] for level in levels] == [(16, 24), (8, 12), (4, 6), (4, 6)]
    for level, other in zip(levels, wanted, strict=True):
        assert torch.equal(level.permute(0, 3, 1, 2), other)


def test_any_size_is_padded_to_the_stride_by_the_border():
    backbone = load_backbone("resnet_pico", "random")
    image = torch.rand(2, 3, 33, 75)
    prepared = backbone.prepare(image)
    assert prepared.shape == (2, 3, 48, 80)
    assert torch.equal(prepared[..., 40, 79], prepared[..., 32, 74])
    assert [tuple(x.shape) for x in backbone.features(image)] == [
        (2, 12, 20, 32),
        (2, 6, 10, 64),
        (2, 3, 5, 128),
        (2, 3, 5, 256),
    ]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(prepared[0, :, 5, 6], (image[0, :, 5, 6] - mean) / std, atol=1e-6)


def test_gradients_only_where_asked():
    backbone = load_backbone("resnet_pico", "random")
    assert not any(x.requires_grad for x in backbone.features(torch.rand(1, 3, 32, 32)))
    assert all(x.requires_grad for x in backbone.features(torch.rand(1, 3, 32, 32), grad=True))


def test_the_small_cnn_is_as_large_as_the_small_swin():
    cnn, swin = (sum(p.numel() for p in load_backbone(n, "random").parameters()) for n in ("resnet_pico", "swin_pico"))
    assert abs(cnn / swin - 1) < 0.02


def test_the_small_cnn_does_not_depend_on_the_batch_nor_on_the_mode():
    backbone = load_backbone("resnet_pico", "random", seed=1)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in backbone.modules())
    images = torch.rand(3, 3, 64, 64)
    together = backbone.train().features(images)
    for level, alone in zip(together, backbone.eval().features(images[1:2]), strict=True):
        assert torch.allclose(level[1:2], alone, atol=1e-5)


def test_batch_norm_keeps_pretrained_statistics_in_training(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(timm.create_model("resnet18").state_dict(), path)  # with its head, as published files have
    for weights, kept in ((str(path), True), ("random", False)):
        backbone = load_backbone("resnet18", weights).train()
        before = backbone.net.bn1.running_mean.clone()
        backbone.features(torch.rand(2, 3, 32, 32))
        assert torch.equal(before, backbone.net.bn1.running_mean) == kept, weights
        assert backbone.net.bn1.weight.requires_grad


def test_random_weights_depend_on_the_seed_only():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    a, b, c = (load_backbone("resnet_pico", "random", seed=s) for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert a.digest() == b.digest() != c.digest()


def test_weights_from_a_file_of_half_precision(tmp_path):
    path = tmp_path / "w.safetensors"
    source = load_backbone("resnet_pico", "random", seed=4)
    save_file({k: v.half() for k, v in source.net.state_dict().items()}, path)
    loaded = load_backbone("resnet_pico", str(path))
    for key, value in loaded.net.state_dict().items():
        assert torch.equal(value, source.net.state_dict()[key].half().float()), key


def test_weights_of_another_resnet_name_the_key(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    with pytest.raises(ConfigError, match=r"do not fit the backbone: \w+\.\S+: found"):
        load_backbone("resnet_pico", str(path))


def test_both_small_encoders_are_pretrained_by_the_same_pretexts():
    image, boxes = torch.rand(2, 3, 128, 128), torch.tensor([[0.0, 10, 10, 60, 90], [1.0, 0, 0, 128, 128]])
    for make in (resnet_pico, pretrain.swin_pico):
        model = pretrain.Pretext(make())
        dense, instance, kind = model(image, boxes)
        assert (dense.shape, instance.shape, len(kind)) == ((2, 6, 128, 128), (2, 16, 32, 32), 2)
        target = torch.randn_like(dense)
        ((dense - target).square().mean() + instance.square().mean() + kind.square().mean()).backward()
        left_out = {f"net.{n}" for n, _ in model.backbone.net.named_parameters() if n.startswith("norm.")}
        assert {n for n, p in model.backbone.named_parameters() if p.grad is None} == left_out


def test_the_pretraining_script_runs_and_writes_what_loads(tmp_path, monkeypatch):
    cache, random = tmp_path / "cache", np.random.default_rng(0)
    cache.mkdir()
    for key, dtype, channels in (
        ("image", np.uint8, (3,)),
        ("albedo", np.uint8, (3,)),
        ("shading", np.float16, ()),
        ("reshading", np.float16, ()),
        ("height", np.float16, ()),
        ("instance", np.uint16, ()),
        ("kind", np.uint8, ()),
    ):
        np.save(cache / f"{key}.npy", random.integers(0, 2, (4, 128, 128, *channels)).astype(dtype))
    (cache / "done").write_text("4")
    options = {"images": 4, "batch": 4, "epochs": 1, "ranks": 1, "port": 29679, "cache": cache, "out": tmp_path / "out"}
    monkeypatch.setattr(sys, "argv", ["pretrain", *(str(x) for k, v in options.items() for x in (f"--{k}", v))])
    monkeypatch.setattr(pretrain.mp, "spawn", lambda run, args, nprocs: [run(rank, *args) for rank in range(nprocs)])
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that what the script sets ends with this test
    pretrain.main(resnet_pico, "unused")
    assert (
        load_file(tmp_path / "out" / "model.safetensors").keys()
        == load_backbone("resnet_pico", "random").net.state_dict().keys()
    )
    assert json.loads((tmp_path / "out" / "training.json").read_text())["settings"]["images"] == 4
    load_backbone("resnet_pico", str(tmp_path / "out" / "model.safetensors"))
