"""A file of entries of one size, each of which is whole or not there, whatever was killed while writing it.

An entry is a header and its content: the file's own number, the entry's, and a CRC-32 of those and of the content. What
was never written is a hole that takes no space and reads as zeros; what was cut while it was written, or has changed on
the disk, has another checksum: both are "not there". So no index is needed that could say otherwise, several processes
may write at once, and nothing has to reach the disk in any order.
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from io import FileIO
from pathlib import Path

from vtadapt.workflows.terminal.text import warn
from vtadapt.workflows.train.cached.form import Form, Parts
from vtadapt.workflows.train.cached.locks import share

NUMBERS, SUM = struct.Struct("<8sQ"), struct.Struct("<Q")
HEADER = NUMBERS.size + SUM.size


class Slots:
    """The entries of one file, which is locked against removal as long as this is there.

    Picklable and fork-safe: each process opens the file by itself.
    """

    def __init__(self, path: Path, key: str, form: Form, count: int) -> None:
        """Open the file, or make it, with room for ``count`` entries at least.

        Args:
            path: the file.
            key: hexadecimal digest of what the entries are of.
            form: of an entry.
            count: of entries.

        Raises:
            OSError: the disk refuses.
        """
        self.path, self.number, self.form = path, bytes.fromhex(key)[:8], form
        self.stopped = False
        """Whether the disk takes no more entries."""
        self._file: FileIO | None = None
        self._pid = -1
        path.touch()
        share(self._open())
        if path.stat().st_size < (size := file_size(form, count)):
            os.truncate(path, size)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None, "_pid": -1}

    def get(self, entry: int) -> Parts | None:
        """An entry; None where it is not there, or not whole."""
        content = bytearray(HEADER + self.form.bytes)
        try:
            file = self._open()
            file.seek(entry * len(content))
            read = file.readinto(content)
        except OSError:  # a damaged place of the disk, or somebody removed the file
            return None
        if read != len(content) or content[:HEADER] != self._head(entry, memoryview(content)[HEADER:]):
            return None
        return self.form.unpack(content, HEADER)

    def put(self, entry: int, parts: Parts) -> None:
        """Keep an entry; where the disk takes no more that is told once, and nothing is kept from then on."""
        if self.stopped:
            return
        body = self.form.pack(parts)
        left = memoryview(self._head(entry, body) + body)
        try:
            file = self._open()
            file.seek(entry * len(left))
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            self.stopped = True
            warn(f"no more features are kept in {self.path.parent} ({error.strerror or error}); training goes on")

    def _head(self, entry: int, body: bytes | memoryview) -> bytes:
        numbers = NUMBERS.pack(self.number, entry)
        return numbers + SUM.pack(zlib.crc32(body, zlib.crc32(numbers)))

    def _open(self) -> FileIO:
        """This process's own handle: one inherited through a fork shares its position with others."""
        if self._file is None or self._pid != os.getpid():
            # Unbuffered: an entry that is written can be read by every process.
            self._file, self._pid = FileIO(self.path, "r+"), os.getpid()
            weakref.finalize(self, self._file.close)
        return self._file


def file_size(form: Form, count: int) -> int:
    """Bytes of a file with room for ``count`` entries."""
    return count * (HEADER + form.bytes)
