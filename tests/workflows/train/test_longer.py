"""Runs that are lengthened or end early, and the choices of optimiser, schedule, losses and weights of classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.class_weights import balanced
from vtadapt.workflows.train.lengthen import LAST, lengthened
from vtadapt.workflows.train.train import train

ROOMS = build_tasks([load_recipe("rooms")], None)


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_finished_run_is_lengthened(tiny, tmp_path, cli):
    run = tmp_path / "run"
    shutil.copytree(tiny.run, run)
    done = tiny.results["steps"]
    longer = cli("train", "--resume", run, "--steps", done + 3, "--data-dir", tiny.data_dir)
    assert longer.code == 0, longer.err
    results = json.loads((run / "results.json").read_text())
    assert results["steps"] == done + 3
    assert checkpoint.read_tensors(run / LAST)[1]["step"] == done + 3
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    assert settings["steps"] == done + 3
    steps = [record["step"] for record in records(run) if record["split"] == "val"]
    assert steps[-1] == done + 3
    assert done in steps
    refused = cli("train", "--resume", run, "--steps", done, "--data-dir", tiny.data_dir)
    assert refused.code == 2
    assert f"has {done + 3} steps already" in refused.err


def test_what_cannot_lengthen_a_run(tiny):
    settings = load(tiny.run / "settings.yaml")
    with pytest.raises(UsageError, match="give one of them"):
        lengthened(tiny.run, settings, 100, 100)
    with pytest.raises(UsageError, match="epochs already"):
        lengthened(tiny.run, settings, None, settings.epochs)
    assert lengthened(tiny.run, settings, None, 50).epochs == 50


def test_training_ends_when_it_gets_no_better(tiny, tmp_path):
    # A rate so small that nothing changes: no evaluation after the first is better.
    settings = tiny.other(tmp_path, epochs=8, evals=8, patience=2, lr=1e-12, steps=None)
    results = train(settings, quiet=True, trivial=False)
    run = Path(results["run"])
    per_epoch = results["steps"] // 3
    assert results["steps"] == 3 * per_epoch > 0  # the first, and two that were no better
    again = train(settings, resume=run, quiet=True, trivial=False)
    assert again["steps"] == results["steps"]
    # Who asks for more of it gets all of them, and patience no longer ends it, when it is cut neither.
    settings = lengthened(run, load(run / "settings.yaml"), results["steps"] + 2 * per_epoch, None)
    longer = train(settings, resume=run, quiet=True, trivial=False, longer=True)
    assert longer["steps"] == results["steps"] + 2 * per_epoch
    assert load(run / "settings.yaml").patience is None


@pytest.mark.parametrize(
    "changes", [{"optimiser": "sgd", "schedule": "linear"}, {"optimiser": "radam", "schedule": "constant"}]
)
def test_optimisers_train_and_go_on(tiny, tmp_path, changes):
    settings = tiny.other(tmp_path, epochs=2, steps=3, log_steps=1, warmup=0.0, **changes)
    results = train(settings, quiet=True, trivial=False)
    run = Path(results["run"])
    rates = [record["lr"] for record in records(run) if record["split"] == "train"]
    assert len(rates) == 3
    if changes["schedule"] == "constant":
        assert len(set(rates)) == 1
    else:
        assert rates[0] > rates[1] > rates[2]
    settings = load(run / "settings.yaml").model_copy(update={"steps": 4, "epochs": None})
    assert train(settings, resume=run, quiet=True, trivial=False, longer=True)["steps"] == 4


def test_losses_and_weights_of_classes(tiny, tmp_path):
    settings = tiny.other(tmp_path, steps=1, losses={"semseg": "cross_entropy_dice"}, class_weights="auto")
    results = train(settings, quiet=True, trivial=False)
    config = json.loads((Path(results["run"]) / "config.json").read_text())
    assert config["tasks"]["semseg"]["loss"] == "cross_entropy_dice"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"losses": {"semseg": "focl"}}, "Did you mean 'focal'"),
        ({"losses": {"colour": "focal"}}, "not trained"),
        ({"losses": {"depth": "dice"}}, "has no loss 'dice'"),
        ({"class_weights": {"wal": 2.0}}, "is no class"),
        ({"class_weights": dict.fromkeys(ROOMS["semseg"].classes, 0.0)}, "all classes of 'semseg' are 0"),
    ],
)
def test_losses_that_are_none(tiny, tmp_path, changes, words):
    """Before any data is prepared: there is none in that folder."""
    settings = tiny.other(tmp_path / "runs", data="rooms", steps=1, data_dir=tmp_path / "data", **changes)
    with pytest.raises(ConfigError, match=words):
        train(settings, quiet=True)
    assert not (tmp_path / "data").exists()


def test_rare_classes_weigh_more():
    weights = balanced(torch.tensor([1000.0, 100.0, 10.0, 0.0, 1.0, 5000.0], dtype=torch.float64))
    assert weights[0] < 1 <= weights[1] < weights[2] <= 10
    assert weights[3] == 1
    assert weights.max() <= 10
    assert balanced(torch.zeros(3)).tolist() == [1, 1, 1]


def test_checkpoints_hold_no_frozen_weights(tiny):
    """However large the encoder, a run keeps what was trained, and the optimiser's two moments of it."""
    results = tiny.results
    for file, times in (("model.safetensors", 1), (str(LAST), 3)):
        held = sum(t.numel() for t in checkpoint.read_tensors(tiny.run / file)[0].values())
        assert held <= 1.1 * times * results["trained_parameters"] + 1000
        assert held < times * results["total_parameters"]
