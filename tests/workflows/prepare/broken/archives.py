"""Kinds of archives that are broken, unsafe, or of something else.

Each makes archives of a good CamVid folder and returns what is given as ``--source`` and what the error must name.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.data.formats.synthia import write_synthia

Given = tuple[list[Path], str]
PICTURE = "train/train bücher 0.png"


@dataclass(frozen=True)
class ArchiveKind:
    """``spoil`` gets the good folder and an empty one for the archives; ``says`` is looked for in the message."""

    name: str
    spoil: Callable[[Path, Path], Given]
    says: str


def zipped(root: Path, path: Path, more: dict[str, bytes] | None = None) -> Path:
    """A zip of a folder; ``more`` are added to its files, or stand in their place."""
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, **(more or {})}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def tarred(root: Path, path: Path, *more: tarfile.TarInfo) -> Path:
    """A tar.gz of a folder, with further members that have no content."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(root, "CamVid")
        for member in more:
            archive.addfile(member, io.BytesIO())
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def changed(make: Callable[[Path, Path], Path], name: str, change: Callable[[bytes], bytes]) -> Callable[..., Given]:
    """An archive whose bytes are changed."""

    def spoil(root: Path, folder: Path) -> Given:
        path = make(root, folder / name)
        path.write_bytes(change(path.read_bytes()))
        return [path], str(path)

    return spoil


def with_file(name: str, content: bytes = b"x") -> Callable[..., Given]:
    def spoil(root: Path, folder: Path) -> Given:
        path = zipped(root, folder / "Cam Vid.zip", {name: content})
        return [path], str(path)

    return spoil


def with_member(info: tarfile.TarInfo) -> Callable[..., Given]:
    def spoil(root: Path, folder: Path) -> Given:
        path = tarred(root, folder / "CamVid.tar.gz", info)
        return [path], str(path)

    return spoil


def just(name: str, content: bytes) -> Callable[..., Given]:
    def spoil(_: Path, folder: Path) -> Given:
        (folder / name).write_bytes(content)
        return [folder / name], str(folder / name)

    return spoil


def declared(size: int) -> Callable[[bytes], bytes]:
    """The first member's size in the zip's directory replaced (PKWARE APPNOTE 4.3.12: at byte 24 of its entry)."""

    def change(content: bytes) -> bytes:
        at = content.index(b"PK\x01\x02") + 24
        return content[:at] + struct.pack("<I", size) + content[at + 4 :]

    return change


def encrypted(content: bytes) -> bytes:
    """The flag of encryption set in the directory's first entry (at byte 8)."""
    at = content.index(b"PK\x01\x02") + 8
    return content[:at] + bytes([content[at] | 1]) + content[at + 1 :]


def flipped(content: bytes) -> bytes:
    half = len(content) // 3
    return content[:half] + bytes([content[half] ^ 16]) + content[half + 1 :]


def mixed(root: Path, folder: Path) -> Given:
    one = zipped(root, folder / "one.zip")
    other = zipped(root, folder / "other.zip", {PICTURE: b"another picture"})
    return [one, other], f"{other} and {one}"


def of_another_set(_: Path, folder: Path) -> Given:
    write_synthia(folder / "synthia", 2)
    path = zipped(folder / "synthia", folder / "SYNTHIA.zip")
    return [path], str(path)


def with_broken_picture(root: Path, folder: Path) -> Given:
    path = zipped(root, folder / "CamVid.zip", {PICTURE: b"no picture"})
    return [path], f"{path}: {PICTURE}"


def beside_a_file(root: Path, folder: Path) -> Given:
    (folder / "notes.bin").write_bytes(b"no archive")
    return [zipped(root, folder / "CamVid.zip"), folder / "notes.bin"], str(folder / "notes.bin")


ARCHIVE_KINDS = [
    ArchiveKind("zip cut short", changed(zipped, "CamVid.zip", lambda c: c[: len(c) // 2]), "cut short or damaged"),
    ArchiveKind("tar.gz cut short", changed(tarred, "CamVid.tgz", lambda c: c[: len(c) // 2]), "cut short or damaged"),
    ArchiveKind("zip damaged", changed(zipped, "CamVid.zip", flipped), "cut short or damaged at member"),
    ArchiveKind("tar.gz damaged", changed(tarred, "CamVid.tgz", flipped), "damaged"),
    ArchiveKind("zip bomb", changed(zipped, "bomb.zip", declared(4_000_000_000)), "declares .* decompression bomb"),
    ArchiveKind("more than declared", changed(zipped, "bomb.zip", declared(5)), "holds more than the 5 bytes"),
    ArchiveKind("encrypted", changed(zipped, "secret.zip", encrypted), "encrypted.*without a password"),
    ArchiveKind("../ in a zip", with_file("../evil.png"), "'../evil.png' is refused"),
    ArchiveKind("absolute path in a zip", with_file("/tmp/evil.png"), "an absolute path"),
    ArchiveKind("link to the outside", with_member(member("door", tarfile.SYMTYPE, "/etc")), "a symbolic link"),
    ArchiveKind("hard link outside", with_member(member("door", tarfile.LNKTYPE, "../../evil")), "'door' is refused"),
    ArchiveKind("device", with_member(member("null", tarfile.CHRTYPE)), "a special file"),
    ArchiveKind("two archives mixed", mixed, "both hold 'train/train bücher 0.png', with different content"),
    ArchiveKind("archive of another set", of_another_set, "no such folder; wanted one with pictures"),
    ArchiveKind("broken picture inside", with_broken_picture, "broken picture"),
    ArchiveKind("beside a file", beside_a_file, "no archive, so it cannot be read together"),
    ArchiveKind("web page", just("CamVid.zip", b"<!DOCTYPE html><p>log in"), "a web page.*download it again"),
    ArchiveKind("RAR", just("CamVid.zip", b"Rar!\x1a\x07\x01\x00"), "a RAR archive.*unpack it by hand"),
    ArchiveKind("empty archive", just("CamVid.zip", b""), r"empty file \(0 bytes\)"),
    ArchiveKind("zip of nothing", just("CamVid.zip", b"PK\x05\x06" + bytes(18)), "holds no files"),
    ArchiveKind("unfinished", just("CamVid.zip.crdownload", b"PK\x03\x04"), "an unfinished download"),
]
