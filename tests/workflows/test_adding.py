"""What it takes to add something: a kind is one file, a task none, a data set one YAML. Each is really added here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt
import vtadapt.tasks.kinds as kinds
from vtadapt.data.prepare.prepare import PrepareOptions
from vtadapt.tasks import KINDS, Task
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.prepare.check_data import check_data
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.train import train

ANGLE = '''
"""The direction of a gradient in the picture, in radians: 0 and a full turn are the same."""

import math

from vtadapt.tasks.kinds.base import Kind
from vtadapt.tasks.metrics.meter import Meter


def turned(prediction, target):
    return (1 - (prediction - target).cos()).mean()


class AngleMeter(Meter):
    def _zeros(self):
        import torch

        return {"apart": torch.zeros(1, dtype=torch.float64)}

    def _add(self, prediction, target, valid):
        off = (prediction - target).movedim(1, -1)[valid].double()
        self._state["apart"] += ((off + math.pi).remainder(2 * math.pi) - math.pi).abs().sum()

    def _values(self):
        return {"off/pixel": math.degrees(float(self._state["apart"])) / self.counts()["pixels"]}


class Angle(Kind):
    losses = {"turned": turned}
    default_loss = "turned"
    metrics = {"off": False}
    default_headline = "off/pixel"
    meter = AngleMeter

    def mirror(self, target, axis):
        return (math.pi if axis == -1 else 0.0) - target.flip(axis)


KIND = Angle()
'''

RECIPE = """
name: mine
title: Ramps of grey
licence: own
reader: folder
splits: [train, val]
tasks:
  {task}
options:
  image: "images/*.png"
  labels:
    {name}: {{files: "{name}/{{stem}}.npy"}}
  split: {{fractions: {{train: 0.7, val: 0.3}}, seed: 0}}
"""


def write_ramps(folder: Path, label: str) -> None:
    """Ten pictures that grow brighter in one direction, and that direction as the label, missing in a corner."""
    (folder / "images").mkdir(parents=True)
    (folder / label).mkdir()
    y, x = np.mgrid[:48, :48] / 48 - 0.5
    for i in range(10):
        angle = 2 * np.pi * i / 10 - np.pi
        grey = 128 + 120 * (np.cos(angle) * x + np.sin(angle) * y)
        Image.fromarray(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)).save(folder / f"images/{i}.png")
        values = np.full((48, 48), angle, np.float32)
        values[:5, :5] = np.nan
        np.save(folder / label / f"{i}.npy", values)


def go_through(folder: Path, recipe: str, label: str) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Prepare, check, train for two steps, evaluate and predict; results of the evaluation, prediction, its folder."""
    write_ramps(folder / "source", label)
    (folder / "mine.yaml").write_text(recipe, encoding="utf-8")
    prepare_data(str(folder / "mine.yaml"), folder / "source", folder / "data", PrepareOptions(workers=0), quiet=True)
    assert check_data("mine", folder / "data", quiet=True)["problems"] == []
    settings = {"data": "mine", "data_dir": folder / "data", "run_dir": folder / "runs", "weights": "random"}
    few = {"steps": 2, "batch_size": 2, "accelerator": "cpu", "precision": "32-true"}
    run = Path(train(TrainSettings.model_validate({**settings, **few}), quiet=True)["run"])
    results = evaluate_run(run, EvalOptions(folder=folder / "runs"))
    done = predict([folder / "source" / "images" / "0.png"], run, folder / "out", raw=True)
    with np.load(done[0]["raw"]) as raw:
        return results, dict(raw), run


@pytest.fixture
def angle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more file in the folder of the kinds, found as the others are."""
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "angle.py").write_text(ANGLE, encoding="utf-8")
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path / "kinds")])
    before = dict(KINDS)
    KINDS.update(kinds.find_kinds())
    yield
    KINDS.clear()
    KINDS.update(before)
    sys.modules.pop("vtadapt.tasks.kinds.angle", None)


@pytest.mark.usefixtures("angle")
def test_a_kind_is_one_file(tmp_path: Path) -> None:
    assert KINDS["angle"].name == "angle"
    recipe = RECIPE.format(task="uphill: {kind: angle, units: rad}", name="uphill")
    results, raw, run = go_through(tmp_path, recipe, "uphill")
    assert 0 < results["metrics"]["mine"]["uphill"]["off/pixel"] <= 180
    assert results["counts"]["mine"]["uphill"]["pixels"] == 3 * (48 * 48 - 25)
    assert raw["uphill"].shape == (48, 48)
    task = Task.from_dict(json.loads((run / "config.json").read_text(encoding="utf-8"))["tasks"]["uphill"])
    assert (task.kind, task.headline, task.units) == ("angle", "off/pixel", "rad")
    constant = task.behaviour.trivials(task)["constant"]
    constant.add(torch.zeros(1, 3, 1, 3), torch.tensor([0.5, 1.5, torch.nan]).view(1, 1, 1, 3))
    assert float(constant.predict(torch.zeros(1, 3, 1, 1), 0)) == 1.0


@pytest.mark.slow
def test_a_kind_beside_the_others_is_there_at_the_next_start(tmp_path: Path) -> None:
    package = Path(vtadapt.__file__).parent
    shutil.copytree(package, tmp_path / "vtadapt", ignore=shutil.ignore_patterns("__pycache__", "assets"))
    (tmp_path / "vtadapt" / "tasks" / "kinds" / "angle.py").write_text(ANGLE, encoding="utf-8")
    recipe = RECIPE.format(task="uphill: {kind: angel}", name="uphill")
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")
    command = [sys.executable, "-m", "vtadapt", "data-sets", "./mine.yaml"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Did you mean 'angle'" in refused.stderr
    (tmp_path / "mine.yaml").write_text(recipe.replace("angel", "angle"), encoding="utf-8")
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["tasks"]["uphill"]["kind"] == "angle"


def test_a_task_and_a_data_set_are_one_yaml(tmp_path: Path) -> None:
    recipe = RECIPE.format(task="slope: {kind: regression, units: rad, loss: l2, weight: 2}", name="slope")
    results, raw, _ = go_through(tmp_path, recipe, "slope")
    assert set(results["metrics"]["mine"]["slope"]) == {"rmse/pixel", "rmse/image", "mae/pixel"}
    assert raw["slope"].dtype == np.float32


NETWORK = '''
"""The mean colour of a photograph and a bias: no network anybody wants, but a whole one."""

import torch
from torch import nn

from vtadapt.models.multitask import Group, MultitaskModel, NoConfig


class MeanColour(MultitaskModel):
    def __init__(self, backbone, channels, config=None):
        super().__init__(backbone.requires_grad_(False), channels, config or NoConfig())
        self.heads = nn.ModuleDict({name: nn.Linear(3, count) for name, count in channels.items()})

    def components(self):
        frozen = Group(list(self.backbone.parameters()), False)
        return [("backbone", "not asked", frozen), ("heads", "linear", Group(list(self.heads.parameters()), True))]

    def forward(self, image, tasks=None):
        mean = image.mean(dim=(2, 3))
        return {n: self.heads[n](mean)[:, :, None, None].expand(-1, -1, *image.shape[2:]) for n in self.names(tasks)}
'''

RECORD = """

def _mean_colour():
    from vtadapt.models.mean_colour import MeanColour

    return MeanColour


METHODS["mean-colour"] = Method(
    what="the mean colour of a photograph", network=_mean_colour, decoders=(), trains_backbone=False
)
"""

COMMAND = '''
"""``vtadapt count-runs``."""

from pathlib import Path

import typer


def count_runs(run_dir: Path = Path("runs")) -> None:
    """Say how many runs there are."""
    typer.echo(sum(1 for _ in run_dir.glob("*/config.json")))
'''


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A working folder with a copy of the package that may be changed."""
    shutil.copytree(
        Path(vtadapt.__file__).parent, tmp_path / "vtadapt", ignore=shutil.ignore_patterns("__pycache__", "demo")
    )
    return tmp_path


def vtadapt_in(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "vtadapt", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_method_is_a_network_and_a_record(tiny: Any, copied: Path) -> None:
    (copied / "vtadapt" / "models" / "mean_colour.py").write_text(NETWORK, encoding="utf-8")
    record = copied / "vtadapt" / "workflows" / "run" / "methods.py"
    record.write_text(record.read_text(encoding="utf-8") + RECORD, encoding="utf-8")
    assert "mean-colour" in vtadapt_in(copied, "train", "--help").replace("\n", "")
    typed = ("--method", "mean-colour", "--tasks", "semseg,depth", "--data-dir", str(tiny.data_dir))
    small = ("--weights", "random", "--accelerator", "cpu", "--set", "steps=2", "--batch-size", "4", "--json")
    results = json.loads(vtadapt_in(copied, "train", "tiny", *typed, *small))
    assert results["steps"] == 2
    Image.new("RGB", (40, 30), (90, 120, 30)).save(copied / "photo.png")
    done = json.loads(vtadapt_in(copied, "predict", "photo.png", "--run", "tiny-0001", "--raw", "--json"))
    with np.load(copied / done[0]["raw"]) as raw:
        assert raw["semseg"].shape == (30, 40)
        assert len(np.unique(raw["depth"])) == 1, "one colour, one answer"
    known = json.loads(vtadapt_in(copied, "settings", "--method", "mean-colour", "--json"))
    assert not {"decoder", "reduction", "tawt_eta"} & {entry["key"] for entry in known}


def test_a_command_is_one_file(copied: Path) -> None:
    (copied / "vtadapt" / "commands" / "count_runs.py").write_text(COMMAND, encoding="utf-8")
    (copied / "runs" / "a").mkdir(parents=True)
    (copied / "runs" / "a" / "config.json").write_text("{}", encoding="utf-8")
    assert "count-runs" in vtadapt_in(copied, "--help")
    assert vtadapt_in(copied, "count-runs") == "1\n"
