"""The command line: what it prints where, and for each thing that can go wrong one line and an exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vtadapt import __version__

COMMANDS = ("prepare-data", "train", "eval", "predict", "affinity", "visualize-attention", "report", "info")


COMMANDS += ("data-sets", "demo", "compare", "zero-shot", "adapt", "settings", "backbones")


def test_help_is_quick_and_loads_no_torch() -> None:
    code = """
import sys
import time
from vtadapt.cli import main
sys.argv = ["vtadapt", "--help"]
try:
    main()
finally:
    print([name for name in ("torch", "numpy", "timm", "pydantic") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0
    assert all(command in ended.stdout for command in COMMANDS)
    assert ended.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(cli: Callable[..., Any], command: str) -> None:
    ran = cli(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "--help" in ran.out
    assert ran.out.count("Usage") == 1


def test_help_keeps_what_stands_in_brackets(cli: Callable[..., Any]) -> None:
    text = " ".join(cli("report", "--help").out.split())
    assert "[default: data]" in text
    assert "[default: runs]" in text


def test_version(cli: Callable[..., Any]) -> None:
    assert cli("--version").out == f"vtadapt {__version__}\n"


def test_data_sets(cli: Callable[..., Any]) -> None:
    assert "rooms" in cli("data-sets").out
    listed = json.loads(cli("data-sets", "--json").out)
    assert {"name", "title", "licence", "tasks"} == set(listed[0])
    assert "camvid" in [entry["name"] for entry in listed]


def test_train_eval_predict_info(cli: Callable[..., Any], project: Path) -> None:
    trained = cli("train", "look", "--set", "val_images=null", "--set", "evals=1")
    assert trained.code == 0, trained.err
    assert "miou/dataset" in trained.out
    assert trained.out.endswith("run: runs/look-0001\n")
    assert "epoch 1/1" in trained.err
    saved = yaml.safe_load((project / "runs" / "look-0001" / "settings.yaml").read_text())
    assert (saved["batch_size"], saved["val_images"], saved["evals"]) == (6, None, 1)
    measured = cli("eval")
    assert "using the newest run, runs/look-0001" in measured.err
    assert measured.out == trained.out
    predicted = cli("predict", "photo.png", "--out", "seen")
    assert predicted.out == "seen/photo_panel.png\n"
    described = cli("info", "look-0001")
    assert "task embeddings" in described.out


def test_json_is_one_document_and_nothing_else(cli: Callable[..., Any], project: Path) -> None:
    run = "tiny-0001"
    for command in (
        ("train", "shape"),
        ("eval", run),
        ("predict", "photo.png", "--run", run, "--raw"),
        ("visualize-attention", "photo.png", "--run", run, "--query", "auto", "--tasks", "depth"),
        ("info", run),
        ("info", "--data", "look", "--set", "weights=random", "--tasks", "edges"),
        ("prepare-data", str(own_recipe(project)), "--workers", 0),
    ):
        ran = cli(*command, "--json")
        assert ran.code == 0, (command, ran.err)
        assert json.loads(ran.out), command
    assert [p.name for p in (project / "predictions").iterdir() if p.suffix == ".npz"] == ["photo.npz"]


def own_recipe(project: Path) -> Path:
    """The recipe of the pack "look", under a name of its own."""
    recipe = json.loads((project / "data" / "look" / "manifest.json").read_text())["recipe"]
    recipe |= {"name": "mine"}
    recipe["options"] |= {"samples": {"train": 1, "val": 1}}
    path = project / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def test_resume(cli: Callable[..., Any], project: Path) -> None:
    before = (project / "runs" / "tiny-0001" / "model.safetensors").read_bytes()
    ran = cli("train", "--resume", "tiny-0001", "--quiet")
    assert ran.code == 0, ran.err
    assert (project / "runs" / "tiny-0001" / "model.safetensors").read_bytes() == before
    assert cli("train", "--resume", "tiny-001").code == 4
    ran = cli("train", "tiny", "--resume", "tiny-0001", "--seed", "0")
    assert ran.code == 2
    assert "--resume goes on with the run's own settings; found data, seed beside it" in ran.err


def test_folders_from_the_environment(
    cli: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("VTADAPT_RUN_DIR", str(project / "runs"))
    monkeypatch.setenv("VTADAPT_DATA_DIR", str(project / "data"))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert cli("eval", "--limit", 1).code == 0
    assert cli("info", "tiny-0001").code == 0


def cut_at(step: int, number: int, *arguments: str) -> tuple[int, str]:
    """Run a command, send it a signal once ``cut/tiny-0001`` has a record of that step; its exit code and stderr."""
    metrics = Path("cut") / "tiny-0001" / "metrics.jsonl"
    with open("stderr", "w+", encoding="utf-8") as told:  # a pipe that nobody reads would hold a talkative run up
        process = subprocess.Popen(
            [sys.executable, "-m", "vtadapt", *arguments],
            stderr=told,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # the background ignores it
        )
        while process.poll() is None and not (metrics.is_file() and f'"step": {step},' in metrics.read_text()):
            time.sleep(0.01)
        process.send_signal(number)
        process.wait(timeout=120)
        told.seek(0)
        err = told.read()
    assert "Traceback" not in err
    return process.returncode, err


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(cli: Callable[..., Any], project: Path) -> None:
    """In the middle of epochs, where no checkpoint is due: what was taken is kept, and the rest is the same."""
    options = ["train", "tiny", "--batch-size", "2", "--epochs", "3", "--seed", "3", "--set", "evals=1"]
    options += ["--set", "checkpoint_steps=1000", "--set", "log_steps=1"]
    assert cli(*options, "--run-dir", "whole").code == 0
    again = ["train", "--resume", "cut/tiny-0001"]
    for number, step, command in (
        (signal.SIGINT, 4, [*options, "--run-dir", "cut"]),
        (signal.SIGTERM, 10, again),
    ):
        code, err = cut_at(step, number, *command)
        assert (code, f"vtadapt {' '.join(again)}" in err) == (128 + number, True), err
    assert cli(*again).code == 0
    name = "tiny-0001/model.safetensors"
    assert (project / "cut" / name).read_bytes() == (project / "whole" / name).read_bytes()
    records = [json.loads(line) for line in (project / "cut/tiny-0001/metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["split"] == "train"] == list(range(1, 19))


@pytest.mark.slow
def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("vtadapt")
    start = [str(command)] if command.is_file() else [sys.executable, "-m", "vtadapt"]
    ended = subprocess.run([*start, "prepare-data", "roms"], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("vtadapt: error: unknown data set 'roms'.")
    assert ended.stderr.count("\n") == 1
