"""Run folders: their names, which one is meant, and files that are whole or not there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from vtadapt.atomic import write_json
from vtadapt.errors import ConfigError, DataError
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.folder import bundled_run, find_run, find_unfinished, new_run


def finish(path: Path, age: int = 0) -> Path:
    """Make ``path`` look like a finished run whose model was written ``age`` seconds ago."""
    path.mkdir(parents=True)
    (path / files.CONFIG).write_text("{}")
    (path / files.MODEL).write_bytes(b"")
    os.utime(path / files.MODEL, (1e9 - age, 1e9 - age))
    return path


def test_runs_are_numbered(tmp_path: Path) -> None:
    folder = tmp_path / "läufe" / "a b"
    names = [new_run(folder, name).name for name in ("rooms", "rooms", "a+b", "rooms")]
    assert names == ["rooms-0001", "rooms-0002", "a+b-0001", "rooms-0003"]
    (folder / "rooms-0017").mkdir()
    assert new_run(folder, "rooms").name == "rooms-0018"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        new_run(tmp_path / "file" / "runs", "rooms")


def test_the_newest_finished_run_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(tmp_path / "a-0001", age=5)
    newest = finish(tmp_path / "a-0002", age=1)
    finish(tmp_path / "b-0001", age=3)
    (tmp_path / "a-0003").mkdir()  # begun, not finished
    assert find_run(None, tmp_path) == newest
    assert "a-0002" in capsys.readouterr().err


def test_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finish(tmp_path / "runs" / "a-0001")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-0001").mkdir()  # a folder of the same name beside it is no run
    assert find_run("a-0001", Path("runs")).samefile(run)
    assert find_run("runs/a-0001", Path("elsewhere")).samefile(run)
    assert find_run(str(run), Path("elsewhere")) == run


def test_no_such_run(tmp_path: Path) -> None:
    assert find_run(None, tmp_path / "none") == bundled_run() == find_run("demo", tmp_path)
    finish(tmp_path / "rooms-0001")
    with pytest.raises(ConfigError, match="Did you mean 'rooms-0001'"):
        find_run("room-0001", tmp_path)
    (tmp_path / "begun").mkdir()
    with pytest.raises(ConfigError, match="holds no finished run"):
        find_run("begun", tmp_path)
    with pytest.raises(ConfigError, match="no run to resume at 'begun'"):
        find_unfinished("begun", tmp_path)


def test_tensors_and_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "x" / "model.safetensors"
    checkpoint.write_tensors(path, {"a": torch.arange(6.0).view(2, 3).t()}, {"step": 3, "best": None})
    tensors, about = checkpoint.read_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3).t())
    assert about == {"step": 3, "best": None}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.write_tensors(path, {"a": torch.ones(3)})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, full)
        with pytest.raises(DataError, match="no space left on the disk while writing .*model.safetensors"):
            checkpoint.write_tensors(path, {"a": torch.zeros(3)})
        with pytest.raises(DataError, match="no space left"):
            write_json(tmp_path / "results.json", {})
    assert torch.equal(checkpoint.read_tensors(path)[0]["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_lines_after_a_step_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    files.cut_lines(path, 3)
    assert not path.exists()
    for step in range(1, 6):
        files.append_line(path, {"step": step, "split": "train"})
    with path.open("a") as file:
        file.write('{"step": 2, "los')  # killed while writing
    files.cut_lines(path, 3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_two_runs_that_start_at_once_get_folders_of_their_own(tmp_path, monkeypatch):
    real = Path.mkdir
    taken = []

    def mkdir(self, *args, **kwargs):
        if self.name == "rooms-0001" and not taken:
            taken.append(self)
            real(self)  # another process is quicker
        real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert new_run(tmp_path / "runs", "rooms").name == "rooms-0002"


def test_demo_is_the_bundled_run_beside_the_folder_that_the_demo_command_leaves(tmp_path: Path) -> None:
    (tmp_path / "demo" / "rooms-0001").mkdir(parents=True)
    assert find_run("demo", tmp_path) == bundled_run()
