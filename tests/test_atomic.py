"""Files whole or not at all; what killed processes left is collected by the next one that writes there, no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vtadapt import atomic
from vtadapt.errors import DataError
from vtadapt.viz.panels import save_png
from vtadapt.workflows.predict.video.writer import Writer
from vtadapt.workflows.run.checkpoint import write_tensors
from vtadapt.workflows.run.files import write_arrays

PICTURE = np.zeros((32, 32, 3), np.uint8)
ROOT = Path(__file__).parents[1]


def video(path: Path) -> None:
    with Writer(path.with_suffix(""), 5.0) as writer:
        writer.add(PICTURE)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text.txt": lambda path: atomic.write_text(path, "x"),
    "facts.json": lambda path: atomic.write_json(path, {"a": 1}),
    "maps.npz": lambda path: write_arrays(path, {"a": PICTURE}),
    "model.safetensors": lambda path: write_tensors(path, {"a": torch.zeros(2)}),
    "panel.png": lambda path: save_png(path, PICTURE),
    "panel.mp4": video,
}


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(writer: Callable[[Path], object], path: Path, pid: int) -> Path:
    """What the writer has under its temporary name when process ``pid`` is killed just before the file is renamed."""
    before = set(path.parent.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            writer(path)
    atomic._looked_into.clear()  # as in a new process
    [left] = set(path.parent.iterdir()) - before
    assert not path.exists() and left.stat().st_size > 0
    return left


@pytest.mark.parametrize("name", WRITERS)
def test_a_leftover_is_collected_when_the_writer_runs_again(tmp_path: Path, dead: int, name: str) -> None:
    path = tmp_path / name
    leave(WRITERS[name], path, dead)
    WRITERS[name](path)
    assert [p.stem for p in tmp_path.iterdir()] == [path.stem]


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_living_process_writes_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    left = leave(WRITERS[name], path, os.getppid())
    WRITERS[name](path)
    assert left.exists() and len(list(tmp_path.iterdir())) == 2


def test_what_another_machine_writes_stays_for_a_day(tmp_path: Path) -> None:
    name = atomic.temporary_name(tmp_path / "a.h5").name.replace(atomic._HOST, "0" * 8)
    (tmp_path / name).write_bytes(b"half")
    atomic.remove_leftovers(tmp_path)
    assert (tmp_path / name).exists()
    os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    atomic.remove_leftovers(tmp_path)
    assert not (tmp_path / name).exists()
    (tmp_path / name).write_bytes(b"half")
    atomic.remove_leftovers(tmp_path, alone=True)  # under a lock that the other machine does not hold
    assert not (tmp_path / name).exists()


def test_a_number_that_this_process_has_again(tmp_path: Path) -> None:
    own = atomic.temporary_name(tmp_path / "a")
    own.write_bytes(b"half")
    atomic.remove_leftovers(tmp_path)
    assert own.exists()
    os.utime(own, (1e9, 1e9))
    atomic.remove_leftovers(tmp_path)
    assert not own.exists()


@pytest.mark.parametrize(
    "name", ["a.partial", ".a.partial", ".a.12.partial", ".a.0badcafe-.partial", ".a.0badcafe-1.partial.d.e", ".a-1"]
)
def test_only_names_of_ours_go(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("of the user")
    atomic.remove_leftovers(tmp_path, alone=True)
    assert (tmp_path / name).exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    atomic.remove_leftovers(tmp_path / "none")


KILLED = """
import os, signal, sys
from pathlib import Path
from vtadapt import atomic
with atomic.temporary_folder("test") as folder, atomic.whole_file(Path(sys.argv[1])) as file:
    (folder / "a").write_text("half")
    file.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, target = tmp_path / "temporary", tmp_path / "out" / "a\nb"
    place.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(target)], cwd=ROOT, env={**os.environ, "TMPDIR": str(place)}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert len(list(place.iterdir())) == len(list(target.parent.iterdir())) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with atomic.temporary_folder("test") as folder:
        assert list(place.iterdir()) == [folder] and folder.stat().st_mode & 0o77 == 0
        atomic.remove_leftovers(place)
        assert folder.exists()
    assert list(place.iterdir()) == []
    atomic.write_text(target, "whole")
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic.write_text(path, "before")
    with pytest.raises(DataError, match="No such file"), atomic.whole_file(path) as temporary:
        temporary.write_text("half")
        (tmp_path / "none" / "b").write_text("x")
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "before"


def test_files_have_the_mode_that_the_mask_says(tmp_path: Path) -> None:
    """Also those of libraries that write for their owner alone."""
    for mask, mode in ((0o022, 0o644), (0o002, 0o664), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            with atomic.whole_file(tmp_path / f"{mask}") as temporary:
                os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
            atomic.write_text(tmp_path / "text", "x")
        finally:
            os.umask(before)
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in (f"{mask}", "text")} == {mode}


def test_a_writer_that_writes_nothing_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("good")
    with pytest.raises(DataError), atomic.whole_file(tmp_path / "a"):
        pass
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "good")]
