"""Resuming is exact: a run that was cut anywhere ends bit for bit like one that was not."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.train.cutting import CutError, assert_same, cut, kill_9
from vtadapt.atomic import temporary_name
from vtadapt.checked import parse_json
from vtadapt.errors import ConfigError, DataError
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import Trainer


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines() if "train" in line]


@pytest.mark.slow
def test_after_kill_9_in_the_middle_of_an_epoch(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = kill_9(tiny.other(tmp_path / "runs"), tmp_path / "settings.yaml", Trainer, 5)
    run = tmp_path / "runs" / "tiny-0001"
    assert steps(run) == [1, 2, 3, 4, 5]
    assert checkpoint.load_state(run / LAST)[3]["step"] == 4
    with monkeypatch.context() as patch:  # what a kill in the middle of writing leaves
        patch.setattr(os, "getpid", lambda: pid)
        temporary_name(run / LAST).write_bytes(b"half")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "spl')
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    assert_same(run, tiny.run)
    assert steps(run) == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "when", "restored"),
    [
        pytest.param("_step", lambda t: t.step == 1, None, id="before the first checkpoint"),
        pytest.param("_epoch", lambda t: t.step == 3, 3, id="between two epochs"),
        pytest.param("_validate", lambda t: t.step == 3, 2, id="before the evaluation of an epoch"),
        pytest.param("_finish", lambda t: True, 6, id="before the results"),  # noqa: ARG005
    ],
)
def test_wherever_it_was_cut(
    tiny: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    when: Callable[[Trainer], bool],
    restored: int | None,
) -> None:
    settings = tiny.other(tmp_path)
    with monkeypatch.context() as patch:
        cut(patch, method, when)
        with pytest.raises(CutError):
            train(settings, quiet=True)
    run = tmp_path / "tiny-0001"
    assert (run / LAST).exists() == (restored is not None)
    if restored is not None:
        assert checkpoint.load_state(run / LAST)[3]["step"] == restored
    train(settings, resume=run, quiet=True)
    assert_same(run, tiny.run)


def test_a_checkpoint_at_the_last_step_does_not_skip_the_evaluation(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.other(tmp_path, checkpoint_steps=3)  # an epoch has 3 steps
    with monkeypatch.context() as patch:
        cut(patch, "_validate", lambda t: t.step == 3)
        with pytest.raises(CutError):
            train(settings, quiet=True)
    run = tmp_path / "tiny-0001"
    train(settings, resume=run, quiet=True)
    assert_same(run, tiny.run)


def test_a_finished_run_is_only_measured_again(tiny: Any, tmp_path: Path) -> None:
    first = train(tiny.other(tmp_path, epochs=1, val_images=2), quiet=True)
    log = (Path(first["run"]) / "metrics.jsonl").read_text()
    again = train(tiny.settings, resume=Path(first["run"]), quiet=True)
    assert again["metrics"] == first["metrics"]
    assert again["train_seconds"] == pytest.approx(first["train_seconds"], abs=0.2)
    assert (Path(first["run"]) / "metrics.jsonl").read_text() == log


def test_seconds_add_up_over_the_sessions_of_a_run(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes 100 seconds on a clock that is not the one on the wall, which goes back."""
    now, wall, step = [1000.0], [2e9], Trainer._step

    def slow(self: Trainer, batch: Any) -> Any:
        now[0] += 100
        wall[0] -= 1e6
        return step(self, batch)

    monkeypatch.setattr("vtadapt.workflows.train.cost.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("vtadapt.workflows.train.cost.time.time", lambda: wall[0])
    monkeypatch.setattr(Trainer, "_step", slow)
    with monkeypatch.context() as patch:
        cut(patch, "_epoch", lambda t: t.step == 3)
        with pytest.raises(CutError):
            train(tiny.other(tmp_path, val_images=2), quiet=True)
    run = tmp_path / "tiny-0001"
    now[0] = 5.0  # another process, whose clock begins elsewhere
    results = train(tiny.settings, resume=run, quiet=True)
    assert results["train_seconds"] == 600
    state = checkpoint.load_state(run / LAST)
    assert state.about["seconds"] == 600
    # A checkpoint from before seconds were counted still loads.
    tensors, about = checkpoint.read_tensors(run / LAST)
    checkpoint.write_tensors(run / LAST, tensors, {key: about[key] for key in ("step", "best")})
    assert train(tiny.settings, resume=run, quiet=True)["train_seconds"] == 0


def test_a_full_disk_while_training_keeps_the_last_checkpoint(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, written = os.replace, []

    def full(source: Path, target: Path) -> None:
        if Path(target).name == files.STATE:
            if len(written) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DataError, match="no space left on the disk while writing .*state.safetensors"):
            train(tiny.other(tmp_path), quiet=True)
    run = tmp_path / "tiny-0001"
    assert checkpoint.load_state(run / LAST)[3]["step"] == 3
    train(tiny.settings, resume=run, quiet=True)
    assert_same(run, tiny.run)


def test_a_checkpoint_that_does_not_fit(tiny: Any, tmp_path: Path) -> None:
    run = tmp_path / "tiny-0001"
    state = run / LAST
    checkpoint.write_tensors(state, checkpoint.read_tensors(tiny.run / LAST)[0], {"step": 4, "best": None})
    (run / "settings.yaml").write_text(tiny.other(tmp_path, reduction=8).to_yaml(), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"of another architecture: adapters.*bottleneck.* found .* wanted"):
        train(tiny.settings, resume=run, quiet=True)
    (run / "settings.yaml").write_text(tiny.other(tmp_path).to_yaml(), encoding="utf-8")
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"broken checkpoint .*state.safetensors"):
        train(tiny.settings, resume=run, quiet=True)


def test_affinity_and_weights_go_on_where_they_were(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut right after an update of A and W, that of step 4 or 6, which the last checkpoint does not know of."""
    changes: dict[str, Any] = {"troa_every": 2, "troa_weights": True, "troa_eta": 0.5, "val_images": 2}
    whole = Path(train(tiny.other(tmp_path / "whole", **changes), quiet=True)["run"])
    wanted = parse_json((whole / "affinity.json").read_bytes())
    assert [record["step"] for record in wanted["history"]] == [2, 4, 6]
    for step in (3, 5):
        run = tmp_path / str(step) / "tiny-0001"
        with monkeypatch.context() as patch:
            cut(patch, "_step", lambda t, step=step: t.step == step)
            with pytest.raises(CutError):
                train(tiny.other(run.parent, **changes), quiet=True)
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        assert (last["split"], last["step"]) == ("troa", step + 1)
        train(load(run / "settings.yaml"), resume=run, quiet=True)
        assert_same(run, whole)  # A is in the model's file, the moments and W in the state
        assert {**parse_json((run / "affinity.json").read_bytes()), "run": ""} == {**wanted, "run": ""}
        troa = checkpoint.load_state(run / LAST)[2]
        assert int(troa["updates"]) == 3
        assert not torch.equal(troa["weights"], torch.full((4, 4), 0.25, dtype=torch.float64))
