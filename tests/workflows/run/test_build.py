"""From recipes to the tasks of a run."""

from __future__ import annotations

import pytest

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, UsageError
from vtadapt.models.heads.make import HEADS
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.devices import resolve_precision
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.run.settings.reading import is_read, readers


def test_sets_whose_classes_differ_can_share_their_other_tasks():
    recipes = [load_recipe("rooms"), load_recipe("camvid")]
    assert list(build_tasks(recipes, ["edges"])) == ["edges"]
    assert list(build_tasks(recipes, ["depth", "edges"])) == ["depth", "edges"]
    for wanted in (None, ["semseg"]):
        with pytest.raises(ConfigError, match="'semseg' of 'camvid' is not the 'semseg' of 'rooms'"):
            build_tasks(recipes, wanted)


def test_tasks_come_in_the_order_asked_for_and_once():
    assert list(build_tasks([load_recipe("rooms")], ["edges", "depth", "edges"])) == ["edges", "depth"]


def test_a_misspelt_task_is_a_usage_error_with_near_matches():
    with pytest.raises(UsageError, match="Did you mean 'normals'"):
        build_tasks([load_recipe("rooms")], ["normal"])


@pytest.mark.parametrize("method", readers("head"))
def test_a_method_that_reads_head_has_that_head(method):
    tasks = build_tasks([load_recipe("rooms")], ["depth", "edges"])
    settings = TrainSettings(data="rooms", method=method, weights="random")
    assert is_read("head", settings)
    heads = [build_model(settings.model_copy(update={"head": kind}), tasks) for kind in (settings.head, "stem")]
    found = [{type(module) for module in model.modules()} for model in heads]
    assert HEADS["subpixel"] in found[0]
    assert HEADS["stem"] not in found[0]
    assert HEADS["stem"] in found[1]


def test_precision_follows_the_hardware(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False, raising=False)
    assert resolve_precision("auto") == "32-true"
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True, raising=False)
    assert resolve_precision("auto") == "bf16-mixed"
    assert resolve_precision("32-true") == "32-true"
