"""What stands in a zip or tar file, read as a stream.

Nothing is judged here: names, kinds and sizes are those that the archive declares (``archive_checks`` judges them).
"""

from __future__ import annotations

import calendar
import contextlib
import copy
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Self

from vtadapt.data.source.archive_kind import UNPACKERS, reading
from vtadapt.errors import DataError

CHUNK = 1 << 20
HEADERS = 4 << 20  # bytes of the headers of one member of a tar; a list of holes may have any length
TRAILING = 16 << 20  # zeros that may follow a tar's end: tapes are written in large records

_ZIP_METHODS = {
    zipfile.ZIP_STORED: "stored",
    zipfile.ZIP_DEFLATED: "deflate",
    zipfile.ZIP_BZIP2: "bzip2",
    zipfile.ZIP_LZMA: "lzma",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One member as the archive declares it.

    Attributes:
        name: as written, in whatever encoding could be told.
        kind: "file", "folder" or "hard link".
        size: declared bytes of a file, 0 for others.
        mtime: seconds since 1970.
        open: gives the content; only until the next entry is asked for.
        link: what a hard link names.
        refused: why nobody should unpack it ("" where all is well).
    """

    name: str
    kind: str
    size: int
    mtime: float
    open: Callable[[], IO[bytes]]
    link: str = ""
    refused: str = ""


@contextlib.contextmanager
def opened(path: Path, kind: str) -> Iterator[tuple[BinaryIO, Iterator[Entry]]]:
    """The file (its position tells how far reading is) and its entries, one after the other.

    Raises:
        DataError: while iterating: damaged or cut short; the message names archive and member.
    """
    with contextlib.ExitStack() as stack:
        with reading(path):
            raw = stack.enter_context(path.open("rb"))
            file = raw if kind == "zip" else stack.enter_context(UNPACKERS[kind](raw))
        yield raw, _zip_entries(path, file) if kind == "zip" else _tar_entries(path, file, can_seek=file is raw)


def _zip_entries(path: Path, raw: BinaryIO) -> Iterator[Entry]:
    with reading(path):
        archive = zipfile.ZipFile(raw)
    with archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        packed = sum(info.compress_size for info in infos)
        if packed > path.stat().st_size:
            raise DataError(
                f"{path}: its members overlap ({packed} bytes declared), as in a decompression bomb; refused"
            )
        for info in infos:
            yield _zip_entry(archive, info)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    name = info.orig_filename  # zipfile cuts ``filename`` at a NUL
    if not info.flag_bits & 0x800:  # no mark for UTF-8, but macOS writes it all the same
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    mode = stat.S_IFMT(info.external_attr >> 16)
    folder = mode == stat.S_IFDIR or name.replace("\\", "/").endswith("/")
    refused = ""
    if mode == stat.S_IFLNK:
        refused = "a symbolic link"
    elif mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        refused = "a device or pipe"
    elif info.flag_bits & 0x2041:
        refused = "encrypted"
    elif info.compress_type not in _ZIP_METHODS:
        refused = f"compressed by method {info.compress_type}, which Python cannot read"
    # zipfile yields at most what is declared; asking for more lets the reader see that there is more.
    asked = copy.copy(info)
    asked.file_size += CHUNK
    try:
        mtime = calendar.timegm((*info.date_time, 0, 0, 0))
    except ValueError:  # month 0: some programs write no date
        mtime = 0
    kind = "folder" if folder else "file"
    return Entry(name, kind, 0 if folder else info.file_size, mtime, lambda: archive.open(asked), refused=refused)


def _tar_entries(path: Path, file: Any, can_seek: bool) -> Iterator[Entry]:
    if not hasattr(tarfile, "data_filter"):  # came with Python 3.11.4; distributions gave it to older ones
        raise DataError(
            f"{path}: this Python cannot judge what is in a tar; unpack it by hand (tar -xf FILE) and give the folder, "
            "or use Python 3.11.4 or newer"
        )
    with reading(path):
        stream = _Forward(file, can_seek)
        archive = tarfile.open(  # noqa: SIM115  # closed with ``raw``, which is all that it holds
            fileobj=stream,  # type: ignore[call-overload]
            mode="r:",
            tarinfo=_StrictInfo,
            encoding="utf-8",
            errors="surrogateescape",
        )
    name = ""
    while True:
        with reading(path, name):
            stream.left = HEADERS
            info = archive.next()
            stream.left = None
            archive.members.clear()  # or they would fill the memory
            if info is None:
                _need_end(stream)
                return
        name = info.name
        yield _tar_entry(archive, info, f"{path}.unpacked")


def _tar_entry(archive: tarfile.TarFile, info: tarfile.TarInfo, below: str) -> Entry:
    kind = "folder" if info.isdir() else "hard link" if info.islnk() else "file"
    refused = ""
    if info.issym():  # the filter lets those pass that stay inside
        refused = "a symbolic link"
    elif info.issparse():
        refused = "a sparse file"
    elif info.size < 0:
        refused = f"of {info.size} bytes"
    else:
        try:
            tarfile.data_filter(info, below)
        except (tarfile.FilterError, ValueError) as error:  # ValueError: a NUL in its name
            refused = f"by tarfile's data filter: {error}"

    def content() -> IO[bytes]:
        return archive.extractfile(info) or io.BytesIO()

    size = info.size if kind == "file" else 0
    return Entry(_text(info.name), kind, size, float(info.mtime), content, _text(info.linkname), refused)


def _text(name: str) -> str:
    """A tar's name: UTF-8, else Latin-1 as older systems wrote it."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def _need_end(stream: _Forward) -> None:
    """After a tar's end only zeros may follow, to the end of the compressed stream (whose checksum is tested so)."""
    left = TRAILING
    while block := stream.read(CHUNK):
        left -= len(block)
        if block.count(0) != len(block) or left < 0:
            raise tarfile.ReadError("something follows its end mark")


class _StrictInfo(tarfile.TarInfo):
    """A header that is damaged or missing is an error; tarfile would take it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: Any) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            # The block of zeros that ends an archive; its exception has no public name.
            if type(error).__name__ == "EOFHeaderError":
                raise
            problem = str(error) if str(error) not in ("", "empty header") else "no end mark"
            raise tarfile.ReadError(problem) from error


class _Forward:
    """A stream as tarfile wants it that is only read forwards, and in small pieces.

    A tar's extended headers may declare any length, and tarfile reads each in one piece, or piece after piece into its
    memory: that is refused here.

    Attributes:
        left: bytes that the headers being read may still have; None while content is read.
    """

    def __init__(self, file: Any, can_seek: bool) -> None:
        self.file, self.can_seek, self.at = file, can_seek, 0
        self.left: int | None = HEADERS  # tarfile reads the first at once

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise tarfile.ReadError(f"headers of more than {HEADERS} bytes")
        return self._next(size)

    def _next(self, size: int) -> bytes:
        block: bytes = self.file.read(size)
        self.at += len(block)
        return block

    def tell(self) -> int:
        return self.at

    def seek(self, position: int) -> int:
        if self.can_seek:
            self.file.seek(position)
            self.at = position
        while self.at < position and self._next(min(CHUNK, position - self.at)):
            pass
        return self.at
