"""Every record of METHODS says what its network does, and every network obeys the contract that the trainer reads."""

from __future__ import annotations

import inspect

import pytest
import torch

from vtadapt.models.multitask import MultitaskModel
from vtadapt.tasks import Task, make_task
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.methods import METHODS, those
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.run.settings.fields import GROUPS, KEYS
from vtadapt.workflows.run.settings.reading import readers
from vtadapt.workflows.train.methods import OBJECTIVES


@pytest.fixture
def tasks() -> dict[str, Task]:
    return {
        "kinds": make_task("kinds", "classes", classes=("a", "b", "c")),
        "far": make_task("far", "regression", units="m"),
    }


@pytest.fixture(params=METHODS)
def built(request: pytest.FixtureRequest, tasks: dict[str, Task]) -> tuple[str, MultitaskModel]:
    method: str = request.param
    return method, build_model(TrainSettings(data="x", method=method, weights="random"), tasks)


def test_a_network_obeys_the_contract(built: tuple[str, MultitaskModel]) -> None:
    _, model = built
    assert isinstance(model, MultitaskModel)
    assert model.tasks == ("kinds", "far")
    image = torch.rand(1, 3, 40, 72, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.eval()(image)
        alone = model(image, ["far"])
        levels = model.levels(image)
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "kinds": (1, 3, 40, 72),
        "far": (1, 1, 40, 72),
    }
    assert list(alone) == ["far"]
    assert torch.allclose(alone["far"], logits["far"], atol=1e-5)
    assert len(levels) == model.supervised_levels
    assert torch.equal(levels[-1]["kinds"], logits["kinds"])
    told = [id(p) for _, _, group in model.components() for p in group.parameters]
    assert sorted(told) == sorted(map(id, model.parameters())), "every parameter in exactly one component"
    trained = {id(p) for _, _, group in model.components() if group.trained for p in group.parameters}
    assert trained == {id(p) for p in model.trained_parameters()}


def test_a_record_agrees_with_its_network(built: tuple[str, MultitaskModel]) -> None:
    name, model = built
    method = METHODS[name]
    assert (method.affinity, method.attention, method.shares) == (
        model.has_affinity,
        model.has_attention,
        model.has_own_parts,
    )
    assert method.trains_backbone == any(p.requires_grad for p in model.encoder_parameters())
    assert method.objective in OBJECTIVES
    assert method.what
    assert method.fewest_tasks in (1, 2)
    if method.shares:
        for task in model.tasks:
            assert model.owned(task)
            assert list(model.head_of(task).parameters())
    if method.transfers:
        assert method.shares, "what is transferred are shared parts"


def test_every_group_of_settings_is_read_and_every_own_setting_is_one() -> None:
    for group, content in GROUPS.items():
        assert any(readers(key) for key in content.model_fields), group
    for name, method in METHODS.items():
        assert set(method.own) <= set(KEYS), name
        assert method.decoders == () or set(method.decoders) <= {"light", "swin", "aspp"}
    assert those(lambda m: m.fewest_tasks == 2) == [
        name for name in METHODS if METHODS[name].objective in ("consistency", "tawt")
    ]
    assert inspect.isabstract(MultitaskModel)
