"""Networks around a frozen encoder: the contract of all models, what they train, and where they start."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.models.model_contract import CHANNELS, ConfiguredContract, ModelContract, disturb
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.frozen.dpt import DptConfig, DptDecoder, DptModel
from vtadapt.models.frozen.lora import LoraConfig, LoraModel, LowRank, adapted_linears
from vtadapt.models.frozen.probe import LinearProbe


@pytest.fixture
def backbone():
    return load_backbone(weights="random", seed=3)


class FrozenContract(ModelContract):
    """Subclasses give ``make``, and what the ledger calls its trained parts."""

    trained: tuple[str, ...] = ()

    def test_only_the_named_parts_are_trained_and_the_backbone_stays_in_eval_mode(self, backbone):
        model = self.make(backbone).train()
        assert tuple(name for name, _, group in model.components() if group.trained) == self.trained
        for name, _, group in model.components():
            assert all(p.requires_grad == (name in self.trained) for p in group.parameters), name
        assert not any(p.requires_grad for p in model.backbone.parameters())
        assert not any(module.training for module in model.backbone.modules())
        assert not any(key.startswith("backbone.") for key in model.saved_state())

    def test_some_tasks_are_predicted_as_among_all(self, backbone):
        model = self.make(backbone).eval()
        disturb(model)
        image = torch.rand(1, 3, 40, 56)
        with torch.no_grad():
            every, some = model(image), model(image, ["normals", "depth"])
        assert [*some] == ["normals", "depth"]
        assert all(torch.allclose(some[name], every[name], atol=1e-5) for name in some)


class TestProbe(FrozenContract):
    trained = ("heads",)

    def make(self, backbone):
        torch.manual_seed(0)
        return LinearProbe(backbone, CHANNELS)


class TestDpt(FrozenContract):
    trained = ("decoders",)

    def make(self, backbone):
        torch.manual_seed(0)
        return DptModel(backbone, CHANNELS, DptConfig(dpt_width=16))


LORAS = [
    LoraConfig(),
    LoraConfig(lora_rank=2, decoder="swin", decoder_sharing="per_task"),
    LoraConfig(decoder_sharing="per_task", decoder_width=16),
]


@pytest.mark.parametrize("config", LORAS, ids=lambda c: f"{c.decoder}-{c.decoder_sharing}")
class TestLora(ConfiguredContract, FrozenContract):
    trained = ("low-rank", "decoder", "heads")
    network = LoraModel


@pytest.mark.parametrize("network", [LinearProbe, DptModel])
def test_a_frozen_cnn_does_as_well(network):
    cnn = load_backbone("resnet_pico", "random")
    model = network(cnn, CHANNELS, network.Config())
    out = model(torch.rand(2, 3, 33, 40))
    assert {name: tuple(x.shape) for name, x in out.items()} == {n: (2, c, 33, 40) for n, c in CHANNELS.items()}


def test_lora_begins_with_the_frozen_blocks_bit_for_bit_and_leaves_them_unchanged(backbone):
    model = LoraModel(backbone, CHANNELS, LoraConfig())
    digest, image = backbone.digest(), torch.rand(2, 3, 72, 104)
    frozen = backbone.features(image)
    assert all(torch.equal(x, y) for x, y in zip(model.features(image), frozen, strict=True))
    disturb(model)
    changed = model.features(image)
    adapted = len(backbone.adapted_stages)
    # The trunk comes before: its levels are the same, and no gradient goes there.
    assert all(torch.equal(x, y) for x, y in zip(changed[:-adapted], frozen[:-adapted], strict=True))
    assert not any(x.requires_grad for x in changed[:-adapted])
    assert not any(torch.allclose(x, y, atol=1e-2) for x, y in zip(changed[-adapted:], frozen[-adapted:], strict=True))
    assert backbone.digest() == digest
    assert all(torch.equal(x, y) for x, y in zip(backbone.features(image), frozen, strict=True))


def test_lora_changes_four_layers_of_each_adapted_block(backbone):
    found = adapted_linears(backbone)
    blocks = [block.module for stage in backbone.adapted_stages for block in stage.blocks]
    wanted = [m for b in blocks for m in (b.attn.qkv, b.attn.proj, b.mlp.fc1, b.mlp.fc2)]
    assert {id(m) for m in found.values()} == {id(m) for m in wanted}
    backbone.adapt_last(1)
    assert len(adapted_linears(backbone)) == len(found) - 4 * (len(blocks) - 1 - len(backbone.adapted_stages[1].blocks))
    rank = 3
    parts = LoraModel(backbone, CHANNELS, LoraConfig(lora_rank=rank)).components()
    count = next(group.count for name, _, group in parts if name == "low-rank")
    assert count == sum(rank * (m.in_features + m.out_features) for m in adapted_linears(backbone).values())


def test_a_low_rank_change_is_alpha_over_r_times_b_a():
    linear = nn.Linear(5, 7)
    change = LowRank(linear, 2, 6.0)
    change.b.data.normal_()
    x = torch.randn(4, 5)
    wanted = linear(x) + 3.0 * ((x @ change.a.T) @ change.b.T)
    assert torch.allclose(F.linear(x, change(linear.weight), linear.bias), wanted, atol=1e-5)
    assert torch.linalg.matrix_rank(change(linear.weight) - linear.weight, atol=1e-4) == 2


def test_lora_and_adapters_have_the_same_decoder(backbone):
    lora = LoraModel(backbone, CHANNELS, LoraConfig())
    adapted = AdaptedModel(backbone, CHANNELS, AdapterConfig())
    shapes = [{k: v.shape for k, v in model.decoders.state_dict().items()} for model in (lora, adapted)]
    assert shapes[0] == shapes[1]


def test_what_is_of_one_task_of_lora(backbone):
    shared, own = (LoraModel(backbone, CHANNELS, LoraConfig(decoder_sharing=s)) for s in ("shared", "per_task"))
    for model in (shared, own):
        parts = {task: {id(part.parameter) for part in model.owned(task)} for task in CHANNELS}
        assert {id(p) for p in model.head_of("depth").parameters()} <= parts["depth"]
        assert not parts["depth"] & parts["normals"]
        rest = {id(p) for p in model.trained_parameters()} - set().union(*parts.values())
        decoders = {id(p) for p in model.decoders.parameters()} if len(model.decoders) == 1 else set()
        assert rest == {id(p) for p in model.low_rank.parameters()} | decoders


def test_a_dpt_decoder_draws_each_pixel_on_its_own():
    """Half the stride of the finest level, then resized and convolved at full size: no pixels come in blocks."""
    torch.manual_seed(0)
    decoder = DptDecoder((8, 8), 8, 1)
    levels = [torch.randn(1, 16, 16, 8), torch.randn(1, 8, 8, 8)]
    with torch.no_grad():
        out = decoder(levels, (64, 64))[0, 0]
    steps = (out[:, 1:] - out[:, :-1]).abs()
    assert steps.shape == (64, 63)
    energy = torch.stack([steps[:, i::4].mean() for i in range(4)])
    assert energy.max() < 1.5 * energy.min()
