"""The command line: what it prints where, and for each thing that can go wrong one line and an exit code."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from vtadapt import __version__
from vtadapt.workflows.run.folder import alone_in

COMMANDS = ("prepare-data", "train", "eval", "predict", "affinity", "visualize-attention", "report", "info")
COMMANDS += ("data-sets", "demo", "compare", "zero-shot", "adapt", "settings", "backbones")

SMALL = {"WEIGHTS": "random", "BATCH_SIZE": "6", "EPOCHS": "1", "ACCELERATOR": "cpu", "PRECISION": "32-true"}


@pytest.fixture
def project(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the tiny packs and one run in their default places."""
    (tmp_path / "data").symlink_to(tiny.data_dir)
    shutil.copytree(tiny.run, tmp_path / "runs" / tiny.run.name)
    Image.new("RGB", (31, 20), (90, 120, 30)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(f"VTADAPT_{name}", value)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


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


WRONG: list[tuple[str, int, str]] = [
    ("train roms", 2, "unknown data set 'roms'. Did you mean 'rooms'"),
    ("train", 2, "no data set given"),
    (
        "train tiny --tasks dept",
        2,
        "unknown task 'dept' for 'tiny'; it has semseg, depth, normals, edges. Did you mean",
    ),
    ("train camvid", 3, "vtadapt prepare-data camvid --source PATH"),
    ("train tiny --set epocs=3", 4, "unknown key 'epocs'; Did you mean 'epochs'"),
    ("train tiny --set epochs", 2, "wanted KEY=VALUE"),
    ("train tiny --set epochs=[", 2, "not a YAML value"),
    ("train tiny --lr -1", 4, "lr = -1.0"),
    ("train tiny --size nonsense", 2, "size 'nonsense'; wanted HEIGHTxWIDTH such as 240x320"),
    ("train tiny --size 4x4", 4, "size.0 = 4"),
    ("train tiny --method slt", 4, "method = 'slt'"),
    ("train tiny --config none.yaml", 4, "cannot read settings 'none.yaml'"),
    ("train tiny --backbone resnet50 --weights random", 4, "method 'adapters' wants a Swin"),
    ("train tiny --weights auto --backbone swin_tiny_patch4_window7_224", 4, "no weights for backbone"),
    ("train tiny --weights none.pth", 4, "no weights at 'none.pth'"),
    ("train tiny --weights photo.png", 4, "cannot read weights 'photo.png'"),
    ("train tiny --accelerator gpx", 4, "accelerator 'gpx'"),
    ("train tiny --batch-size 100", 4, "fewer than one batch"),
    ("train none.yaml", 2, "recipe file 'none.yaml' does not exist"),
    ("prepare-data roms", 2, "Did you mean 'rooms'"),
    ("prepare-data camvid", 2, "needs --source PATH"),
    ("prepare-data camvid --source none", 3, "none: no such file or folder"),
    ("prepare-data rooms --size 2x2", 2, "size 2x2, wanted at least 8x8"),
    ("prepare-data rooms --tasks dept", 2, "Did you mean 'depth'"),
    ("eval demo", 3, "vtadapt prepare-data rooms"),
    ("eval tiny-001", 4, "Did you mean 'tiny-0001'"),
    ("eval tiny-0001 --split vall", 2, "Did you mean 'val'"),
    ("eval tiny-0001 --data camvid", 3, "vtadapt prepare-data camvid --source PATH"),
    ("eval tiny-0001 --data-dir none", 2, "unknown data set 'tiny'"),
    ("eval tiny-0001 --accelerator gpx", 4, "accelerator 'gpx'"),
    ("predict none.jpg", 3, "no image or folder at 'none.jpg'"),
    ("predict photo.png --size nonsense", 2, "wanted auto, native or HEIGHTxWIDTH"),
    ("predict photo.png --device nonsense", 2, "device 'nonsense' cannot be used"),
    ("predict photo.png --run none", 4, "no run 'none'"),
    ("visualize-attention none.jpg", 3, "no image or folder at 'none.jpg'"),
    ("visualize-attention photo.png --run none", 4, "no run 'none'"),
    ("visualize-attention photo.png --tasks dept", 2, "unknown task 'dept' for run 'tiny-0001'; it has semseg, depth"),
    ("visualize-attention photo.png --block 4", 2, "block 4: no such adapted block; there are 0 = stage 3 block 5"),
    ("visualize-attention photo.png --head 16", 2, "head 16: stage 3 block 6 has 8 heads; wanted mean or 0 to 7"),
    ("visualize-attention photo.png --head max", 2, "head 'max'; wanted mean or a number"),
    (
        "visualize-attention photo.png --query 31,5",
        2,
        "query 31,5 is outside photo.png, which is 31 x 20; wanted X from",
    ),
    ("visualize-attention photo.png --query 3", 2, "query '3'; wanted X,Y in pixels"),
    ("visualize-attention photo.png --mode recieved", 2, "Did you mean 'received'"),
    ("visualize-attention photo.png --mode received --query auto", 2, "leave --query out, or use --mode query"),
    ("visualize-attention photo.png --alpha 2", 2, "alpha 2; wanted 0 (photograph only) to 1"),
    ("visualize-attention photo.png --size big", 2, "wanted auto, native or HEIGHTxWIDTH"),
    ("info --size 0x3", 2, "both sides must be positive"),
    ("info --tasks depth", 2, "add --data NAME"),
    ("info --data roms", 2, "Did you mean 'rooms'"),
]


@pytest.mark.parametrize(("line", "code", "said"), WRONG, ids=[line for line, _, _ in WRONG])
@pytest.mark.usefixtures("project")
def test_an_error_is_one_line_and_a_code(cli: Callable[..., Any], line: str, code: int, said: str) -> None:
    ran = cli(*line.split())
    last = ran.err.rstrip("\n").split("\n")[-1]
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert last.startswith("vtadapt: error: ")
    assert said in last
    assert "Traceback" not in ran.err
    assert len([text for text in ran.err.splitlines() if "using the newest run" not in text]) == 1


@pytest.mark.parametrize(
    "line",
    ["nonsense", "train --nonsense", "prepare-data", "predict", "prepare-data rooms --limit 0", "eval --limit x"],
)
def test_typing_errors_end_with_2(cli: Callable[..., Any], line: str) -> None:
    ran = cli(*line.split())
    assert ran.code == 2
    assert "Usage" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("line", ["--debug train roms", "train roms --debug"])
def test_debug_shows_the_traceback(cli: Callable[..., Any], line: str) -> None:
    ran = cli(*line.split())
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("vtadapt: error: unknown data set 'roms'")


def test_broken_packs(cli: Callable[..., Any], project: Path, tiny: Any) -> None:
    (project / "data").unlink()

    def fresh() -> Path:
        shutil.rmtree(project / "data", ignore_errors=True)
        return Path(shutil.copytree(tiny.data_dir / "look", project / "data" / "look"))

    manifest = fresh() / "manifest.json"
    content = json.loads(manifest.read_text())
    semseg = content["recipe"]["tasks"]["semseg"]
    semseg["classes"], semseg["colours"] = semseg["classes"][:3], semseg["colours"][:3]
    manifest.write_text(json.dumps(content))
    ran = cli("train", "look", "--quiet")
    assert ran.code == 3
    assert "label ids" in ran.err
    assert "wanted 0..2 or 255" in ran.err

    file = fresh() / "train.h5"
    file.write_bytes(file.read_bytes()[:-500])
    ran = cli("train", "look", "--quiet")
    assert (ran.code, "cut short?" in ran.err) == (3, True)

    fresh().joinpath("val.h5").unlink()
    ran = cli("train", "look", "--quiet")
    assert (ran.code, "val.h5: no such file" in ran.err) == (3, True)


def test_broken_runs(cli: Callable[..., Any], project: Path) -> None:
    run = project / "runs" / "tiny-0001"
    edit(run / "settings.yaml", "reduction: 4", "reduction: 8")
    for command in (("eval",), ("predict", "photo.png"), ("info",)):
        ran = cli(*command)
        assert ran.code == 4
        assert "of another architecture: adapters.blocks.0.0.bottleneck." in ran.err
    edit(run / "settings.yaml", "reduction: 8", "reduction: 4")
    (run / "model.safetensors").write_bytes(b"\0" * 64)
    ran = cli("eval")
    assert (ran.code, "broken checkpoint 'runs/tiny-0001/model.safetensors'" in ran.err) == (4, True)
    (run / "config.json").write_text("[]")
    ran = cli("eval")
    assert (ran.code, "holds a list; wanted a JSON object" in ran.err) == (4, True)


def test_a_full_disk(cli: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    ran = cli("train", "tiny")
    assert (ran.code, ran.out) == (3, "")
    assert "no space left on the disk while writing runs/tiny-0002/settings.yaml" in ran.err
    ran = cli("predict", "photo.png", "--raw", "--out", "seen")
    assert ran.code in (3, 5)
    assert "No space left" in ran.err or "no space left" in ran.err
    assert not list((project / "seen").iterdir())


def test_a_run_is_trained_by_one_process_at_a_time(cli: Callable[..., Any], project: Path) -> None:
    run = project / "runs" / "tiny-0001"
    with alone_in(run):
        ran = cli("train", "--resume", "tiny-0001", "--quiet")
    assert (ran.code, "another process is training 'runs/tiny-0001'" in ran.err) == (4, True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_run_goes_on_to_the_same_weights(cli: Callable[..., Any], project: Path, number: int) -> None:
    """In the middle of an epoch, where no checkpoint is due: what was taken is kept, and the rest is the same."""
    options = ["train", "tiny", "--batch-size", "2", "--epochs", "6", "--seed", "3", "--set", "evals=1"]
    options += ["--set", "checkpoint_steps=1000", "--set", "log_steps=1"]
    assert cli(*options, "--run-dir", "whole").code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "vtadapt", *options, "--run-dir", "cut"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # the background ignores it
    )
    metrics = project / "cut" / "tiny-0001" / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and len(metrics.read_text().splitlines()) > 8):
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate()
    assert (process.returncode, "vtadapt train --resume cut/tiny-0001" in err) == (128 + number, True), err
    assert "Traceback" not in err
    steps = len(metrics.read_text().splitlines())
    assert 8 < steps < 36
    assert cli("train", "--resume", "cut/tiny-0001").code == 0
    name = "tiny-0001/model.safetensors"
    assert (project / "cut" / name).read_bytes() == (project / "whole" / name).read_bytes()
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [r["step"] for r in records if r["split"] == "train"] == list(range(1, 37))


def test_a_loss_that_is_no_number(cli: Callable[..., Any], project: Path) -> None:
    ran = cli("train", "tiny", "--epochs", 2, "--lr", "1e30", "--quiet")
    assert (ran.code, ran.out) == (5, "")
    assert len(ran.err.splitlines()) == 1
    assert "loss of task '" in ran.err
    assert "lower --lr" in ran.err
    assert not (project / "runs" / "tiny-0002" / "results.json").exists()


@pytest.mark.slow
def test_the_installed_command() -> None:
    command = Path(sys.executable).with_name("vtadapt")
    start = [str(command)] if command.is_file() else [sys.executable, "-m", "vtadapt"]
    ended = subprocess.run([*start, "prepare-data", "roms"], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("vtadapt: error: unknown data set 'roms'.")
    assert ended.stderr.count("\n") == 1
