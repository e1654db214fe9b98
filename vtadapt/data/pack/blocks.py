"""Checksums of a file's blocks, and a file that hands out no byte before the checksum of its block was found right.

The HDF5 library trusts what it reads: a damaged pack made it crash, hang, or give other numbers without a word. So it
reads packs through :class:`CheckedFile`, and sees each byte as it was written or an error.

``train.h5.crc32`` beside ``train.h5``: the CRC-32 (as zlib counts it) of each 64 KiB, the last block shorter; 4 bytes
each, the lowest first. The manifest has the table's own SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.atomic import whole_file
from vtadapt.errors import DataError

BLOCK = 1 << 16  # bytes: a sample's arrays take one to some; a table takes 1/16384 of its file
ENTRY = "crc32_sha256"  # of a file's table, in its entry of the manifest
_PREAD = hasattr(os, "pread")  # not on Windows, where no process is forked
_scanned: dict[tuple[str, int, int, str], Blocks] = {}


@dataclass(frozen=True)
class Blocks:
    """What a file was when it was written: its size in bytes and the CRC-32 of each block, uint32 (N)."""

    size: int
    sums: NDArray[np.uint32]


def table_of(path: Path) -> Path:
    """Where the table of a file lies."""
    return path.with_name(f"{path.name}.crc32")


def scan(path: Path) -> tuple[str, Blocks]:
    """SHA-256 of a file and the checksums of its blocks, in one pass; OSError where it cannot be read."""
    whole, sums, size = hashlib.sha256(), [], 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            whole.update(block)
            sums.append(zlib.crc32(block))
            size += len(block)
    return whole.hexdigest(), Blocks(size, np.array(sums, np.uint32))


def write_table(path: Path, blocks: Blocks) -> str:
    """Write the table of a file beside it, whole or not at all; returns its SHA-256."""
    content = blocks.sums.astype("<u4").tobytes()
    with whole_file(table_of(path)) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def has_table(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether the table that a file's entry in the manifest tells of is there."""
    table = table_of(path)
    return ENTRY in entry and table.is_file() and table.stat().st_size == _table_size(entry["bytes"])


def read_table(path: Path, size: int, digest: str) -> Blocks:
    """The table of the file ``path`` of ``size`` bytes.

    Raises:
        DataError: it is missing, or its SHA-256 is not ``digest``.
    """
    table, again = table_of(path), "prepare the data set again"
    try:
        # Of the size that it has: the manifest may say any.
        content = table.read_bytes() if table.stat().st_size == _table_size(size) else b""
    except FileNotFoundError as error:
        raise DataError(f"{table}: no such file; {again}") from error
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror}); {again}") from error
    if len(content) != _table_size(size) or hashlib.sha256(content).hexdigest() != digest:
        raise DataError(f"{table}: damaged (its checksum is not the manifest's); {again}")
    return Blocks(size, np.frombuffer(content, "<u4").astype(np.uint32))


def whole(path: Path, digest: str) -> Blocks:
    """The checksums of a file without a table, once its SHA-256 was found to be ``digest``.

    Read once a process, as long as its size and time of change stay the same.

    Raises:
        DataError: it is another.
    """
    try:
        found = path.stat()
        key = (str(path.absolute()), found.st_size, found.st_mtime_ns, digest)
        if key in _scanned:
            return _scanned[key]
        is_now, blocks = scan(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); prepare the data set again") from error
    if is_now != digest:
        raise DataError(f"{path}: damaged (its checksum is not the manifest's); prepare the data set again")
    _scanned[key] = blocks
    return blocks


def _table_size(size: int) -> int:
    return 4 * -(-size // BLOCK)


class CheckedFile(io.RawIOBase):
    """A file for h5py to read: every block is compared with its checksum when a byte of it is first asked for.

    Args:
        path: the file.
        blocks: what it was when it was written.

    Raises:
        OSError: it cannot be opened, or has another size; of ``readinto``: a block is not as it was written. The text
            says which; ``wrong`` keeps it, should HDF5 not pass the error on.
    """

    def __init__(self, path: Path, blocks: Blocks) -> None:
        super().__init__()
        self.wrong = ""
        self._blocks = blocks
        self._seen = bytearray(len(blocks.sums))  # 1: found right
        self._sums: list[int] = blocks.sums.tolist()
        self._at = 0
        self._file = path.open("rb", buffering=0)
        if (found := os.fstat(self._file.fileno()).st_size) != blocks.size:
            self._file.close()
            raise OSError(errno.EIO, f"{found} bytes, {blocks.size} were written")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; see ``io.IOBase``."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._blocks.size}[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fill ``buffer`` with what was written there; h5py asks for no count, so zeros stand beyond the end."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # whatever has a buffer
        begin = min(self._at, self._blocks.size)
        end = min(begin + len(target), self._blocks.size)
        size = end - begin
        if size:
            first, last = begin // BLOCK, (end - 1) // BLOCK + 1
            if all(self._seen[first:last]):
                target[:size] = self._pull(begin, size)
            else:
                inside = begin - first * BLOCK
                target[:size] = self._checked(first, last)[inside : inside + size]
        if size < len(target):
            target[size:] = bytes(len(target) - size)
        self._at = end
        return size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _checked(self, first: int, last: int) -> memoryview:
        """Blocks ``first`` up to before ``last``, found right."""
        start = first * BLOCK
        content = memoryview(self._pull(start, min(last * BLOCK, self._blocks.size) - start))
        for number in range(first, last):
            place = number * BLOCK - start
            if zlib.crc32(content[place : place + BLOCK]) != self._sums[number]:
                self._fail(f"bytes {number * BLOCK} to {(number + 1) * BLOCK - 1} are not what was written")
        self._seen[first:last] = b"\1" * (last - first)
        return content

    def _pull(self, begin: int, size: int) -> bytes:
        """Bytes of the file; where the system can it does not move the position, which a forked process shares."""
        parts = []
        while size > 0:
            if _PREAD:
                part = os.pread(self._file.fileno(), size, begin)
            else:
                self._file.seek(begin)
                part = self._file.read(size) or b""
            if not part:
                self._fail(f"it ends at byte {begin}, {self._blocks.size} were written")
            parts.append(part)
            begin, size = begin + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fail(self, text: str) -> None:
        self.wrong = f"damaged: {text}"
        raise OSError(errno.EIO, self.wrong)
