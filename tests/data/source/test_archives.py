"""Archives: what comes out is what went in; a broken one is one line and leaves nothing."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.formats.archives import KINDS, refused, tree, write, write_tar, write_zip
from vtadapt.data.source import archives
from vtadapt.data.source.archives import Limits, archive_kind, contents, unpack
from vtadapt.errors import DataError

FILES = {
    "SYNTHIA/RGB/a b.png": b"picture" * 1000,
    "SYNTHIA/Straße/日本.txt": "Grüße".encode(),
    "SYNTHIA/empty.txt": b"",
    "top.bin": os.urandom(1_200_000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_unpacks_what_was_packed_whatever_the_suffix(tmp_path: Path, kind: str) -> None:
    archive = write(tmp_path / "Daten säfe.dat", FILES, kind)
    steps: list[tuple[int, int]] = []
    result = unpack(archive, tmp_path / "aus gepackt", on_progress=lambda *step: steps.append(step))
    assert archive_kind(archive) == kind
    assert tree(tmp_path / "aus gepackt") == FILES
    assert (result.files, result.bytes, result.skipped) == (4, sum(map(len, FILES.values())), 0)
    assert steps[-1][0] == steps[-1][1] and steps == sorted(steps)
    mask = os.umask(0)
    os.umask(mask)
    mode = (tmp_path / "aus gepackt" / "top.bin").stat().st_mode
    assert stat.S_IMODE(mode) == 0o666 & ~mask  # neither executable nor set-uid, whatever the archive says
    assert {place.path: place.size for place, _ in contents(archive)} == {n: len(c) for n, c in FILES.items()}


def test_keeps_the_time_of_change(tmp_path: Path) -> None:
    unpack(write_tar(tmp_path / "a.tar", FILES), tmp_path / "out")
    assert (tmp_path / "out" / "top.bin").stat().st_mtime == 1_234_567_890


@pytest.mark.parametrize("time", ["nan", "inf", "-1e300"])
def test_times_that_are_none(tmp_path: Path, time: str) -> None:
    info = tarfile.TarInfo("a")
    info.pax_headers = {"mtime": time}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert unpack(tmp_path / "a.tar", tmp_path / "out").files == 1


def test_a_zip_without_dates(tmp_path: Path) -> None:
    """Some programs write zeros, which are month 0 and day 0."""
    content = bytearray(write_zip(tmp_path / "a.zip", {"a": b"x"}).read_bytes())
    central = content.index(b"PK\1\2")
    content[10:14] = content[central + 12 : central + 16] = bytes(4)
    (tmp_path / "a.zip").write_bytes(content)
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": b"x"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_zip(tmp_path: Path, method: int) -> None:
    unpack(write_zip(tmp_path / "a.zip", FILES, method), tmp_path / "out")
    assert tree(tmp_path / "out") == FILES


def test_names_without_an_encoding(tmp_path: Path) -> None:
    """UTF-8 without its mark in zips of macOS, Latin-1 in old tars."""
    archive = write_zip(tmp_path / "mac.zip", {"Stra-e.txt": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"Stra-e.txt", "Straß.txt".encode()))
    unpack(archive, tmp_path / "mac")
    assert tree(tmp_path / "mac") == {"Straß.txt": b"x"}
    with tarfile.open(tmp_path / "old.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("Straße.txt"))
    unpack(tmp_path / "old.tar", tmp_path / "old")
    assert tree(tmp_path / "old") == {"Straße.txt": b""}


def test_backslashes_of_windows_separate(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"GT/LABELS/1.png": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"GT/LABELS/1", b"GT\\LABELS\\1"))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"GT/LABELS/1.png": b"x"}


def test_leaves_out_what_file_managers_leave_behind(tmp_path: Path) -> None:
    junk = {"__MACOSX/a/._b.png": b"1", "a/.DS_Store": b"2", "a/Thumbs.db": b"3", "a/._b.png": b"4"}
    result = unpack(write_zip(tmp_path / "a.zip", {"a/b.png": b"x"} | junk), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a/b.png": b"x"} and result.skipped == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_cut_short(tmp_path: Path, kind: str, share: float) -> None:
    archive = write(tmp_path / "a", {f"member {i}": os.urandom(20_000) for i in range(5)}, kind)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    refused(archive, "cut short or damaged.*download it again")


def test_tar_cut_between_two_members(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a": bytes(512), "b": bytes(512)})
    archive.write_bytes(archive.read_bytes()[:1024])
    refused(archive, "damaged at member 'a' \\(no end mark\\)")


def test_tar_with_a_damaged_header_in_the_middle(tmp_path: Path) -> None:
    """tarfile itself would take it for the end."""
    content = bytearray(write_tar(tmp_path / "a.tar", {"a": bytes(512), "b": bytes(512)}).read_bytes())
    content[1024 + 150] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar", "damaged at member 'a'")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_one_bit_wrong(tmp_path: Path, kind: str) -> None:
    archive = write(tmp_path / "a", {"a": os.urandom(50_000)}, kind)
    content = bytearray(archive.read_bytes())
    content[25_000] ^= 4
    archive.write_bytes(content)
    refused(archive, "damaged")


def test_two_tars_in_one_file(tmp_path: Path) -> None:
    """The second would be lost without a word."""
    content = write_tar(tmp_path / "a.tar", {"a": b"x"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(content + content)
    refused(tmp_path / "a.tar", "follows its end mark")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "7z x"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(600), "unrar x"),
        (b"<!DOCTYPE html><html>Log in", "web page"),
        (b"", "empty file"),
        (gzip.compress(b"no tar" * 200, mtime=0), "no tar is inside"),
        (bz2.compress(b"short"), "no tar is inside"),
        (lzma.compress(bytes(1000)), "no tar is inside"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "no archive; wanted zip"),
        (bytes(2000), "no archive; wanted zip"),
        (b"PK\x05\x06" + bytes(18), "holds no files"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", match)


def test_unreadable_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", "No such file")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "Is a directory")


def test_target_that_is_in_use(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(DataError, match="not empty"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine": b"x"}


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fills up while the second file is written: what was written is gone again."""
    archive = write_tar(tmp_path / "a.tar", {"a": b"1" * 100, "b": b"2" * 100})
    real = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **keywords: Any) -> Any:
        if mode == "xb" and self.name == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *args, **keywords)

    monkeypatch.setattr(Path, "open", full)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="no space left on the disk"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_default_limit_is_the_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a": bytes(3000)})
    usage = shutil.disk_usage(tmp_path)
    for free, reserve in ((2999, 0), (5000, 2001)):
        monkeypatch.setattr(archives.shutil, "disk_usage", lambda _, f=free: usage._replace(free=f))
        refused(archive, "there is room for 2999", Limits(reserve=reserve))


def test_names_that_the_file_system_takes_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux they are two files; elsewhere the second must not replace the first."""
    archive = write_zip(tmp_path / "a.zip", {"A.png": b"1", "a.png": b"2"})
    unpack(archive, tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 2
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: real(self.with_name(self.name.lower()), *a, **k))
    refused(archive, "cannot tell from another's")


def test_archive_exchanged_between_the_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries are judged again while writing."""
    archive = write_tar(tmp_path / "a.tar", {"good": b"x"})
    evil = write_tar(tmp_path / "b.tar", {"../../evil": b"x"}).read_bytes()
    real: Callable[..., Any] = archives.contents

    def exchange(*args: Any, **keywords: Any) -> Any:
        yield from real(*args, **keywords)
        archive.write_bytes(evil)

    monkeypatch.setattr(archives, "contents", exchange)
    with pytest.raises(DataError, match="'..' in its path"):
        unpack(archive, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("evil"))
