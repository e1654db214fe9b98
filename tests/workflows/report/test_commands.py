"""The commands that a report prints: the one that made the run as it was asked for, and those to go on with."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtadapt.checked import parse_json
from vtadapt.workflows.report.facts import as_asked, train_command
from vtadapt.workflows.report.report import ReportOptions, report
from vtadapt.workflows.run.folder import bundled_run
from vtadapt.workflows.run.loaders import default_epochs
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.run.settings.fields import KEYS
from vtadapt.workflows.run.settings.reading import is_read
from vtadapt.workflows.train.train import train

OTHERS: dict[str, Any] = {
    **{"data": "tiny", "tasks": ("depth", 'odd, "name" $x'), "data_dir": Path("some where/a'b"), "size": (32, 40)},
    **{"scale": (1.0, 1.5), "flip": False, "colour_jitter": 0.0, "cache": False, "workers": 2, "backbone": "swin_s"},
    **{
        "weights": "my weights.safetensors",
        "decoder": "aspp",
        "decoder_width": 64,
        "head": "x2",
        "adapter": "slides",
        "steps": 7,
        "epochs": 3,
    },
    **{"batch_size": 4, "lr": 1e-5, "backbone_lr_scale": 1e-7, "shared_lr_scale": 0.5, "own_first": 0.25},
    **{"weight_decay": 0.0, "warmup": 0.0, "clip_norm": 1e9, "loss_weights": {"depth": 2.5, 'odd, "name" $x': 0.0}},
    **{"affinity": "uniform", "troa_weights": True, "troa_every": 3, "troa_momentum": 0.5, "troa_eta": 0.2},
    **{"start": Path("runs/a run"), "held": ("yes", "1"), "rehearse": "null", "target": "b: c", "label_space": "a>b"},
    **{"adversarial_weight": 0.1, "adversarial_warmup": 0.0, "class_ratios": False, "match_camera": True},
    **{"strategy": "both", "self_training_weight": 0.5, "self_training_warmup": 0.0, "teacher_momentum": 0.5},
    **{"pseudo_threshold": 0.5, "pseudo_share": 0.25, "pseudo_agreement": 0.2, "class_mixing": False},
    **{"rare_classes": 0.0, "strong_jitter": 0.0, "discriminator_distance": "log"},
    **{"discriminator_lr": 0.1, "discriminator_width": 8, "embedding_dim": 8, "reduction": 2, "adapted_blocks": 1},
    **{"decoder_sharing": "per_task", "train_blocks": "full", "dpt_width": 8, "lora_rank": 2},
    **{"lora_alpha": 1.5, "cross_task_share": 2.0, "cross_task_width": 8},
    **{"tawt_every": 2, "tawt_eta": 0.5, "reference": "#1", "run_dir": Path("-my runs"), "seed": 5},
    **{
        "precision": "32-true",
        "accelerator": "cpu",
        "devices": 2,
        "num_nodes": 2,
        "compile": True,
        "evals": 1,
    },
    **{"log_pictures": 5, "tracker": "trackio"},
    **{"losses": {"depth": "l1"}, "class_weights": "auto", "optimiser": "sgd", "schedule": "constant", "patience": 2},
    **{"val_images": None, "log_steps": 1, "checkpoint_steps": 2, "cache_features": "disk", "augment_views": 3},
}
"""A value for every setting that is not its default, with what shells and YAML stumble over."""


@pytest.fixture
def ran(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], TrainSettings]:
    """What a command line of ``vtadapt train`` would train with."""
    seen: list[TrainSettings] = []

    def record(settings: TrainSettings, **_: Any) -> dict[str, Any]:
        seen.append(settings)
        return {"metrics": {}, "run": "x"}

    monkeypatch.setattr("vtadapt.workflows.train.train.train", record)

    def run(line: str) -> TrainSettings:
        words = shlex.split(line)
        assert words[:2] == ["vtadapt", "train"]
        told = cli(*words[1:])
        assert told.code == 0, told.err
        return seen.pop()

    return run


@pytest.mark.parametrize("method", METHODS)
def test_the_command_gives_the_same_settings(ran: Callable[[str], TrainSettings], method: str) -> None:
    assert OTHERS.keys() == set(KEYS) - {"method"}
    settings = TrainSettings(method=method, **OTHERS)
    read = {key: value for key, value in OTHERS.items() if is_read(key, settings)}
    settings = TrainSettings(method=method, **read)
    assert all(settings.changed(key) for key in read if key != "data")
    assert ran(train_command(settings)) == settings


def test_defaults_are_left_out() -> None:
    assert train_command(TrainSettings(data="rooms")) == "vtadapt train rooms"


@pytest.mark.parametrize(
    ("changes", "batches", "left_out"),
    [
        ({}, 200, True),
        ({}, 3, True),
        ({"epochs": 5}, 200, True),  # what it would be anyway
        ({"epochs": 6}, 200, False),
        ({"epochs": 1}, 200, False),
        ({"data": "a+b"}, 300, True),
        ({"steps": 60}, 200, True),
        ({"steps": 450}, 200, True),
        ({"steps": 450, "epochs": 3}, 200, True),
        ({"steps": 450, "epochs": 9}, 200, False),
        ({"steps": 450, "epochs": 2}, 200, False),  # ends before the steps do
    ],
)
def test_epochs_that_nobody_asked_for_are_left_out(changes: dict[str, Any], batches: int, left_out: bool) -> None:
    typed = TrainSettings(**{"data": "rooms", **changes})
    epochs = typed.epochs or default_epochs(typed, batches)
    steps = min(epochs * batches, typed.steps or 10**9)
    begun = -(-steps // batches)
    trained = typed.model_copy(update={"epochs": epochs})
    asked = as_asked(trained, {"steps": steps}, begun)
    assert asked.epochs == (None if left_out else typed.epochs)
    assert (asked.epochs or default_epochs(asked, batches)) == epochs
    assert as_asked(trained, {}, None).epochs == epochs  # where nothing tells, what was trained with


def test_the_bundled_run_says_what_was_typed(tmp_path: Path) -> None:
    document = report(bundled_run(), tmp_path / "a.html", ReportOptions(images=0), quiet=True)
    assert document["commands"][0]["command"] == "vtadapt train rooms --set colour_jitter=0.5 --set steps=2000"
    changed = {entry["key"] for entry in document["settings"] if entry["changed"]}
    assert changed == {"colour_jitter", "steps"}
    assert next(e["value"] for e in document["settings"] if e["key"] == "epochs") == "10"


def test_a_run_of_steps_says_what_was_typed(tiny: Any, tmp_path: Path) -> None:
    run = Path(train(tiny.other(tmp_path, epochs=None, steps=4), quiet=True)["run"])
    command = report(run, options=ReportOptions(images=0), quiet=True)["commands"][0]["command"]
    assert "--set steps=4" in command
    assert "epochs" not in command


def test_only_a_run_without_results_can_be_gone_on_with(tiny: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny.run, tmp_path / "a copy"))

    def offered() -> bool:
        commands = [entry["command"] for entry in report(run, options=ReportOptions(images=0), quiet=True)["commands"]]
        return f"vtadapt train --resume {shlex.quote(str(run))}" in commands

    assert not offered()  # it is finished
    (run / "results.json").unlink()  # cut while it wrote its results
    assert offered()
    shutil.rmtree(run / "checkpoints" / "last")
    assert not offered()


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "0 s"), (59.7, "1 min"), (3725, "1 h 2 min 5 s"), (None, None)])
def test_the_time_is_that_of_the_whole_run(tiny: Any, tmp_path: Path, seconds: float | None, said: str | None) -> None:
    run = Path(shutil.copytree(tiny.run, tmp_path / "copy"))
    results = parse_json((run / "results.json").read_bytes()) | {"train_seconds": seconds}
    (run / "results.json").write_text(json.dumps(results))
    document = report(run, options=ReportOptions(images=0), quiet=True)
    assert document["facts"]["time"] == (said and f"{said} of training")
