"""Arrays as files: what is read is what was written, and the same arrays are the same file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from vtadapt.workflows.run.files import write_arrays


def test_arrays_come_back_and_only_whole_numbers_are_packed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "a_task": random.random((4, 5, 3)).astype(np.float32),
        "ids": np.zeros((60, 50), np.uint16),
        "turned": random.random((3, 4)).T,
        "names": np.array(["a", "bc"]),
    }
    path = write_arrays(tmp_path / "a.npz", arrays)
    with np.load(path) as found:
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: (entry.compress_size, entry.file_size) for entry in archive.infolist()}
    assert sizes["ids.npy"][0] < sizes["ids.npy"][1] / 10
    assert sizes["a_task.npy"][0] == sizes["a_task.npy"][1]
    assert write_arrays(tmp_path / "b.npz", arrays).read_bytes() == path.read_bytes()
