"""Archives: what comes out is what went in, and nothing that is broken or malicious writes anything."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtadapt.data import archives
from vtadapt.data.archive_checks import plain_path
from vtadapt.data.archives import Limits, archive_kind, contents, unpack
from vtadapt.errors import DataError

FILES = {
    "SYNTHIA/RGB/a b.png": b"picture" * 1000,
    "SYNTHIA/Straße/日本.txt": "Grüße".encode(),
    "SYNTHIA/empty.txt": b"",
    "top.bin": os.urandom(1_200_000),
}
KINDS = {"zip": "", "tar": "w:", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on duplicate names
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w:", *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), 1_234_567_890, 0o4777
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return path


def write(path: Path, files: dict[str, bytes], kind: str) -> Path:
    return write_zip(path, files) if kind == "zip" else write_tar(path, files, KINDS[kind])


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: Path, match: str, limits: Limits | None = None) -> str:
    """Unpacking fails with one line that names the archive, and writes nothing anywhere around the target."""
    base = archive.parent
    before = tree(base)
    with pytest.raises(DataError, match=match) as caught:
        unpack(archive, base / "deep" / "target", limits=limits)
    assert tree(base) == before and not (base / "deep" / "target").exists()
    assert str(archive) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


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


EVIL = [
    "../evil",
    "a/../../evil",
    "/tmp/evil",
    "..\\evil",
    "\\\\host\\evil",
    "C:\\evil",
    "c:evil",
    "a/.. /evil",
    "a\nb",
]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_names_that_lead_outside(tmp_path: Path, name: str, kind: str) -> None:
    message = refused(write(tmp_path / "evil", {"good.txt": b"x", name: b"y"}, kind), "is refused")
    assert repr(name) in message


def test_a_name_with_nul(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"good.png_.txt": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"good.png_.txt", b"good.png\0.txt"))
    refused(archive, "control characters")


@pytest.mark.parametrize(
    ("name", "wanted"), [("./a//b", "a/b"), (".", ""), ("a/./ü ", "a/ü "), (".hidden", ".hidden"), ("a..b", "a..b")]
)
def test_harmless_names(name: str, wanted: str) -> None:
    assert plain_path(name) == wanted


def test_names_too_long(tmp_path: Path) -> None:
    refused(write_tar(tmp_path / "a.tar", {"x" * 256: b""}), "more than 255 bytes")
    refused(write_tar(tmp_path / "b.tar", {"x/" * 65 + "y": b""}), "too deep")


def test_symbolic_links_devices_and_pipes(tmp_path: Path) -> None:
    members = {
        "symbolic link": special("a/link", tarfile.SYMTYPE, "../../outside"),
        "device": special("null", tarfile.CHRTYPE),
        "pipe": special("fifo", tarfile.FIFOTYPE),
        "unknown kind": special("volume", b"V"),
    }
    for i, (what, member) in enumerate(members.items()):
        refused(write_tar(tmp_path / f"{i}.tar", {"good.txt": b"x"}, "w:", member), what)
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "symbolic link")


def test_writing_through_a_link_is_refused(tmp_path: Path) -> None:
    """A link to a folder outside, then a file below the link: the classical escape."""
    (tmp_path / "outside").mkdir()
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(special("door", tarfile.SYMTYPE, str(tmp_path / "outside")))
        tar.addfile(tarfile.TarInfo("door/evil"))
    refused(archive, "symbolic link")


def test_hard_links(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for i, target in enumerate(["/etc/passwd", "../../secret", "later.txt", "a"]):
        refused(write_tar(tmp_path / f"{i}.tar", {"a/b": b"x"}, "w:", special("l", tarfile.LNKTYPE, target)), "link to")
    inside = write_tar(tmp_path / "ok.tar.gz", {"a/b": b"12345"}, "w:gz", special("c/d", tarfile.LNKTYPE, "a/b"))
    result = unpack(inside, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a/b": b"12345", "c/d": b"12345"} and result.bytes == 10
    assert (tmp_path / "out" / "a" / "b").stat().st_nlink == 1  # a copy: changing one leaves the other
    refused(inside, "declares 10 bytes", Limits(total=9))  # each copy counts


def test_duplicates_and_files_that_are_folders(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
            archive.writestr("a.txt", "1")
            archive.writestr("./a.txt", "2")
    refused(tmp_path / "twice.zip", "there twice")
    for i, names in enumerate([("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")]):
        refused(write_tar(tmp_path / f"{i}.tar", dict.fromkeys(names, b"")), "which is a file|both a file and a folder")
    folder = special("a", tarfile.DIRTYPE)
    refused(write_tar(tmp_path / "f.tar", {"a": b""}, "w:", folder), "both a file and a folder")
    refused(write_tar(tmp_path / "g.tar", {}, "w:", folder, tarfile.TarInfo("a")), "both a file and a folder")
    unpack(write_tar(tmp_path / "ok.tar", {"a/b": b"x"}, "w:", folder, folder), tmp_path / "out")  # folders may repeat


def test_encrypted_zip(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a.txt": b"secret"})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # central directory
    archive.write_bytes(content)
    refused(archive, r"is refused \(encrypted\)")


def test_a_method_that_python_cannot_read(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a.txt": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 9  # deflate64, as Windows writes large files
    archive.write_bytes(content)
    refused(archive, "method 9")


@pytest.mark.parametrize("kind", KINDS)
def test_bomb_by_declared_size(tmp_path: Path, kind: str) -> None:
    """Ten million zeros shrink to some kilobytes."""
    archive = write(tmp_path / "bomb", {"zeros": bytes(10_000_000)}, kind)
    refused(archive, "declares 10000000 bytes", Limits(total=9_999_999))
    if kind != "tar":
        refused(archive, "over 200 times", Limits(free_ratio_bytes=1 << 20))
    unpack(archive, tmp_path / "out", limits=Limits(total=10_000_000, reserve=0))  # the limit itself passes


def test_bomb_of_terabytes_is_refused_at_its_header(tmp_path: Path) -> None:
    """A header says 1 TiB; nothing more is decompressed to see it, and the default limits do."""
    info = special("zeros", tarfile.REGTYPE, size=1 << 40)
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf() + bytes(1 << 20))
    refused(tmp_path / "a.tar.gz", "declares 1099511627776 bytes")


def test_bomb_in_an_extended_header(tmp_path: Path) -> None:
    """tarfile reads such a header in one piece into memory: 4 GiB from some megabytes, were they written."""
    for i, kind in enumerate((tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE)):
        with gzip.open(tmp_path / f"{i}.tar.gz", "wb") as file:
            file.write(special("h", kind, size=1 << 32).tobuf() + bytes(1 << 20))
        refused(tmp_path / f"{i}.tar.gz", "header of 4294967296 bytes")


def test_bomb_behind_the_end_of_a_tar(tmp_path: Path) -> None:
    content = write_tar(tmp_path / "a.tar", {"a": b"x"}).read_bytes()
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(content)
        for _ in range(20):
            file.write(bytes(1 << 20))
    refused(tmp_path / "a.tar.gz", "follows its end mark")


def crafted_zip(path: Path, data: bytes, declared: int, crc_of: bytes) -> Path:
    """A zip whose headers declare ``declared`` bytes for a member that inflates to ``data``."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, zlib.crc32(crc_of), len(body), declared, 1, 0)
    local = b"PK\x03\x04" + common + b"a" + body
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"a"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


def test_zip_that_declares_less_than_it_holds(tmp_path: Path) -> None:
    data = bytes(50_000_000)
    assert tree_of_crafted(tmp_path, data) == {"a": data}  # the generator itself makes good zips
    refused(crafted_zip(tmp_path / "lies.zip", data, 10, data), "holds more than the 10 bytes")
    refused(
        crafted_zip(tmp_path / "crc.zip", data, 10, data[:10]), "holds more than the 10 bytes|damaged at member 'a'"
    )
    refused(crafted_zip(tmp_path / "more.zip", b"12345", 10, b"12345"), "5 of 10 bytes")


def tree_of_crafted(tmp_path: Path, data: bytes) -> dict[str, bytes]:
    unpack(crafted_zip(tmp_path / "good.zip", data, len(data), data), tmp_path / "out")
    result = tree(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    return result


def test_members_that_overlap(tmp_path: Path) -> None:
    """The quoted-overlap bomb: many names for the same bytes."""
    archive = write_zip(tmp_path / "a.zip", {"a": os.urandom(1000), "b": b""})
    content = bytearray(archive.read_bytes())
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[second + 20 : second + 24] = struct.pack("<I", 1000)
    archive.write_bytes(content)
    refused(archive, "overlap")


def test_too_many_members(tmp_path: Path) -> None:
    for kind in ("zip", "tar"):
        archive = write(tmp_path / f"a.{kind}", {f"{i}": b"" for i in range(11)}, kind)
        refused(archive, "more than 10 members", Limits(members=10))


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
        (gzip.compress(b"no tar" * 200), "no tar is inside"),
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
