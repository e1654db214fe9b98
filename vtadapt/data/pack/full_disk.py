"""A file for HDF5 to write to that never tells it of a full disk, which HDF5 2 does not survive."""

from __future__ import annotations

import io
import os
from pathlib import Path


class Sink(io.RawIOBase):
    """A new file whose writes always seem to work; the first that did not is in ``error``.

    HDF5 cannot close a file that it cannot write the rest of: h5py then prints tracebacks, and the process dies with a
    segmentation fault when it ends. So from the first error on everything is kept in memory (the rest of one sample
    and the index, since ``check`` is called after each sample), HDF5 closes what it takes for a whole file, and the
    writer raises the error.

    Args:
        path: the file; what is there is replaced.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = path.open("w+b", buffering=0)
        self._at = 0
        self._end = 0
        self._kept: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise the first error of a write, if there was one."""
        if self.error is not None:
            raise self.error

    def readable(self) -> bool:
        """Yes: HDF5 reads back parts of its index."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; see ``io.IOBase``."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def write(self, data: object) -> int:
        """Write all of ``data``, to the disk or, after an error, to the memory."""
        content = memoryview(data).cast("B")  # type: ignore[arg-type]  # whatever has a buffer
        done = 0
        while self.error is None and done < len(content):
            try:
                self._file.seek(self._at + done)
                done += self._file.write(content[done:]) or 0
            except OSError as error:
                self.error = error
        if done < len(content):
            self._kept.append((self._at + done, bytes(content[done:])))
        self._at += len(content)
        self._end = max(self._end, self._at)
        return len(content)

    def readinto(self, buffer: object) -> int:
        """Fill ``buffer`` with what was written there; zeros where nothing was."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        size = max(0, min(len(target), self._end - self._at))
        self._file.seek(self._at)
        content = bytearray((self._file.read(size) or b"").ljust(size, b"\0"))
        for place, kept in self._kept:
            first, last = max(place, self._at), min(place + len(kept), self._at + size)
            if first < last:
                content[first - self._at : last - self._at] = kept[first - place : last - place]
        target[:size] = content
        self._at += size
        return size

    def truncate(self, size: int | None = None) -> int:
        """Make the file ``size`` bytes long."""
        size = self._at if size is None else size
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        self._end = size
        return size

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
