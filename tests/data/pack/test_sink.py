from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.data.conftest import TASKS, random_sample
from vtadapt.data.pack.full_disk import Sink
from vtadapt.data.pack.pack import PackReader, PackWriter
from vtadapt.errors import DataError


class Full:
    """A file on a disk that takes ``room`` more bytes, and then a part of a write."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = self.file.write(content[: self.room])
        self.room -= written
        return written


def test_writes_reads_and_cuts_as_a_file_does(tmp_path: Path) -> None:
    random, wanted = np.random.default_rng(0), bytearray()
    with Sink(tmp_path / "a") as sink:
        for _ in range(200):
            at, size = int(random.integers(0, 3000)), int(random.integers(0, 500))
            sink.seek(at)
            if random.random() < 0.5:
                content = random.bytes(size)
                assert sink.write(content) == size
                wanted.extend(bytes(max(0, at + size - len(wanted))))
                wanted[at : at + size] = content
            else:
                assert sink.read(size) == bytes(wanted[at : at + size])
            assert sink.seek(0, os.SEEK_END) == len(wanted)
        sink.truncate(100)
    assert (tmp_path / "a").read_bytes() == wanted[:100]


@pytest.mark.parametrize("room", [0, 1, 100, 2000, 9000])
def test_hdf5_does_not_see_a_full_disk(tmp_path: Path, room: int) -> None:
    sink = Sink(tmp_path / "a.h5")
    sink._file = Full(sink._file, room)
    array = np.arange(4000, dtype=np.int16)
    with h5py.File(sink, "w") as file:
        file["x"] = array
        file["group/y"] = array + 1
        np.testing.assert_array_equal(file["x"][()], array)
    with h5py.File(sink, "r") as file:
        np.testing.assert_array_equal(file["group/y"][()], array + 1)
    with pytest.raises(OSError, match="No space left"):
        sink.check()
    sink.close()
    assert (tmp_path / "a.h5").stat().st_size <= 20_000


def test_the_writer_stops_at_the_first_sample_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, labels = random_sample(np.random.default_rng(0), 40, 60)
    with PackWriter(tmp_path / "train.h5", TASKS) as writer:
        writer.add("first", image, labels)
    whole = (tmp_path / "train.h5").read_bytes()

    class Small(Sink):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self._file = Full(self._file, len(whole) * 2)  # type: ignore[assignment]

    monkeypatch.setattr("vtadapt.data.pack.pack.Sink", Small)
    added = []
    with (
        pytest.raises(DataError, match="no space left on the disk while writing .*train.h5"),
        PackWriter(tmp_path / "train.h5", TASKS) as writer,
    ):
        for i in range(9):
            writer.add(str(i), image, labels)
            added.append(i)
    assert 0 < len(added) < 4
    assert (tmp_path / "train.h5").read_bytes() == whole
    assert PackReader(tmp_path / "train.h5", TASKS).names == ["first"]
    assert [p.name for p in tmp_path.iterdir()] == ["train.h5"]
