"""What leads out of an HDF5 file, in each of its forms: refused by name, and never opened."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from vtadapt.data.hdf5 import dataset, has, referred
from vtadapt.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with every way out of it."""
    (tmp_path / "secret").write_bytes(b"root:x:0")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["group/x"] = np.arange(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own/x"] = np.arange(3)
        file["linked"] = h5py.ExternalLink("other.h5", "/group")
        file["x"] = h5py.ExternalLink("other.h5", "/group/x")
        file["nowhere"] = h5py.ExternalLink("none.h5", "/x")
        file["soft"] = h5py.SoftLink("/own")
        file["round"] = h5py.SoftLink("/round")
        file.create_dataset("outside", (8,), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
        layout = h5py.VirtualLayout((3,), "i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "group/x", (3,))
        file.create_virtual_dataset("virtual", layout)
        refs = file.create_dataset("refs", (5,), h5py.ref_dtype)
        refs[0], refs[1], refs[2], refs[3] = (file[k].ref for k in ("own/x", "outside", "virtual", "own"))
    return tmp_path / "a.h5"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("linked/x", "'linked' is an external link"),
        ("x", "'x' is an external link"),
        ("nowhere", "'nowhere' is an external link"),
        ("soft/x", "'soft' is a soft link"),
        ("round", "'round' is a soft link"),
        ("outside", r"'outside' keeps its numbers in other files \('.*secret'\)"),
        ("virtual", "'virtual' is a virtual dataset"),
        ("own", "'own' is no dataset"),
        ("own/y", "has no 'own/y'"),
        ("own/x/y", "has no 'own/x/y'"),
    ],
)
def test_ways_out_are_refused(path: Path, key: str, message: str) -> None:
    with h5py.File(path) as file, pytest.raises(DataError, match=rf"a\.h5: {message}") as caught:
        dataset(file, key, path)
    assert "\n" not in str(caught.value)


def test_what_lies_inside_is_found(path: Path) -> None:
    with h5py.File(path) as file:
        assert dataset(file, "own/x", path)[()].tolist() == dataset(file, "/own/x", path)[()].tolist() == [0, 1, 2]
        found = {key: has(file, key) for key in ("own/x", "own/y", "own/x/y", "nowhere", "nowhere/x", "gone/x")}
    assert found == {
        "own/x": True, "own/y": False, "own/x/y": False, "nowhere": True, "nowhere/x": True, "gone/x": False
    }  # fmt: skip


def test_references_are_looked_at_alike(path: Path) -> None:
    with h5py.File(path) as file:
        refs = file["refs"][()]
        assert referred(file, refs[0], path)[()].tolist() == [0, 1, 2]
        for number, message in ((1, "other files"), (2, "virtual"), (3, "no dataset"), (4, "points to nothing")):
            with pytest.raises(DataError, match=message):
                referred(file, refs[number], path)
        with pytest.raises(DataError, match="points to nothing"):
            referred(file, 7.0, path)
