"""The run that comes with the package: small, whole, and what commands use while there is no run of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vtadapt.atomic import write_json
from vtadapt.workflows.report.report import ReportOptions, report
from vtadapt.workflows.run import files
from vtadapt.workflows.run.folder import bundled_run
from vtadapt.workflows.run.load import load_run

Cli = Callable[..., Any]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a photograph and nothing else."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_small_and_whole() -> None:
    folder = bundled_run()
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) < 4_000_000
    loaded = load_run(folder)
    assert list(loaded.tasks) == ["semseg", "depth", "normals", "edges"]
    assert (str(loaded.settings.data_dir), str(loaded.settings.run_dir)) == ("data", "runs"), "no folder of ours"
    learned = files.read_json(folder / files.AFFINITY)
    saved = loaded.model.affinity.numpy()  # type: ignore[operator]
    assert np.array(learned["matrix"]) == pytest.approx(saved, abs=1e-6)
    assert len(learned["history"]) > 20
    for path in folder.iterdir():
        if path.suffix in (".json", ".jsonl", ".yaml"):
            assert "/tmp" not in path.read_text(encoding="utf-8")


def test_predict(cli: Cli, empty: Path) -> None:
    ran = cli("predict", "photo.jpg")
    assert ran.code == 0, ran.err
    assert "using the bundled demo run" in ran.err
    assert list((empty / "predictions").glob("photo*.png"))


def test_affinity_is_the_learned_one(cli: Cli, empty: Path) -> None:
    ran = cli("affinity", "--plot", "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["measure"] == "learned"
    assert "rooms is not prepared here" in ran.err
    folder = empty / "runs" / "bundled-demo" / "affinity" / "learned"
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "affinity.json",
        "affinity.npz",
        "affinity.png",
        "evolution.png",
    }


def test_visualize_attention(cli: Cli, empty: Path) -> None:
    ran = cli("visualize-attention", "photo.jpg")
    assert ran.code == 0, ran.err
    assert "using the bundled demo run" in ran.err
    assert list((empty / "attention").glob("photo*.png"))


def test_a_run_of_ones_own_comes_first(cli: Cli, empty: Path, tiny: Any) -> None:
    ran = cli("predict", "photo.jpg", "--run-dir", tiny.run.parent)
    assert ran.code == 0, ran.err
    assert "using the newest run" in ran.err
    named = cli("predict", "photo.jpg", "--run-dir", tiny.run.parent, "--run", "demo", "--out", "other")
    assert named.code == 0, named.err
    assert list((empty / "other").iterdir())


def test_nothing_is_written_into_the_package(cli: Cli, empty: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundled_run().iterdir()}
    for line in (("affinity", "demo"), ("info", "demo"), ("report", "demo", "--images", "0", "--quiet")):
        ran = cli(*line)
        assert ran.code == 0, ran.err
    assert (empty / "runs" / "bundled-demo" / "report.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in bundled_run().iterdir()} == before


def test_outputs_go_to_the_folder_of_runs_that_was_named(cli: Cli, empty: Path, tiny: Any) -> None:
    for line in (("affinity",), ("report", "--images", "0", "--quiet")):
        ran = cli(*line, "--run-dir", "other")
        assert ran.code == 0, ran.err
        assert "no run yet in 'other'" in ran.err
    ran = cli("eval", "--run-dir", "other", "--data", "look", "--limit", "1", "--data-dir", tiny.settings.data_dir)
    assert ran.code == 0, ran.err
    found = {path.name for path in (empty / "other" / "bundled-demo").iterdir()}
    assert found >= {"affinity", "report.html", "report.json", "eval-val-look-1images.json"}
    assert not (empty / "runs").exists()


def test_its_report_knows_its_own_measurements(empty: Path) -> None:
    folder = empty / "other"
    metrics = {"rooms": {"depth": {"rmse/pixel": 0.5}}}
    write_json(folder / "bundled-demo" / "eval-test.json", {"split": "test", "metrics": metrics})
    document = report(bundled_run(), options=ReportOptions(images=0), folder=folder, quiet=True)
    assert [entry["source"] for entry in document["measured"]] == ["results.json", "eval-test.json"]
    assert document["measured"][1]["metrics"] == metrics
    assert document["facts"]["folder"] == "bundled with vtadapt"
    assert not any("--resume" in entry["command"] for entry in document["commands"])
    text = (folder / "bundled-demo" / "report.html").read_text(encoding="utf-8")
    assert str(bundled_run()) not in text
