"""STL shares nothing; mtl-cnn shares the encoder, at output stride 16."""

from __future__ import annotations

import pytest
import torch

from tests.models.peers.networks import build_peer
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.peers.base import PeerConfig
from vtadapt.models.peers.decoders import Aspp, AsppDecoder

CHANNELS = {"semseg": 5, "depth": 1, "normals": 3}


@pytest.mark.parametrize("name", ["swin_pico", "resnet_pico"])
def test_stl_gradients_of_one_task_touch_no_other_tasks_network(name):
    model = build_peer("stl", load_backbone(name, "random"), CHANNELS)
    for task in CHANNELS:
        model.zero_grad(set_to_none=True)
        out = model(torch.rand(2, 3, 32, 32))
        (out[task] - torch.randn_like(out[task])).square().mean().backward()
        moved = {n for n, p in model.named_parameters() if p.grad is not None}
        encoder = "backbone." if task == "semseg" else f"copies.{task}."
        own = {n for n, _ in model.named_parameters() if n.startswith((encoder, f"branches.{task}."))}
        assert moved == {n for n in own if model.get_parameter(n).requires_grad}, task


def test_stl_networks_start_from_the_same_encoder_and_hold_their_own_copy():
    model = build_peer("stl", load_backbone("swin_pico", "random"), CHANNELS)
    image = torch.rand(1, 3, 64, 64)
    first = model(image)
    for task in ("depth", "normals"):
        for key, value in model.backbone.state_dict().items():
            other = model.copies[task].state_dict()[key]
            assert torch.equal(value, other)
            assert value.data_ptr() != other.data_ptr()
    for parameter in [*model.copies["depth"].parameters(), *model.branches["depth"].parameters()]:
        parameter.data.add_(0.1)
    second = model(image)
    assert [task for task in CHANNELS if not torch.equal(first[task], second[task])] == ["depth"]


def test_stl_of_one_task_is_a_third_of_three():
    def parameters(channels):
        return sum(p.numel() for p in build_peer("stl", load_backbone("swin_pico", "random"), channels).parameters())

    assert parameters(CHANNELS) == sum(parameters({task: n}) for task, n in CHANNELS.items())


@pytest.mark.parametrize("name", ["resnet_pico", "resnet50"])
@pytest.mark.parametrize("size", [(33, 75), (64, 47)])
def test_mtl_cnn_runs_one_encoder_at_output_stride_16_and_gives_odd_sizes(name, size):
    model = build_peer("mtl-cnn", load_backbone(name, "random"), CHANNELS).eval()
    seen = []
    for module in model.modules():
        if isinstance(module, Aspp):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    runs = []
    model.backbone.net.layer4.register_forward_hook(lambda *_: runs.append(1))
    with torch.no_grad():
        out = model(torch.rand(2, 3, *size))
    assert len(runs) == 1
    h, w = (-(-n // 16) for n in size)
    assert [tuple(x.shape) for x in seen] == [(2, model.backbone.channels[-1], h, w)] * 3
    assert all(torch.equal(x, seen[0]) for x in seen)
    assert {n: tuple(x.shape) for n, x in out.items()} == {n: (2, c, *size) for n, c in CHANNELS.items()}


def test_every_task_of_mtl_cnn_trains_the_encoder_and_only_its_own_head():
    model = build_peer("mtl-cnn", load_backbone("resnet_pico", "random"), CHANNELS)
    out = model(torch.rand(2, 3, 32, 32))
    (out["depth"] - torch.randn_like(out["depth"])).square().mean().backward()
    moved = {
        n.rsplit(".net.")[0].split(".decoder")[0].split(".heads")[0]
        for n, p in model.named_parameters()
        if p.grad is not None
    }
    assert moved == {"backbone", "branches.depth"}


def test_aspp_sees_as_far_as_its_dilations():
    torch.manual_seed(0)
    aspp = Aspp(3, 8, (2, 4))
    # Without the norms and the image's mean, which see everything, what is left is the reach of the convolutions.
    for module in [*aspp.branches, aspp.project]:
        module[1] = torch.nn.Identity()
    aspp.pool = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Hardtanh(0, 0.0 + 1e-9))
    x = torch.rand(1, 3, 15, 15, requires_grad=True)
    aspp(x)[0, :, 7, 7].square().sum().backward()
    reached = {tuple(p) for p in (x.grad[0].abs().sum(0) > 1e-7).nonzero().tolist()}
    rays = {(7 + d * i, 7 + d * j) for d in (2, 4) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert reached == rays


def test_the_decoders_width_and_rates_are_settings():
    model = build_peer(
        "mtl-cnn", load_backbone("resnet_pico", "random"), CHANNELS, PeerConfig(decoder_width=16, rates=(6, 12))
    )
    decoder = model.branches["depth"].decoder
    assert isinstance(decoder, AsppDecoder)
    assert decoder.width == 16
    assert [b[0].dilation[0] for b in decoder.aspp.branches] == [1, 6, 12]
