"""The adapted model as a whole: shapes, freezing, gradients, folding, padding, ledger."""

from __future__ import annotations

import pytest
import torch

from tests.models.model_contract import CHANNELS, ConfiguredContract, disturb
from vtadapt.errors import ConfigError
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.families.swin import SwinBackbone
from vtadapt.models.backbones.load import load_backbone
from vtadapt.models.decoder import fuse_skip


@pytest.fixture
def backbone() -> SwinBackbone:
    return load_backbone(weights="random", seed=3)


CONFIGS = [
    AdapterConfig(),
    AdapterConfig(decoder="swin"),
    AdapterConfig(decoder="swin", decoder_sharing="per_task"),
    AdapterConfig(decoder_sharing="per_task", train_blocks="full"),
    AdapterConfig(train_blocks="all", embedding_dim=9, reduction=2, decoder_width=16),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.decoder}-{c.decoder_sharing}-{c.train_blocks}")
class TestAdapted(ConfiguredContract):
    network = AdaptedModel


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


@pytest.mark.parametrize("tasks", [1, 3])
def test_fusing_a_skip_is_one_layer_on_both_side_by_side(tasks):
    fuse = torch.nn.Linear(10, 5)
    x, skip = torch.randn(2, 3, 4, 6, 5), torch.randn(2, tasks, 4, 6, 5)
    wanted = fuse(torch.cat([x, skip.expand_as(x)], dim=-1))
    assert torch.allclose(fuse_skip(fuse, x, skip), wanted, atol=1e-6)
