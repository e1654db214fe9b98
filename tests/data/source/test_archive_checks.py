"""Malicious archives: none writes anything, inside or outside of its target."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.data.formats.archives import KINDS, refused, special, tree, write, write_tar, write_zip
from vtadapt.data.source.archive_checks import plain_path
from vtadapt.data.source.archives import Limits, unpack

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
    info = tarfile.TarInfo("a")
    info.pax_headers = {"path": "good.png\0.txt"}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info)
    refused(tmp_path / "a.tar", "control characters")


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
        "'null' is a special file": special("null", tarfile.CHRTYPE),
        "'fifo' is a special file": special("fifo", tarfile.FIFOTYPE),
        "'volume' is a special file": special("volume", b"V"),
    }
    for i, (what, member) in enumerate(members.items()):
        refused(write_tar(tmp_path / f"{i}.tar", {"good.txt": b"x"}, "w:", member), what)
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "symbolic link")


def test_a_python_without_the_filter_reads_no_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a": b"x"})
    monkeypatch.delattr(tarfile, "data_filter")
    refused(archive, "tar -xf FILE.*Python 3.11.4")


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


def test_bomb_in_a_list_of_holes(tmp_path: Path) -> None:
    """tarfile keeps such a list in memory, and it has no declared length: GiBs of it come from some hundred KiB."""
    old = bytearray(special("a", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    old[482] = 1  # the list goes on in the next block, and in that after it
    old[148:156] = b"%06o\0 " % (256 + sum(old[:148]) + sum(old[156:]))
    more = b"00000000001\0" * 42 + b"\1" + bytes(7)
    records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    new = special("h", tarfile.XHDTYPE, size=len(records)).tobuf() + records.ljust(512, b"\0")
    new += special("a", tarfile.REGTYPE, size=512).tobuf() + b"999999999\n"
    for i, (start, block) in enumerate(((bytes(old), more), (new, b"1\n" * 256))):
        with gzip.open(tmp_path / f"{i}.tar.gz", "wb") as file:
            file.write(start + block * (16 << 11))
        refused(tmp_path / f"{i}.tar.gz", "headers of more than 4194304 bytes")
        (tmp_path / f"cut{i}.tar").write_bytes(start + block * 3)
        refused(tmp_path / f"cut{i}.tar", "cut short or damaged")


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
