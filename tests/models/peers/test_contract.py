"""What every peer must do: the contract of all models, and that of peers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.models.model_contract import CHANNELS, ModelContract
from tests.models.peers.networks import build_peer
from vtadapt.errors import ConfigError
from vtadapt.models.backbones.families.cnn import CnnBackbone
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.peers.base import Peer, PeerConfig
from vtadapt.workflows.run.methods import METHODS

OWN = {"stl": "swin_pico", "mult": "swin_pico", "mtl-cnn": "resnet_pico", "xtam": "resnet_pico"}


def make(method: str, config: PeerConfig | None = None, *, seed: int = 0, name: str = "") -> Peer:
    torch.manual_seed(seed)
    return build_peer(method, load_backbone(name or OWN[method], "random", seed=3), CHANNELS, config)


@pytest.mark.parametrize("method", [*OWN])
class TestPeers(ModelContract):
    @pytest.fixture(autouse=True)
    def _method(self, method: str) -> None:
        self.method = method
        self.config = PeerConfig(reference="depth") if method == "mult" else PeerConfig()

    @pytest.fixture
    def backbone(self, method: str) -> SwinBackbone | CnnBackbone:
        return load_backbone(OWN[method], "random", seed=3)

    def make(self, backbone: nn.Module) -> Peer:
        torch.manual_seed(0)
        return build_peer(self.method, backbone, CHANNELS, self.config)

    def test_all_is_trained_but_what_nothing_reads(self, backbone):
        model = self.make(backbone)
        for component, _, group in model.components():
            assert group.trained == (component != "unused"), component
            assert all(p.requires_grad == group.trained for p in group.parameters), component

    def test_some_tasks_are_predicted_as_among_all(self, backbone):
        model = self.make(backbone).eval()
        image = torch.rand(1, 3, 40, 56)
        with torch.no_grad():
            every, some = model(image), model(image, ["normals", "depth"])
        assert [*some] == ["normals", "depth"]
        assert all(torch.allclose(some[name], every[name], atol=1e-5) for name in some)

    def test_the_last_level_is_the_prediction(self, backbone):
        model = self.make(backbone).eval()
        image = torch.rand(2, 3, 33, 64)
        with torch.no_grad():
            out, levels = model(image), model.levels(image)
        for level in levels:
            assert {n: x.shape for n, x in level.items()} == {n: x.shape for n, x in out.items()}
        assert all(torch.equal(levels[-1][name], out[name]) for name in out)

    def test_every_trained_parameter_moves_within_three_steps_and_no_frozen_tensor_changes(self, backbone):
        model = self.make(backbone)
        before = copy.deepcopy(model.state_dict())
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        optimiser = torch.optim.SGD(trained.values(), lr=0.05)
        torch.manual_seed(0)
        seen: set[str] = set()
        for _ in range(3):
            optimiser.zero_grad()
            outputs = [x for level in model.levels(torch.rand(2, 3, 64, 64)) for x in level.values()]
            sum((x - torch.randn_like(x)).square().mean() for x in outputs).backward()
            seen |= {n for n, p in trained.items() if p.grad is not None and p.grad.abs().sum() > 0}
            optimiser.step()
        assert seen == set(trained)
        for name, value in model.state_dict().items():
            if name not in trained:
                assert torch.equal(value, before[name]), name

    def test_saved_state_restores_the_outputs(self, backbone):
        torch.manual_seed(7)
        first = self.make(copy.deepcopy(backbone)).eval()
        for parameter in first.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.02 * torch.randn_like(parameter))
        second = self.make(backbone).eval()
        image = torch.rand(1, 3, 48, 48)
        with torch.no_grad():
            wanted = first(image)
            assert any(not torch.equal(x, wanted[n]) for n, x in second(image).items())
            result = second.load_state_dict(first.saved_state(), strict=False)
            assert not result.unexpected_keys
            assert set(result.missing_keys) == {n for n, p in second.named_parameters() if not p.requires_grad}
            assert all(torch.equal(x, wanted[n]) for n, x in second(image).items())

    def test_initial_values_come_from_the_seed(self, backbone):
        states = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            model = build_peer(self.method, copy.deepcopy(backbone), CHANNELS, self.config)
            states.append(model.state_dict())
        assert all(torch.equal(x, states[1][key]) for key, x in states[0].items())
        assert any(not torch.equal(x, states[2][key]) for key, x in states[0].items())
        for key, value in backbone.state_dict().items():
            assert torch.equal(states[2][f"backbone.{key}"], value), key


@pytest.mark.parametrize(
    ("method", "name", "config", "says"),
    [
        ("mult", "resnet_pico", PeerConfig(), "no Swin"),
        ("mult", "swin_pico", PeerConfig(decoder="light"), "does not go with mult"),
        ("mult", "swin_pico", PeerConfig(reference="smell"), "'smell' is not a task"),
        ("xtam", "resnet_pico", PeerConfig(decoder="swin"), "does not go with xtam"),
        ("mtl-cnn", "resnet_pico", PeerConfig(decoder="swin"), "no Swin"),
    ],
)
def test_what_does_not_go_together_is_told(method, name, config, says):
    with pytest.raises(ConfigError, match=says):
        build_peer(method, load_backbone(name, "random"), CHANNELS, config)


def test_no_task_is_refused():
    with pytest.raises(ConfigError, match="no task"):
        build_peer("stl", load_backbone("resnet_pico", "random"), {})


@pytest.mark.parametrize("method", ["stl", "mtl-cnn"])
@pytest.mark.parametrize("name", ["swin_pico", "resnet_pico"])
@pytest.mark.parametrize("decoder", ["light", "aspp", "swin"])
def test_decoders_and_encoders_combine(method, name, decoder):
    if (name, decoder) == ("resnet_pico", "swin"):
        return  # refused, see above
    model = make(method, PeerConfig(decoder=decoder), name=name).eval()
    with torch.no_grad():
        out = model(torch.rand(1, 3, 33, 40))
    assert {n: tuple(x.shape) for n, x in out.items()} == {n: (1, c, 33, 40) for n, c in CHANNELS.items()}


def test_consistency_and_tawt_are_the_network_of_mtl_cnn():
    assert METHODS["consistency"].network() is METHODS["tawt"].network() is METHODS["mtl-cnn"].network()


@pytest.mark.parametrize("method", [*OWN])
def test_one_task_alone_is_possible(method):
    model = build_peer(method, load_backbone(OWN[method], "random"), {"depth": 1})
    assert model(torch.rand(1, 3, 32, 32))["depth"].shape == (1, 1, 32, 32)
