"""Runs that end before they are done, and what they must be equal to once they have gone on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import Trainer

KILLED = """
import os, signal, sys
from pathlib import Path
from MODULE import OWNER
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.train import train

step = OWNER._step
def killed(self, batch):
    if self.step == AT:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch)

OWNER._step = killed
train(load(Path(sys.argv[1])), quiet=True)
"""


def kill_9(settings: TrainSettings, file: Path, owner: type, at: int) -> int:
    """Train in another process, until it is killed where ``owner`` begins the step after ``at``; returns its id."""
    file.write_text(settings.to_yaml(), encoding="utf-8")
    script = KILLED.replace("MODULE", owner.__module__).replace("OWNER", owner.__name__).replace("AT", str(at))
    ended = subprocess.Popen([sys.executable, "-c", script, str(file)])
    assert ended.wait(timeout=120) == -signal.SIGKILL
    return ended.pid


class CutError(Exception):
    """Stands for whatever ends a run."""


def cut(monkeypatch: pytest.MonkeyPatch, method: str, when: Callable[[Trainer], bool]) -> None:
    """End the run where ``method`` is called and ``when`` holds."""
    whole = getattr(Trainer, method)

    def guarded(self: Trainer, *arguments: Any) -> Any:
        if when(self):
            raise CutError
        return whole(self, *arguments)

    monkeypatch.setattr(Trainer, method, guarded)


def assert_same(run: Path, reference: Path) -> None:
    """Weights, optimiser state, best checkpoint, log and results are equal, bit for bit."""
    for name in ("model.safetensors", "checkpoints/best/model.safetensors", "checkpoints/last/state.safetensors"):
        (found, about), (wanted, wanted_about) = (checkpoint.read_tensors(path / name) for path in (run, reference))
        assert {**about, "seconds": 0} == {**wanted_about, "seconds": 0}
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted), name
    assert (run / "metrics.jsonl").read_text() == (reference / "metrics.jsonl").read_text()
    results, wanted_results = (json.loads((path / "results.json").read_text()) for path in (run, reference))
    assert results["metrics"] == wanted_results["metrics"]
    assert {path.name for path in run.rglob(".*")} <= {".lock"}, "no temporary file is left; the lock stays by design"


def cut_and_resume(settings: TrainSettings, monkeypatch: pytest.MonkeyPatch, method: str) -> Path:
    """The run folder of a training of ``tiny`` that was cut in ``method`` of step 5, saved at 4, and then went on."""
    with monkeypatch.context() as patch:
        cut(patch, method, lambda t: t.step == 5)
        with pytest.raises(CutError):
            train(settings, quiet=True)
    run = settings.run_dir / "tiny-0001"
    assert checkpoint.load_state(run / LAST).about["step"] == 4
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    return run
