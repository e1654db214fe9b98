"""What the user names becomes one folder: archives unpacked once, resumed after a kill, never mixed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.formats.archives import tree, write_tar, write_zip
from tests.data.source.conftest import BOTH, IMAGES, LABELS, fails
from vtadapt.data.source import cache as source_cache
from vtadapt.data.source.archives import Limits
from vtadapt.data.source.cache import discard
from vtadapt.data.source.source import names, open_source, skeleton
from vtadapt.errors import DataError


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the archives in the order in which they are unpacked."""
    found: list[str] = []
    real = source_cache.unpack

    def unpack(archive: Path, *args: Any, **keywords: Any) -> Any:
        found.append(archive.name)
        return real(archive, *args, **keywords)

    monkeypatch.setattr(source_cache, "unpack", unpack)
    return found


def opened(sources: list[Path], cache: Path, **options: Any) -> dict[str, bytes]:
    with open_source(sources, cache, **options) as path:
        return tree(path)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a b" / "train").mkdir(parents=True)
    with open_source([tmp_path / "a b"], tmp_path / "cache") as path:
        assert path == tmp_path / "a b"
    assert not (tmp_path / "cache").exists()


def test_a_file_that_is_no_archive_is_itself(tmp_path: Path) -> None:
    mat = tmp_path / "nyu_depth_v2_labeled.mat"
    mat.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with open_source([mat], tmp_path / "cache") as path:
        assert path == mat
    assert list(names([mat])) == [(mat.name, 520)] and skeleton([mat], tmp_path / "none") == mat
    (tmp_path / "with readme").mkdir()
    shutil.copy(mat, tmp_path / "with readme")
    with open_source([tmp_path / "with readme"], tmp_path / "cache") as path:  # a folder with a file that is no archive
        assert path == tmp_path / "with readme"


def test_archives_become_one_tree_once(tmp_path: Path, archives: list[Path], unpacked: list[str]) -> None:
    cache = tmp_path / "data" / ".set.source"
    steps: list[tuple[str, int, int]] = []
    with open_source(archives, cache, on_progress=lambda *step: steps.append(step)) as path:
        assert tree(path) == BOTH
        first = path
    assert {name for name, _, _ in steps} == {"left img.zip", "labels.tar.gz"} and steps[-1][1] == steps[-1][2]
    with open_source(archives[::-1], cache) as path:  # in whatever order
        assert path == first and tree(path) == BOTH
    assert unpacked == ["left img.zip", "labels.tar.gz"]
    discard(cache)
    assert not cache.exists()


def test_a_folder_of_archives(tmp_path: Path, archives: list[Path]) -> None:
    folder = archives[0].parent
    for name in ("README.txt", "license.pdf", "sha256sums", ".hidden"):
        (folder / name).write_text("x")
    sorted_by_name = BOTH | {"README": b"of the labels"}  # the first is not replaced
    assert opened([folder], tmp_path / "cache") == sorted_by_name
    assert opened([folder, archives[0]], tmp_path / "cache") == sorted_by_name  # one twice
    (folder / "train.txt").write_text("part of the data")  # not only archives: left to the reader
    with open_source([folder], tmp_path / "cache") as path:
        assert path == folder


def test_one_more_archive_later_unpacks_only_that(tmp_path: Path, archives: list[Path], unpacked: list[str]) -> None:
    assert opened(archives[:1], tmp_path / "cache") == IMAGES
    assert opened(archives, tmp_path / "cache") == BOTH
    assert unpacked == ["left img.zip", "labels.tar.gz"]


def test_other_sources_start_afresh(tmp_path: Path, archives: list[Path], unpacked: list[str]) -> None:
    opened(archives, tmp_path / "cache")
    assert opened(archives[1:], tmp_path / "cache") == LABELS  # nothing of the other is left
    write_tar(archives[1], {"new": b"content"}, "w:gz")
    assert opened(archives[1:], tmp_path / "cache") == {"new": b"content"}
    assert unpacked == ["left img.zip", "labels.tar.gz", "labels.tar.gz", "labels.tar.gz"]


def test_an_archive_exchanged_for_one_of_the_same_size_and_time(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a": b"old"})
    assert opened([archive], tmp_path / "cache") == {"a": b"old"}
    state = archive.stat()
    write_tar(archive, {"a": b"new"})
    os.utime(archive, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert archive.stat().st_size == state.st_size
    assert opened([archive], tmp_path / "cache") == {"a": b"new"}


@pytest.mark.parametrize("damage", ["removed", "shortened", "added", "state"])
def test_a_cache_that_someone_changed_is_made_again(tmp_path: Path, archives: list[Path], damage: str) -> None:
    opened(archives, tmp_path / "cache")
    files = tmp_path / "cache" / "files" / "root" / "left"
    if damage == "removed":
        (files / "3 ü.png").unlink()
    elif damage == "shortened":
        (files / "3 ü.png").write_bytes(b"")
    elif damage == "added":
        (files / "99.png").write_bytes(b"x")
    else:
        (tmp_path / "cache" / "state.json").write_text('{"done": 3')
    assert opened(archives, tmp_path / "cache") == BOTH


KILLED = """
import os, signal, sys
from pathlib import Path
from vtadapt.data.source import archives
from vtadapt.data.source import cache as source_cache
from vtadapt.data.source.source import open_source

when, cache, *sources = sys.argv[1:]
def kill(): os.kill(os.getpid(), signal.SIGKILL)
def after(count, real):
    left = [count]
    def call(*args, **keywords):
        left[0] -= 1
        if left[0] < 0:
            kill()
        return real(*args, **keywords)
    return call
if when == "writing":  # in the middle of the second archive
    archives._write = after(31, archives._write)
elif when == "moving":
    os.rename = after(10, os.rename)
elif when == "noted":  # whole and noted, nothing moved yet
    real, calls = source_cache._finish_move, []
    def finish(*args):
        calls.append(1)
        if len(calls) == 2:
            kill()
        return real(*args)
    source_cache._finish_move = finish
with open_source([Path(s) for s in sources], Path(cache)):
    pass
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("when", ["writing", "moving", "noted"])
def test_killed_and_resumed(tmp_path: Path, archives: list[Path], unpacked: list[str], when: str) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", KILLED, when, str(cache), *map(str, archives)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    there = tree(cache)
    assert 20 < len(there) < len(BOTH) + 4  # something of both is there, in one of the two places
    assert (cache / "unpacking").exists()
    assert opened(archives, cache) == BOTH
    assert unpacked == (["labels.tar.gz"] if when == "writing" else [])  # only what was not whole
    assert sorted(p.name for p in cache.iterdir()) == ["files", "lock", "state.json"]


def test_two_archives_mixed(tmp_path: Path, archives: list[Path], unpacked: list[str]) -> None:
    other = write_zip(tmp_path / "other version.zip", {"root/left/7 ü.png": b"!" * 5000, "root/new.png": b"x"})
    message = fails([*archives, other], tmp_path / "cache", "different content")
    assert str(other) in message and str(archives[0]) in message and "'root/left/7 ü.png'" in message
    assert not (tmp_path / "cache" / "unpacking").exists()
    assert opened(archives, tmp_path / "cache") == BOTH  # what was good stays
    assert unpacked == ["left img.zip", "labels.tar.gz", "other version.zip"]
    with pytest.raises(DataError, match="different content"):  # sizes differ here, so a dry run sees it, too
        skeleton([archives[0], write_zip(tmp_path / "b.zip", {"root/left/7 ü.png": b"!"})], tmp_path / "dry")


def test_a_file_where_another_has_a_folder(tmp_path: Path, archives: list[Path]) -> None:
    for i, names_ in enumerate([{"root/left": b"file"}, {"root/left/7 ü.png/x": b"file"}]):
        other = write_zip(tmp_path / f"{i}.zip", names_)
        message = fails([*archives, other], tmp_path / "cache", "different content")
        assert str(archives[0]) in message and str(other) in message


def test_the_same_file_in_two_archives_is_fine(tmp_path: Path) -> None:
    a = write_zip(tmp_path / "a.zip", {"same.png": b"x" * 99, "a": b"1"})
    b = write_tar(tmp_path / "b.tar", {"same.png": b"x" * 99, "b": b"2"})
    for _ in range(2):  # the second run takes it as it is
        assert opened([a, b], tmp_path / "cache") == {"same.png": b"x" * 99, "a": b"1", "b": b"2"}


def test_folders_are_joined_without_copies(tmp_path: Path, archives: list[Path]) -> None:
    own = tmp_path / "own"
    (own / "root" / "labels").mkdir(parents=True)
    (own / "root" / "labels" / "new ü.png").write_bytes(b"mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.png").write_bytes(b"linked")
    (own / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(own)
    wanted = IMAGES | {"root/labels/new ü.png": b"mine", "link/linked.png": b"linked"}
    fails([archives[0], own], tmp_path / "cache", "a link that leads out of the source")
    assert opened([archives[0], own], tmp_path / "cache", follow_links=True) == wanted
    joined = tmp_path / "cache" / "files" / "root" / "labels" / "new ü.png"
    assert joined.samefile(own / "root" / "labels" / "new ü.png")
    discard(tmp_path / "cache")
    assert (own / "root" / "labels" / "new ü.png").read_bytes() == b"mine"


def test_folders_on_another_disk(tmp_path: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "x.png").write_bytes(b"mine")

    def link(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    fails([archives[0], tmp_path / "own"], tmp_path / "cache", "put all files into one folder")


def test_sources_of_no_use(tmp_path: Path, archives: list[Path]) -> None:
    cache, (images, labels) = tmp_path / "cache", archives
    message = fails([images.with_name("left imgs.zip")], cache, "no such file or folder")
    assert "Did you mean 'left img.zip'" in message
    fails([], cache, "no source given")
    (tmp_path / "empty").mkdir()
    fails([tmp_path / "empty"], cache, "empty folder")
    (tmp_path / "a.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    fails([tmp_path / "a.rar"], cache, "unrar")
    (tmp_path / "page.zip").write_bytes(b"<html>")
    fails([tmp_path / "page.zip"], cache, "web page")
    (tmp_path / "a.zip.part").write_bytes(images.read_bytes()[:100])
    fails([tmp_path / "a.zip.part"], cache, "unfinished download")
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    fails([images, tmp_path / "a.h5"], cache, "a.h5: no archive, so it cannot be read together")
    os.mkfifo(tmp_path / "pipe")
    fails([tmp_path / "pipe"], cache, "neither a file nor a folder")
    shutil.copy(tmp_path / "a.rar", images.parent)  # beside archives: it would be missed
    fails([images.parent], cache, "unrar")
    labels.write_bytes(labels.read_bytes()[:-200])
    fails(archives, cache, "labels.tar.gz: cut short or damaged")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: list[Path]) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    fails(archives[:1], tmp_path / "cache", "left img.zip: cannot be read: Permission denied")
    monkeypatch.setattr(os, "scandir", denied)
    fails([archives[0].parent], tmp_path / "cache", "cannot be read: Permission denied")


def test_full_disk_leaves_what_was_finished(
    tmp_path: Path, archives: list[Path], unpacked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        real = Path.open

        def full(self: Path, mode: str = "r", *args: Any, **keywords: Any) -> Any:
            if mode == "xb" and self.parent.name == "labels":
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(self, mode, *args, **keywords)

        patch.setattr(Path, "open", full)
        fails(archives, tmp_path / "cache", "no space left on the disk")
    assert tree(tmp_path / "cache" / "files") == IMAGES
    assert opened(archives, tmp_path / "cache") == BOTH
    assert unpacked == ["left img.zip", "labels.tar.gz", "labels.tar.gz"]


def test_limits_are_handed_on(tmp_path: Path, archives: list[Path]) -> None:
    with (
        pytest.raises(DataError, match="declares"),
        open_source(archives, tmp_path / "c", limits=Limits(total=5000)),
    ):
        pass


def test_the_cache_is_locked(tmp_path: Path, archives: list[Path]) -> None:
    with open_source(archives, tmp_path / "cache"):
        fails(archives, tmp_path / "cache", "another run")
