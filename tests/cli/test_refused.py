"""The command line: for each thing that can go wrong one line and an exit code."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.edited import edit
from vtadapt.checked import parse_json
from vtadapt.workflows.run.folder import alone_in
from vtadapt.workflows.train.trainer import Trainer

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
    content = parse_json(manifest.read_bytes())
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
    assert (ran.code, ran.out) == (5, "")
    assert "no space left on the disk while writing runs/tiny-0002/packs.json" in ran.err
    ran = cli("predict", "photo.png", "--raw", "--out", "seen")
    assert ran.code == 5
    assert "No space left" in ran.err or "no space left" in ran.err
    assert not list((project / "seen").iterdir())


def test_a_run_is_trained_by_one_process_at_a_time(cli: Callable[..., Any], project: Path) -> None:
    run = project / "runs" / "tiny-0001"
    with alone_in(run):
        ran = cli("train", "--resume", "tiny-0001", "--quiet")
    assert (ran.code, "another process is training 'runs/tiny-0001'" in ran.err) == (4, True)


def test_a_loss_that_is_no_number(cli: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer._step

    def diverging(self: Trainer, batch: Any) -> Any:
        found = step(self, batch)
        for parameter in self.core.trained_parameters():
            parameter.data.fill_(torch.nan)
        return found

    monkeypatch.setattr(Trainer, "_step", diverging)
    ran = cli("train", "tiny", "--epochs", 2, "--quiet")
    assert (ran.code, ran.out) == (5, "")
    assert len(ran.err.splitlines()) == 1
    assert "loss of task '" in ran.err
    assert "lower --lr" in ran.err
    assert not (project / "runs" / "tiny-0002" / "results.json").exists()
