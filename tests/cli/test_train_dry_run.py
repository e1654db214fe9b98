"""``vtadapt train --dry-run`` says what a run would be, and leaves nothing behind."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import SMALL
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.dry_run import _size


def test_it_says_what_would_be_trained(project, cli, tiny):
    before = sorted(path for path in project.rglob("*"))
    said = cli("train", "tiny", "--dry-run", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    images = 12
    assert (found["size_from"], found["size"]) == ("pack", [48, 48])
    assert found["images"] == images
    assert found["steps"] == images // int(SMALL["BATCH_SIZE"])
    assert set(found["tasks"]) == set(tiny.settings.tasks or found["tasks"])
    assert 0 < found["parameters"]["trained"] < found["parameters"]["total"]
    assert found["bytes"]["optimiser"] == 2 * found["bytes"]["gradients"] == 8 * found["parameters"]["trained"]
    assert found["bytes"]["activations"] > 0
    assert found["seconds"] > 0
    assert sorted(path for path in project.rglob("*")) == before
    shown = cli("train", "tiny", "--dry-run", "--steps", "1")
    for word in ("training images", "memory", "time", "trained"):
        assert word in shown.out


def test_what_training_refuses_is_refused(project, cli):
    assert cli("train", "tiny", "--dry-run", "--resume", "tiny-0001").code == 2
    assert cli("train", "nothing", "--dry-run").code == 2
    assert cli("train", "tiny", "--dry-run", "--set", "losses={semseg: nonsense}").code == 4
    assert not list((project / "runs").glob("tiny-0002"))


@pytest.mark.parametrize(("stored", "found"), [(None, ((128, 128), "assumed")), ([64, 96], ((64, 96), "recipe"))])
def test_a_size_that_nothing_tells_is_said_to_be_assumed(tmp_path, stored, found):
    lessons: Any = SimpleNamespace(recipes=[SimpleNamespace(name="mine", size=stored)])
    assert _size(TrainSettings(data="mine", data_dir=tmp_path), lessons) == found
