"""Several processes: they train together, do not wait for labels that one of them lacks, and measure the same.

So do affinities: their sums over the same images do not depend on how many processes took them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vtadapt.workflows.affinity.measure import AffinityOptions, measure_affinity
from vtadapt.workflows.evaluate.evaluate import evaluate_run
from vtadapt.workflows.run.checkpoint import load_state, read_tensors
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import LAST

SETTINGS = ("--weights", "random", "--precision", "32-true", "--accelerator", "cpu", "--epochs", "1")


def launch(tiny: Any, run_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Train on two processes through the command line."""
    return on_two("train", *arguments, *SETTINGS, "--data-dir", str(tiny.data_dir), "--run-dir", str(run_dir))


def on_two(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on two processes."""
    command = [sys.executable, "-m", "vtadapt", *arguments, "--devices", "2"]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def assert_same_matrices(found: dict[str, Any], wanted: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        for row, wanted_row in zip(found[key], wanted[key], strict=True):
            assert row == pytest.approx(wanted_row, rel=0, abs=1e-5), key


@pytest.mark.slow
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


@pytest.mark.slow
def test_two_processes_learn_the_affinity_of_one(tiny: Any, tmp_path: Path) -> None:
    ended = launch(
        tiny, tmp_path / "two", "tiny", "--batch-size", "2", "--json", "--set", "troa_every=1", "--set", "val_images=2"
    )
    assert ended.returncode == 0, ended.stderr
    one = train(tiny.other(tmp_path / "one", batch_size=4, epochs=1, troa_every=1, val_images=2), quiet=True)
    two = json.loads(ended.stdout)
    found, wanted = (json.loads((Path(r["run"]) / "affinity.json").read_text()) for r in (two, one))
    assert len(found["history"]) == len(wanted["history"]) == 3
    # The first update, before the weights have been trained: the very same images, halved.
    keys = ("matrix", "mean", "sd", "error", "weights", "effective")
    assert_same_matrices(found["history"][0], wanted["history"][0], keys)
    # Gradients add up in another order: later the two runs drift apart by rounding.
    assert found["history"][2]["effective"] == wanted["history"][2]["effective"]


@pytest.mark.slow
def test_two_processes_measure_the_affinity_of_one(tiny: Any, tmp_path: Path) -> None:
    ended = on_two(
        *("affinity", str(tiny.run), "--measure", "troa", "--batches", "3", "--batch-size", "4", "--per-block"),
        *("--accelerator", "cpu", "--out", str(tmp_path), "--json"),
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)  # one document, from one of the processes
    options = AffinityOptions("troa", batches=3, batch_size=4, per_block=True, accelerator="cpu")
    wanted = measure_affinity(tiny.run, options, True)
    keys = ("matrix", "mean", "sd", "error", "count")
    assert_same_matrices(found, wanted, keys)
    assert found["marked"] == wanted["marked"]
    assert found["split_half"] == pytest.approx(wanted["split_half"], abs=1e-3)
    for block, matrices in wanted["blocks"].items():
        assert_same_matrices(found["blocks"][block], matrices, keys)


@pytest.mark.slow
def test_two_processes_hold_a_task(tiny: Any, tmp_path: Path) -> None:
    """What is of a held task alone gets no gradient in any process; none waits for it."""
    start = ("--set", f"start={tiny.run}", "--set", "held=normals,edges", "--set", "affinity=start", "--json")
    ended = launch(tiny, tmp_path, "tiny", "--batch-size", "2", "--set", "val_images=2", *start)
    assert ended.returncode == 0, ended.stderr
    before, after = (
        read_tensors(Path(run) / "model.safetensors")[0] for run in (tiny.run, json.loads(ended.stdout)["run"])
    )
    kept = {key for key in before if torch.equal(before[key], after[key])}
    assert kept == {"affinity", *(f"heads.heads.{t}.{k}" for t in ("normals", "edges") for k in ("weight", "bias"))}


@pytest.mark.slow
def test_two_processes_adapt_with_the_discriminator_of_one(tiny: Any, tmp_path: Path) -> None:
    """Same images in a step: D's gradients are those of one process, whatever Adam makes of the smallest of them."""
    sets = ["--set", "target=shape", "--set", "discriminator_width=4", "--set", "checkpoint_steps=1"]
    ended = launch(tiny, tmp_path / "two", "tiny", "--tasks", "semseg", "--batch-size", "2", *sets)
    assert ended.returncode == 0, ended.stderr
    changes = {"tasks": ["semseg"], "target": "shape", "discriminator_width": 4, "epochs": 1}
    one = Path(train(tiny.other(tmp_path / "one", **changes), quiet=True)["run"])
    trainer = build_trainer(tiny.other(tmp_path / "start", **changes), quiet=True)
    found, wanted = (load_state(run / LAST).method for run in (tmp_path / "two" / "tiny-0001", one))
    for key, start in trainer.objective.state().items():
        if key.endswith("original"):
            moved = [(state[key] - start).flatten() for state in (found, wanted)]
            assert float(torch.cosine_similarity(*moved, dim=0)) > 0.99, key
        if key.startswith("ratios"):
            assert found[key].any()
            assert torch.allclose(found[key], wanted[key], atol=1e-4), key
