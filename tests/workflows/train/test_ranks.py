"""Several processes: they train together, do not wait for labels that one of them lacks, and measure the same.

So do affinities: their sums over the same images do not depend on how many processes took them.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from vtadapt.workflows.affinity.measure import AffinityOptions, measure_affinity
from vtadapt.workflows.evaluate.evaluate import evaluate_run
from vtadapt.workflows.run.checkpoint import load_state, read_tensors
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train

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


def losses(run: str) -> list[dict[str, float]]:
    """Of each step."""
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["split"] == "train"]


@pytest.mark.slow
def test_torchrun_trains_one_run_with_the_losses_of_one_process(tiny: Any, tmp_path: Path) -> None:
    """Labels are unevenly spread: in most steps the two have different numbers of labelled pixels, or none."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(free_port()),
    ]
    command = ["-m", "vtadapt", "train", "look+shape", *SETTINGS, "--batch-size", "1", "--json"]
    command += ["--data-dir", str(tiny.data_dir), "--run-dir", str(tmp_path / "two"), "--set", "log_steps=1"]
    ended = subprocess.run([*launcher, *command], capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    two = json.loads(ended.stdout)["run"]
    assert [path.name for path in (tmp_path / "two").iterdir()] == [Path(two).name]
    assert load(Path(two) / "settings.yaml").devices == 2
    changes = {"data": "look+shape", "batch_size": 2, "epochs": 1, "log_steps": 1}
    one = train(tiny.other(tmp_path / "one", **changes), quiet=True)["run"]
    found, wanted = losses(two), losses(one)
    assert [list(step) for step in found] == [list(step) for step in wanted]
    for step, wanted_step in zip(found[:2], wanted[:2], strict=True):  # later rounding drives them apart
        assert step == pytest.approx(wanted_step, abs=2e-5)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc here")
def test_the_others_end_with_a_first_process_that_is_killed(tiny: Any, tmp_path: Path) -> None:
    """While they wait for it to begin, which they would do for half an hour."""
    command = [sys.executable, "-m", "vtadapt", "train", "tiny", *SETTINGS, "--devices", "2"]
    command += ["--data-dir", str(tiny.data_dir), "--run-dir", str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    end = time.monotonic() + 60
    while not (others := children.read_text().split()) and time.monotonic() < end:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert others
    end = time.monotonic() + 60
    while any(runs(int(other)) for other in others) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [other for other in others if runs(int(other))]


def runs(process: int) -> bool:
    """Whether a process is there and no zombie, which nobody may fetch in a container."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
