"""Ctrl-C and SIGTERM to the process of a command: one line says how to go on, and nothing is half written."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from vtadapt import cli
from vtadapt.workflows.affinity import measure
from vtadapt.workflows.gain import grid
from vtadapt.workflows.predict.photograph import PhotographSteps
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.sweep.trials import Trial
from vtadapt.workflows.train.state import LAST

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that are copies of this one here")
AGAIN = "interrupted; to go on: the same command again: what is finished is kept"
SHORT = ["--steps", "5000", "--set", "weights=random", "--batch-size", "1", "--set", "val_images=1", "--quiet"]


class Signal(NamedTuple):
    """Which signal is sent when, inside the command's process.

    Attributes:
        number: of the signal.
        owner: of what is watched.
        name: of a function there; it is called, and the signal is sent where ``due`` says so of what came of it.
        group: whether the command's children get it, too, as of Ctrl-C in a terminal.
    """

    number: int
    owner: Any
    name: str
    due: Callable[[Any], bool]
    group: bool = False


def _watch(sent: Signal) -> None:
    whole = getattr(sent.owner, sent.name)
    came: list[bool] = []

    def watched(*given: Any, **named: Any) -> Any:
        found = whole(*given, **named)
        if not came and sent.due(found):
            came.append(True)
            (os.killpg if sent.group else os.kill)(os.getpid(), sent.number)
        return found

    setattr(sent.owner, sent.name, watched)


def _command(arguments: list[str], sent: Signal, told: Path) -> None:
    """What the process does; a copy of this one, since starting Python and torch anew takes seconds."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with told.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["vtadapt", *arguments]
    _watch(sent)
    code = 1
    with contextlib.suppress(SystemExit):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    sys.stderr.flush()
    os._exit(code)


def interrupted(folder: Path, sent: Signal, *arguments: Any) -> str:
    """Run a command that gets a signal: the line that it ends with, the only one; its exit code is the signal's."""
    told = folder / "told"
    process = multiprocessing.get_context("fork").Process(
        target=_command, args=([str(argument) for argument in arguments], sent, told)
    )
    process.start()
    process.join(600)
    process.kill()
    text = told.read_text(encoding="utf-8")
    assert process.exitcode == 128 + sent.number, text
    assert "Traceback" not in text
    assert text.count("to go on") == 1
    left = [path for path in folder.rglob("*") if ".partial" in path.name]
    assert not left
    assert all(path.read_bytes() == b"" for path in folder.rglob(".lock")), "who has ended holds nothing"
    return text.splitlines()[-1]


def _newest_is_kept(run: Path) -> None:
    steps = [line["step"] for line in files.read_lines(run / files.METRICS)]
    assert steps
    assert checkpoint.load_state(run / LAST).about["step"] == max(steps)


@pytest.mark.slow
def test_compare_keeps_the_newest_step_of_what_it_trains(tiny: Any, tmp_path: Path) -> None:
    sent = Signal(signal.SIGTERM, Trial, "step", lambda step: step >= 2)
    options = ["--methods", "linear", "--seeds", "1", "--budget", "steps=5000", "--set", "log_steps=1", *SHORT[2:]]
    out = tmp_path / "out"
    line = interrupted(tmp_path, sent, "compare", "tiny", *options, "--data-dir", tiny.data_dir, "--out", out)
    assert line == f"vtadapt: {AGAIN}"
    assert {path.name for path in out.iterdir()} == {".lock", "linear-seed0"}
    _newest_is_kept(out / "linear-seed0")


@pytest.mark.slow
def test_ctrl_c_reaches_what_adapt_trains_too(tiny: Any, tmp_path: Path) -> None:
    sent = Signal(signal.SIGINT, Trial, "step", lambda step: step >= 2, group=True)
    options = ["--set", "log_steps=1", *SHORT, "--no-oracle", "--data-dir", tiny.data_dir, "--out", tmp_path / "out"]
    assert interrupted(tmp_path, sent, "adapt", "tiny", "look", *options) == f"vtadapt: {AGAIN}"
    assert not (tmp_path / "out" / "adapt.json").exists()
    _newest_is_kept(tmp_path / "out" / "adapters@source-only-seed0")


@pytest.mark.slow
def test_affinity_gain_ends_its_workers(tiny: Any, tmp_path: Path) -> None:
    """With many trainings waiting: none of them is begun, and what is finished is kept."""
    out = tmp_path / "out"
    sent = Signal(signal.SIGINT, grid, "_result_of", lambda _: True, group=True)
    asked = ["--scarce", 3, "--images", 10, "--measure", "top", "--by", "labels", "--steps", 2, "--seeds", 40]
    others = ["--jobs", 2, "--weights", "random", "--batch-size", 2, "--quiet", "--data-dir", tiny.data_dir]
    line = interrupted(tmp_path, sent, "affinity-gain", "tiny", *asked, *others, "--out", out)
    assert line == f"vtadapt: {AGAIN}"
    assert len(list((out / "cells").iterdir())) < 40  # of 480
    assert not (out / "gain.json").exists()


@pytest.mark.slow
def test_zero_shot_ends_what_it_has_just_started(tiny: Any, runs: Callable[..., Path], tmp_path: Path) -> None:
    sent = Signal(signal.SIGTERM, Trial, "step", lambda step: step == 0)
    options = ["--task", "normals", "--labels", "semseg,depth", "--from", runs(), "--steps", "5000", "--quiet"]
    places = ["--data-dir", tiny.data_dir, "--out", tmp_path / "out"]
    assert interrupted(tmp_path, sent, "zero-shot", "tiny", *options, *places) == f"vtadapt: {AGAIN}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(".lock", "zero-shot-seed0", "uniform-seed0", "oracle-seed0")
    }


def test_affinity_writes_whole_files_or_none(runs: Callable[..., Path], tmp_path: Path) -> None:
    run, out = runs(), tmp_path / "out"
    before = sorted(path.name for path in run.iterdir())
    asked = ["affinity", run, "--batches", 2, "--batch-size", 2, "--out", out, "--quiet"]
    line = interrupted(tmp_path, Signal(signal.SIGINT, measure, "_observe", lambda _: True), *asked)
    assert line == "vtadapt: interrupted; to go on: the same command again; no file is half written"
    assert not out.exists()
    line = interrupted(tmp_path, Signal(signal.SIGTERM, files, "write_arrays", lambda _: True), *asked)
    assert line == "vtadapt: interrupted; to go on: the same command again"
    assert {path.name for path in out.iterdir()} == {".lock", "affinity.npz"}
    with np.load(out / "affinity.npz") as arrays:
        assert arrays["matrix"].shape == (4, 4)
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_predict_leaves_whole_files_only(tiny: Any, tmp_path: Path, number: int) -> None:
    photographs = [tmp_path / f"{name}.png" for name in "abc"]
    for path in photographs:
        Image.new("RGB", (20, 16), (90, 120, 30)).save(path)
    seen: list[Any] = []
    sent = Signal(number, PhotographSteps, "predict", lambda found: seen.append(found) or len(seen) == 2)
    options = ["--format", "panel,npz,json", "--out", tmp_path / "out"]
    line = interrupted(tmp_path, sent, "predict", *photographs, "--run", tiny.run, *options)
    assert line == "vtadapt: interrupted; to go on: the same command again; no file is half written"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a_panel.png", "a.npz", "a.json"}
    json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    with Image.open(tmp_path / "out" / "a_panel.png") as panel:
        panel.load()
