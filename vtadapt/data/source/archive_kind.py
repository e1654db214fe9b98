"""What kind of file a download is, told from its content, and broken archives as one line."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vtadapt.errors import DataError

UNPACKERS: dict[str, Callable[[BinaryIO], Any]] = {
    "tar": lambda raw: raw,
    "tar.gz": lambda raw: gzip.GzipFile(fileobj=raw),
    "tar.bz2": lambda raw: bz2.BZ2File(raw),
    "tar.xz": lambda raw: lzma.LZMAFile(raw),  # noqa: SIM115  # the caller closes it
}
_COMPRESSED = {b"\x1f\x8b": "tar.gz", b"BZh": "tar.bz2", b"\xfd7zXZ\x00": "tar.xz"}
_FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it by hand (7z x FILE)"),
    b"Rar!\x1a\x07": ("a RAR archive", "unpack it by hand (unrar x FILE or 7z x FILE)"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it by hand (tar --zstd -xf FILE)"),
    b"\x1f\x9d": ("compressed with 'compress'", "unpack it by hand (tar -xZf FILE)"),
    b"LZIP": ("compressed with lzip", "unpack it by hand (tar --lzip -xf FILE)"),
    b"MSCF": ("a cabinet archive", "unpack it by hand (7z x FILE)"),
    b"PK\x07\x08": ("one part of a split zip", "join the parts (zip -s 0 FIRST.zip --out WHOLE.zip)"),
    b"<!doctype": ("a web page", "the download asked for a login or failed; download it again"),
    b"<html": ("a web page", "the download asked for a login or failed; download it again"),
}
# What the standard library raises for files that are not as they should be; OSError without errno is bz2's and gzip's.
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    IndexError,  # tarfile, of a list of holes that is cut short
    OverflowError,
    RecursionError,
    NotImplementedError,
    RuntimeError,
)


def archive_kind(path: Path) -> str | None:
    """``"zip"``, ``"tar"``, ``"tar.gz"``, ``"tar.bz2"`` or ``"tar.xz"`` by content; None for what is no archive.

    Raises:
        DataError: an empty or unreadable file, a web page, or an archive or compressed file of another kind; the
            message says what it is and what to do.
    """
    with reading(path), path.open("rb") as raw:
        head = raw.read(tarfile.BLOCKSIZE)
    if not head:
        raise DataError(f"{path}: empty file (0 bytes); download it again")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    for magic, kind in _COMPRESSED.items():
        if head.startswith(magic):
            return _compressed_kind(path, kind)
    for magic, (what, advice) in _FOREIGN.items():
        if head.lower().startswith(magic.lower()):
            raise DataError(f"{path}: {what}; wanted zip, tar, tar.gz, tar.bz2 or tar.xz: {advice}")
    return "tar" if _is_tar_header(head) else None


def _compressed_kind(path: Path, kind: str) -> str:
    with path.open("rb") as raw, UNPACKERS[kind](raw) as file:
        try:
            head = file.read(tarfile.BLOCKSIZE)
        except (*_BROKEN, OSError):
            return kind  # reading it as a whole says what is wrong
    if not _is_tar_header(head):
        raise DataError(
            f"{path}: compressed ({kind[4:]}), but no tar is inside, or it is damaged; decompress it by hand"
        )
    return kind


def _is_tar_header(head: bytes) -> bool:
    """Whether a block of 512 bytes has the checksum that tar headers have."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


@contextlib.contextmanager
def reading(archive: Path, member: str = "") -> Iterator[None]:
    """Turn what the standard library raises for broken or unreadable archives into a DataError."""
    where = f" at member {member[:200]!r}" if member else ""
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{archive}: cannot be read{where}: {os.strerror(error.errno)}") from error
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise DataError(f"{archive}: cut short or damaged{where} ({reason}); download it again") from error
