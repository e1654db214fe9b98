"""Comparing systems: the trivial predictor, a grid that goes on where it was, failures, tables by hand."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from PIL import Image

from tests.edited import with_checksum
from tests.workflows.compare.conftest import base
from tests.workflows.conftest import KINDS
from tests.workflows.interrupting import interrupt
from vtadapt.checked import parse_json
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.errors import ConfigError
from vtadapt.tasks import Task, delta_m
from vtadapt.workflows.compare import budget as compare_budget
from vtadapt.workflows.compare.compare import CompareOptions, compare
from vtadapt.workflows.compare.tables import comparison_table, markdown, notes
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.sweep.spread import overall_delta_m, paired, spread, verdict
from vtadapt.workflows.train.train import train


def test_spread_and_delta_m_by_hand() -> None:
    assert spread([1.0, None, 3.0]) == {"mean": 2.0, "sd": pytest.approx(math.sqrt(2)), "n": 2}
    assert spread([1.5]) == {"mean": 1.5, "sd": None, "n": 1}
    assert spread([None]) is None
    single = {"a": {"semseg": {"miou/dataset": 0.4}, "depth": {"rmse/pixel": 1.0}}, "b": {"depth": {"rmse/pixel": 2.0}}}
    other = {"a": {"semseg": {"miou/dataset": 0.5}, "depth": {"rmse/pixel": 1.1}}, "b": {"depth": {"rmse/pixel": 1.0}}}
    assert overall_delta_m(other, single, KINDS) == pytest.approx((25 - 10 + 50) / 3)
    assert overall_delta_m({"a": other["a"]}, single, KINDS) is None
    assert overall_delta_m(other, {"b": {"depth": {"rmse/pixel": 0.0}}}, KINDS) is None


def test_a_difference_is_called_only_beyond_its_error_over_three_seeds() -> None:
    for few in ([5.0], [5.0, 5.1]):
        found = paired(few)
        assert found is not None
        assert (found["error"], found["told_apart"]) == (None, False)
        assert "better" not in verdict(found)
    near, far = paired([0.4, 1.0, 1.6]), paired([-0.8, -1.0, -1.2])
    assert near is not None
    assert far is not None
    assert near["error"] == pytest.approx(4.3027 * 0.6 / math.sqrt(3), rel=1e-4)  # t(0.975, 2)
    assert [f["told_apart"] for f in (near, far)] == [False, True]
    assert "better" not in verdict(near)
    assert verdict(far).startswith("worse")


def test_rows_that_were_not_asked_for_stay(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    settings = base(tiny, tmp_path, tasks=["depth", "normals"])
    options = {"budget": "steps=1", "jobs": 0, "images": 0}
    own = {"linear": {"lr": 0.004}}
    compare(settings, CompareOptions("stl,linear", "2", own=own, **options), quiet=True)
    folder = tmp_path / "compare-tiny"
    again = compare(settings, CompareOptions("mtl-cnn", "1", **options), quiet=True)
    assert list(again["methods"]) == ["mtl-cnn", "linear", "stl"]
    assert sorted(again["kept"]) == ["linear seed 0", "linear seed 1", "stl seed 0", "stl seed 1"]
    assert again["methods"]["linear"]["metrics"]["tiny"]["depth"]["rmse/pixel"]["n"] == 2
    assert again["seeds"] == [0, 1]
    text = (folder / "table.md").read_text()
    rows = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")]
    assert rows == ["method", "mtl-cnn", "linear", "stl", "trivial"]
    assert any("linear seed 1" in line for line in notes(again))

    narrow = base(tiny, tmp_path, tasks=["depth", "normals"], batch_size=3)
    other = compare(narrow, CompareOptions("tawt", "1", **options), quiet=True)
    assert list(other["methods"]) == ["tawt"]
    assert set(other["left_out"]) == {*again["kept"], "mtl-cnn seed 0"}
    assert all("batch_size" in why for why in other["left_out"].values())
    assert any("stl seed 1" in line for line in notes(other))


@pytest.mark.slow
def test_a_grid_with_a_failing_cell_goes_on_where_it_was(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small
    settings = base(tiny, tmp_path)
    options = CompareOptions("stl,mult,linear", "2", "steps=2", jobs=0, own={"mult": {"batch_size": 99}})
    trained = interrupt(monkeypatch, ["stl-seed0", "mult-seed0"])
    with pytest.raises(KeyboardInterrupt):
        compare(settings, options, quiet=True)
    result = compare(settings, options, quiet=True)
    trials = ["stl-seed0", "mult-seed0", "linear-seed0", "stl-seed1", "mult-seed1", "linear-seed1"]
    assert trained == trials[:2] + trials[1:]
    assert list(result["failed"]) == ["mult seed 0", "mult seed 1"]
    assert "fewer than one batch (99 x 1 processes)" in result["failed"]["mult seed 1"]
    folder = tmp_path / "compare-tiny"
    assert with_checksum(folder / "compare.json") == result
    _check_numbers(result, folder, build_tasks([find_recipe("tiny", tiny.data_dir)], settings.tasks))
    _check_tables(result, folder)

    before = (folder / "compare.json").read_bytes()
    trained.clear()
    assert compare(settings, options, quiet=True) == parse_json(before)
    assert trained == ["mult-seed0", "mult-seed1"]  # finished trials are kept, failed ones tried again
    with pytest.raises(ConfigError, match=r"stl-seed0' was made with steps = 2, wanted 3: .*--out"):
        compare(settings, CompareOptions("stl", "1", "steps=3", jobs=0), quiet=True)


def _check_numbers(result: dict[str, Any], folder: Path, tasks: dict[str, Task]) -> None:
    runs = {}
    for label in ("stl", "linear"):
        files = [folder / f"{label}-seed{seed}" / "results.json" for seed in (0, 1)]
        runs[label] = [parse_json(file.read_bytes()) for file in files]
    entry = result["methods"]["linear"]
    rmse = [r["metrics"]["tiny"]["depth"]["rmse/pixel"] for r in runs["linear"]]
    found = entry["metrics"]["tiny"]["depth"]["rmse/pixel"]
    assert found == {"mean": pytest.approx(mean(rmse)), "sd": pytest.approx(stdev(rmse)), "n": 2}
    each = [
        delta_m(one["metrics"]["tiny"], single["metrics"]["tiny"], tasks.values())
        for one, single in zip(runs["linear"], runs["stl"], strict=True)
    ]
    assert entry["delta_m"]["by_seed"] == {"0": pytest.approx(each[0]), "1": pytest.approx(each[1])}
    assert (entry["delta_m"]["mean"], entry["delta_m"]["sd"]) == pytest.approx((mean(each), stdev(each)))
    assert entry["delta_m_first_stl"] == entry["delta_m"]
    assert result["methods"]["stl"]["delta_m"]["mean"] == 0.0
    assert (entry["steps"], entry["trained_parameters"]) == (2, runs["linear"][0]["trained_parameters"])
    assert entry["seconds_per_step"]["mean"] > 0
    assert result["methods"]["mult"]["metrics"] == {}
    assert result["methods"]["mult"]["delta_m"] is None


def _check_tables(result: dict[str, Any], folder: Path) -> None:
    text = (folder / "table.md").read_text()
    assert text == markdown(result)
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert list(rows) == ["method", "stl", "mult", "linear", "trivial"]
    found = result["methods"]["linear"]["metrics"]["tiny"]["depth"]["rmse/pixel"]
    assert f"{found['mean']:.3f} +- {found['sd']:.3f}" in rows["linear"]
    assert "depth rmse/pixel m (down)" in rows["method"]
    assert len({line.count("|") for line in rows.values()}) == 1
    assert any(line.startswith("failed: mult seed 0") for line in notes(result))
    assert comparison_table(result).row_count == len(rows["method"].split("|")) - 3
    assert result["fairness"].startswith("Same number of steps: every method was trained for 2.")
    assert [Path(p).name for p in result["panels"]] == ["panel-tiny.png"]
    with Image.open(result["panels"][0]) as picture:
        width, height = picture.size
    assert width > 4 * 192  # photograph, stl, linear, ground truth
    assert height > 4 * 192  # two tasks of two images


def test_delta_m_is_against_stl_of_the_same_encoder(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    options = CompareOptions("stl,stl:cnn_lite,mtl-cnn", "1", "steps=1", jobs=0, images=0)
    found = compare(base(tiny, tmp_path), options, quiet=True)
    methods = found["methods"]
    assert methods["mtl-cnn"]["delta_m"]["baseline"] == "stl:cnn_lite"
    assert methods["mtl-cnn"]["delta_m_first_stl"]["baseline"] == "stl"
    assert {label: entry["encoder"] for label, entry in methods.items()} == {
        "stl": "swin_lite",
        "stl:cnn_lite": "cnn_lite",
        "mtl-cnn": "cnn_lite",
    }
    assert (tmp_path / "compare-tiny" / "stl@cnn_lite-seed0" / "results.json").is_file()
    assert found["panels"] == []


@pytest.mark.slow
def test_a_budget_in_seconds(tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are planned from what was measured, preparations included, and kept when the comparison goes on."""
    del small
    monkeypatch.setattr(compare_budget, "default_interval", lambda _: 1)
    settings = base(tiny, tmp_path, cross_task_width=4)
    options = CompareOptions("linear,consistency", "1", "seconds=1", jobs=0, images=0)
    result = compare(settings, options, quiet=True)
    measured = result["budget"]["measured"]
    for label in ("linear", "consistency"):
        cost = measured[label]
        assert cost["steps"] == 5
        wanted = math.floor(1 / (cost["seconds_per_step"] + cost["prepare_seconds_per_step"]))
        assert result["methods"][label]["steps"] == cost["planned_steps"] == wanted
    assert measured["linear"]["prepare_seconds_per_step"] == 0
    assert measured["consistency"]["prepare_seconds_per_step"] > 0
    assert result["methods"]["consistency"]["prepare_seconds"]["mean"] > 0
    assert result["fairness"].startswith("Same time: every method was trained for as many steps as take 1 s")
    assert compare(settings, options, quiet=True)["budget"] == result["budget"]
    with pytest.raises(ConfigError, match="a step of linear takes .*; raise --budget seconds=1"):
        monkeypatch.setattr(compare_budget.math, "floor", lambda _: 0)
        compare(settings, options, quiet=True)


@pytest.mark.slow
def test_kill_9_ends_the_cells_too_and_the_command_goes_on(tiny: Any, tmp_path: Path) -> None:
    settings = base(tiny, tmp_path, method="linear", checkpoint_steps=1, log_steps=1, decoder_width=48)
    (tmp_path / "base.yaml").write_text(settings.model_copy(update={"method": "adapters"}).to_yaml(), encoding="utf-8")
    command = [sys.executable, "-m", "vtadapt", "compare", "tiny", "--methods", "linear", "--seeds", "1"]
    command += ["--budget", "steps=40", "--config", str(tmp_path / "base.yaml"), "--images", "0"]
    trial = tmp_path / "compare-tiny" / "linear-seed0"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(lambda: (trial / "checkpoints" / "last" / "state.safetensors").is_file())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(1.0)
    log = (trial / "metrics.jsonl").read_text()
    time.sleep(0.5)
    assert (trial / "metrics.jsonl").read_text() == log, "the cell's process has outlived the command's"
    assert not (trial / "results.json").exists()
    assert log.count("\n") < 40
    result = compare(settings, CompareOptions("linear", "1", "steps=40", jobs=0, images=0), quiet=True)
    assert result["failed"] == {}
    steps = [json.loads(line) for line in (trial / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in steps if record["split"] == "train"] == list(range(1, 41))
    assert (trial / "metrics.jsonl").read_text().startswith(log[: log.index("\n")])


def _wait_for(there: Callable[[], bool]) -> None:
    for _ in range(1200):
        if there():
            return
        time.sleep(0.05)
    raise AssertionError("waited for a minute")


@pytest.mark.slow
def test_the_command(tiny: Any, tmp_path: Path, cli: Callable[..., Any]) -> None:
    """Real processes, two at a time; one fails: its reason is told, the rest is there, exit code 5."""
    options = ["--data-dir", tiny.data_dir, "--run-dir", tmp_path, "--weights", "random", "--batch-size", 4]
    options += ["--tasks", "semseg,depth", "--set", "precision=32-true", "--set", "tawt:batch_size=99", "--json"]
    ran = cli("compare", "tiny", "--methods", "linear,tawt", "--seeds", 1, "--budget", "steps=2", "--jobs", 2, *options)
    assert ran.code == 5
    result = json.loads(ran.out)
    assert list(result["failed"]) == ["tawt seed 0"]
    assert "1 of the trainings failed; the first, tawt seed 0: 12 training images are fewer than one batch" in ran.err
    assert result["methods"]["linear"]["cells"]["0"]["error"] is None
    trial = tmp_path / "compare-tiny" / "linear-seed0"
    assert result["methods"]["linear"]["peak_memory"]["mean"] > 2**26
    changes = {"method": "linear", "epochs": None, "steps": 2, "tasks": ["semseg", "depth"]}
    alone = train(tiny.other(tmp_path / "alone", **changes), quiet=True)
    assert parse_json((trial / "results.json").read_bytes())["metrics"] == alone["metrics"]
