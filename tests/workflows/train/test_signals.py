"""Real signals to real processes: the newest step is kept, one line says how to go on, and the end is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.train.cutting import assert_same
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.terminal.interrupt import Ended
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import Trainer

# Sends the signal where METHOD of the Trainer is called at step AT: in a step, in an evaluation, between them.
SCRIPT = """
import os, signal, sys
from vtadapt import cli
from vtadapt.workflows.train.trainer import Trainer

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
whole = Trainer.METHOD
def guarded(self, *given, **named):
    if self.step == AT:
        os.kill(os.getpid(), NUMBER)
    return whole(self, *given, **named)
Trainer.METHOD = guarded
sys.argv = ["vtadapt", "train", "--config", sys.argv[1], "--quiet"]
cli.main()
"""


def signalled(settings: Any, folder: Path, method: str, at: int, number: int) -> subprocess.CompletedProcess[str]:
    """Train in another process, which gets a signal."""
    file = folder / "mine.yaml"
    file.write_text(settings.to_yaml(), encoding="utf-8")
    script = SCRIPT.replace("METHOD", method).replace("AT", str(at)).replace("NUMBER", str(int(number)))
    command = [sys.executable, "-c", script, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "method", "at", "kept", "pending"),
    [
        pytest.param(signal.SIGTERM, "_step", 4, 5, False, id="SIGTERM in a step"),
        pytest.param(signal.SIGINT, "_validate", 3, 3, True, id="Ctrl-C in an evaluation"),
        pytest.param(signal.SIGHUP, "_evaluate", 6, 6, True, id="SIGHUP in the last evaluation"),
    ],
)
def test_the_newest_step_is_kept(
    tiny: Any, tmp_path: Path, number: int, method: str, at: int, kept: int, pending: bool
) -> None:
    ended = signalled(tiny.other(tmp_path / "runs", checkpoint_steps=1000), tmp_path, method, at, number)
    run = tmp_path / "runs" / "tiny-0001"
    assert ended.returncode == 128 + number, ended.stderr
    assert ended.stderr.splitlines()[-1] == f"vtadapt: interrupted; to go on: vtadapt train --resume {run}"
    assert "Traceback" not in ended.stderr
    about = checkpoint.load_state(run / LAST).about
    assert (about["step"], bool(about.get("pending"))) == (kept, pending)
    train(tiny.settings, resume=run, quiet=True)
    assert_same(run, tiny.run)


def test_an_interruption_anywhere_ends_the_same(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between an evaluation and its checkpoint, after the best weights are written, before the first step."""

    def interrupt(method: str, when: Callable[[Trainer], bool], after: bool) -> None:
        whole = getattr(Trainer, method)

        def guarded(self: Trainer, *given: Any) -> Any:
            due = when(self)
            found = whole(self, *given) if after or not due else None
            if due:
                raise Ended(signal.SIGTERM)
            return found

        patch.setattr(Trainer, method, guarded)

    places: list[tuple[str, Callable[[Trainer], bool], bool, int | None]] = [
        ("_validate", lambda t: t.step == 3, True, 3),
        ("_checkpoint", lambda t: t.step == 6, False, 6),
        ("_epoch", lambda t: t.step == 0, False, None),
    ]
    for number, (method, when, after, kept) in enumerate(places):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            interrupt(method, when, after)
            with pytest.raises(KeyboardInterrupt) as caught:
                train(tiny.other(folder, checkpoint_steps=1000), quiet=True)
        run = folder / "tiny-0001"
        assert caught.value.__notes__ == [f"vtadapt train --resume {run}"]
        assert (checkpoint.load_state(run / LAST).about["step"] if (run / LAST).exists() else None) == kept
        train(tiny.settings, resume=run, quiet=True)
        assert_same(run, tiny.run)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["split"] == "val"] == [3, 6]


@pytest.mark.slow
def test_two_processes_stop_at_the_same_step(tiny: Any, tmp_path: Path) -> None:
    """A signal to the first process only; both keep what they did together."""
    settings = tiny.other(tmp_path / "runs", devices=2, batch_size=1, checkpoint_steps=1000, log_steps=1, epochs=30)
    (tmp_path / "mine.yaml").write_text(settings.to_yaml(), encoding="utf-8")
    run = tmp_path / "runs" / "tiny-0001"
    with (tmp_path / "stderr").open("w+") as told:
        command = [sys.executable, "-m", "vtadapt", "train", "--config", str(tmp_path / "mine.yaml"), "--quiet"]
        process = subprocess.Popen(command, stderr=told, env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            metrics, end = run / "metrics.jsonl", time.monotonic() + 900
            while not (metrics.is_file() and '"step": 5,' in metrics.read_text()):
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=600) == 143
        finally:
            process.kill()
        told.seek(0)
        text = told.read()
    assert text.count("interrupted; to go on: vtadapt train --resume") == 1
    assert "Traceback" not in text
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert checkpoint.load_state(run / LAST).about["step"] == max(steps)
