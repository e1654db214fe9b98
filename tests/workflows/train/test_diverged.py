"""Runs that diverge and predictions that are no numbers: named, and never what a run keeps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt
from vtadapt.errors import VtadaptError
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.sizing.finite import NotFiniteError, need_finite
from vtadapt.workflows.train.state import BEST, LAST
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import Trainer


def poison(monkeypatch: pytest.MonkeyPatch, at: int, value: float) -> None:
    """Let one weight become ``value`` in the step after ``at``, as an update that overflows does."""
    step = Trainer._step

    def poisoned(self: Trainer, batch: Any) -> Any:
        losses = step(self, batch)
        if self.step == at:
            with torch.no_grad():
                next(iter(self.core.trained_parameters())).view(-1)[0] = value
        return losses

    monkeypatch.setattr(Trainer, "_step", poisoned)


@pytest.mark.parametrize("at", [1, 3, 5], ids=["first checkpoint", "checkpoint", "last step"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_weights_are_never_kept(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, value: float
) -> None:
    poison(monkeypatch, at, value)
    with pytest.raises(VtadaptError, match="NaN|nan|inf|diverge") as caught:
        train(tiny.other(tmp_path, checkpoint_steps=2), quiet=True)
    assert caught.value.exit_code == 5
    assert "--lr" in str(caught.value)
    run = tmp_path / "tiny-0001"
    assert not (run / "model.safetensors").exists() and not (run / "results.json").exists()
    assert (run / LAST).exists() == (at > 1)
    for place in (place for place in (LAST, BEST) if (run / place).exists()):
        tensors, about = checkpoint.read_tensors(run / place)
        assert about["step"] <= at
        assert all(value.isfinite().all() for value in tensors.values())


def test_gradients_that_are_no_numbers_change_nothing(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtadapt.workflows.train.methods.base import Objective

    clip, seen = Objective.clip, []

    def poisoned(self: Objective, model: Any, optimiser: Any) -> None:
        next(p for p in model.parameters() if p.grad is not None).grad.view(-1)[0] = torch.nan
        before = [p.detach().clone() for p in model.parameters()]
        try:
            clip(self, model, optimiser)
        finally:
            seen.append(all(map(torch.equal, before, model.parameters())))

    monkeypatch.setattr(Objective, "clip", poisoned)
    with pytest.raises(VtadaptError, match="gradients are nan: the run diverges.*--lr"):
        train(tiny.other(tmp_path), quiet=True)
    assert seen == [True]


@pytest.fixture
def broken(tiny: Any, tmp_path: Path) -> Path:
    """A run whose weights are NaN, as runs of before could be."""
    run = Path(shutil.copytree(tiny.run, tmp_path / "run"))
    tensors, about = checkpoint.read_tensors(run / "model.safetensors")
    name = next(name for name in tensors if "heads" in name and name.endswith("weight"))
    tensors[name].view(-1)[0] = torch.nan
    checkpoint.write_tensors(run / "model.safetensors", tensors, about)
    return run


def test_predictions_that_are_no_numbers_are_an_error(
    cli: Callable[..., Any], broken: Path, tiny: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (60, 44), (90, 120, 30)).save(folder / f"{name}.png")
    (folder / "c.png").write_bytes(b"none")
    for size in ("auto", "native"):
        alone = cli("predict", folder / "a.png", "--run", broken, "--out", tmp_path / "out", "--size", size)
        assert (alone.code, alone.out) == (5, "")
        assert alone.err.count("\n") == 1
        assert "a.png" in alone.err and "NaN or infinite" in alone.err
        assert not list((tmp_path / "out").iterdir())
    ran = cli("predict", folder, "--run", broken, "--out", tmp_path / "out", "--raw")
    assert ran.code == 5
    assert "3 of 3 files could not be read or predicted and were left out: a.png, b.png, c.png" in ran.err
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(NotFiniteError, match="NaN"):
        vtadapt.load(broken).predict(np.zeros((44, 60, 3), np.uint8))
    with pytest.raises(NotFiniteError, match="predictions of task '.*' for .* are NaN or infinite"):
        evaluate_run(broken, EvalOptions(data_dir=tiny.data_dir))
    ran = cli("eval", broken, "--data-dir", tiny.data_dir)
    assert (ran.code, ran.err.count("\n"), "Traceback" in ran.err) == (5, 1, False)


def test_what_is_finite_passes() -> None:
    large = {"a": torch.full((1, 1, 4, 4), 3e38), "b": torch.tensor([[[[60000.0]]]], dtype=torch.half)}
    assert need_finite(large) is large
    broken = torch.zeros(1, 1, 4, 4)
    broken[0, 0, 1, 2] = torch.inf
    with pytest.raises(NotFiniteError, match=r"task 'a' are NaN or infinite \(6.2 % of them\)"):
        need_finite({"a": broken})
