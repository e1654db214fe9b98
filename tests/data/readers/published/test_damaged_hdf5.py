"""Damaged HDF5 sources: the library may crash or hang, this process gets one line that names the file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.data.formats.hypersim import write_h5
from vtadapt.data.readers.published import hypersim, nyuv2
from vtadapt.data.readers.raw.child import run_in_child
from vtadapt.errors import DataError


def _crash(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_crash_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.hdf5"
    write_h5(path, np.ones((4, 5), np.float32), "dataset")
    assert hypersim.read_array(path, "f", ()).sum() == 20
    monkeypatch.setattr(hypersim, "_array_of", _crash)
    with pytest.raises(DataError, match=r"a\.hdf5: broken HDF5 file \(its parser crashed, SIGSEGV\)"):
        hypersim.read_array(path, "f", ())
    with pytest.raises(DataError, match=r"a\.hdf5: broken HDF5 file \(its parser crashed, SIGSEGV\); download"):
        nyuv2._ask(_crash, path)
    monkeypatch.undo()
    assert hypersim.read_array(path, "f", ()).sum() == 20


@pytest.mark.slow
def test_damage_never_ends_this_process(tmp_path: Path) -> None:
    path, random = tmp_path / "a.hdf5", np.random.default_rng(1)
    write_h5(path, random.random((16, 20)).astype(np.float32), "dataset")
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in random.integers(0, min(len(whole), 3000), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            hypersim.read_array(path, "f", ())
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
            refused += 1
    assert refused > 20
    assert run_in_child(abs, -1) == 1
