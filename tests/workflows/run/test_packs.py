"""Data sets named by the folder of their pack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from vtadapt.errors import UsageError
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.run.data.packs import packs_of, with_packs
from vtadapt.workflows.run.folder import find_run
from vtadapt.workflows.train.train import train


def test_names_and_folders(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny.data_dir
    assert packs_of("tiny+look", data) == ("tiny+look", data)
    assert packs_of("rooms", tmp_path) == ("rooms", tmp_path)
    assert packs_of(f"{data}/tiny", tmp_path) == ("tiny", data)
    assert packs_of(f"{data}/tiny/ + {data}/look", tmp_path) == ("tiny+look", data)
    assert packs_of(f"{data}/tiny+look", data) == ("tiny+look", data)
    assert packs_of("./mine.yaml", tmp_path) == ("./mine.yaml", tmp_path)
    with pytest.raises(UsageError, match="--data-dir"):
        packs_of(f"{data}/tiny+look", tmp_path)
    (tmp_path / "renamed").mkdir()
    shutil.copy(data / "tiny" / "manifest.json", tmp_path / "renamed")
    with pytest.raises(UsageError, match="'tiny'"):
        packs_of(str(tmp_path / "renamed"), data)
    monkeypatch.chdir(data)
    assert packs_of("look", tmp_path) == ("look", Path())
    assert packs_of("look", data) == ("look", data)


def test_both_sides_of_an_adaptation(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.other(tmp_path, data=f"{tiny.data_dir}/tiny", target=f"{tiny.data_dir}/look", data_dir=tmp_path)
    found = with_packs(settings)
    assert (found.data, found.target, found.data_dir) == ("tiny", "look", tiny.data_dir)
    assert with_packs(tiny.settings) == tiny.settings


def test_a_run_is_trained_and_measured_on_packs_by_their_paths(tiny: Any, tmp_path: Path) -> None:
    pack = shutil.copytree(tiny.data_dir / "tiny", tmp_path / "elsewhere" / "tiny")
    settings = tiny.other(tmp_path / "runs", data=str(pack), data_dir=tmp_path / "none", epochs=1, tasks=["depth"])
    run = Path(train(settings, quiet=True, trivial=False)["run"])
    assert run.name == "tiny-0001"
    assert json.loads((run / "results.json").read_text())["data"] == "tiny"
    other = evaluate_run(run, EvalOptions(data=str(tiny.data_dir / "shape"), limit=1, trivial=False))
    assert other["images"] == {"shape": 1}


def test_two_runs_of_one_name_are_told_apart(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("here", "runs"):
        (tmp_path / folder / "mine").mkdir(parents=True)
        shutil.copy(tiny.run / "config.json", tmp_path / folder / "mine")
    monkeypatch.chdir(tmp_path / "here")
    assert find_run("mine", tmp_path / "runs") == Path("mine")
    assert str(tmp_path / "here") in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert find_run("mine", tmp_path / "runs") == tmp_path / "runs" / "mine"
    assert capsys.readouterr().err == ""
