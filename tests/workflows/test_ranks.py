"""Several processes: they train together, do not wait for labels that one of them lacks, and measure the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vtadapt.workflows.eval import evaluate_run

SETTINGS = ("--weights", "random", "--precision", "32-true", "--accelerator", "cpu", "--epochs", "1")


def launch(tiny: Any, run_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Train on two processes through the command line."""
    folders = ("--data-dir", str(tiny.data_dir), "--run-dir", str(run_dir))
    command = [sys.executable, "-m", "vtadapt", "train", *arguments, *SETTINGS, "--devices", "2", *folders]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environ)


def test_two_processes_train_and_measure_like_one(tiny: Any, tmp_path: Path) -> None:
    # One image a step and process: in most steps each of the two lacks the other's tasks.
    ended = launch(tiny, tmp_path, "look+shape", "--batch-size", "1", "--json", "--set", "log_steps=1")
    assert ended.returncode == 0, ended.stderr
    results = json.loads(ended.stdout)  # one document, from one of the processes
    assert results["steps"] == 12
    run = Path(results["run"])
    assert [p.name for p in tmp_path.iterdir()] == [run.name]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(1, 13))
    alone = evaluate_run(run)["metrics"]
    for data, tasks in results["metrics"].items():
        for task, metrics in tasks.items():
            assert alone[data][task] == pytest.approx(metrics, rel=1e-9), (data, task)
