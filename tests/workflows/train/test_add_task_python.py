"""``vtadapt.add_task``: a task more from Python, by a run's name or its model; what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vtadapt
from vtadapt.errors import ConfigError, UsageError


def test_a_task_more(runs: Callable[..., Path], tmp_path: Path) -> None:
    before = vtadapt.load(shutil.copytree(runs(tasks=["semseg", "depth"]), tmp_path / "runs" / "mine"))
    found = vtadapt.add_task("mine", "normals", run_dir=tmp_path / "runs", steps=2, lr=0.001)
    assert [*before.tasks, "normals"] == [*found.tasks]
    rgb = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    out, old = found.predict(rgb), before.predict(rgb)
    assert all((out[name] == array).all() for name, array in old.items())
    assert out["normals"].shape == (40, 56, 3)
    both = vtadapt.add_task(before, "edges", "look", steps=1)  # the model is of before; its folder knows normals
    assert [*both.tasks] == ["semseg", "depth", "normals", "edges"]
    assert both.path == before.path
    for model, task, settings, error, match in (
        (both, "edges", {}, ConfigError, "has task 'edges' already"),
        (both, "surface", {"step": 3}, ConfigError, "unknown key 'step'.*'steps'"),
        (both, "surface", {"decoder_width": 8}, ConfigError, "'decoder_width' is the run's own"),
        (vtadapt.create(["depth"], size=(64, 64)), "edges", {}, UsageError, "this model is in none, model.save"),
    ):
        with pytest.raises(error, match=match):
            vtadapt.add_task(model, task, **settings)
