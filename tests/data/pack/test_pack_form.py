"""A pack from elsewhere that declares what no pack has: one line when it is opened, and no memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.data.conftest import TASKS, random_sample
from vtadapt.data.pack.manifest import FILE, FORMAT, VERSION, open_manifest, verify, write_manifest
from vtadapt.data.pack.pack import PackReader, PackWriter
from vtadapt.errors import DataError

EDGE = 1 << 20


def instead(key: str, *fill: Any, **declared: Any) -> Callable[[h5py.File], None]:
    """Something else in the place of a dataset."""

    def change(file: h5py.File) -> None:
        del file[key]
        file.create_dataset(key, *fill, **declared)

    return change


def huge(file: h5py.File) -> None:
    instead("image", shape=(3, EDGE, EDGE, 3), dtype="u1", chunks=(1, 64, 64, 3))(file)
    file["size"][...] = EDGE


def sizes(value: int) -> Callable[[h5py.File], None]:
    return lambda file: file["size"].__setitem__(..., value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (instead("name", data=np.arange(3)), "'/name' is int64 .* wanted .N. strings"),
        (instead("name", data=[["a", "b"]] * 3, dtype=h5py.string_dtype()), "wanted .N. strings"),
        (instead("name", shape=(1 << 40,), chunks=(9,), dtype=h5py.string_dtype()), "names in a file of so many"),
        (instead("size", data=np.zeros(3)), "'/size' is float64 .* wanted .3, 2. whole numbers"),
        (sizes(-5), "wanted samples of 1x1 to 12x16"),
        (sizes(0), "wanted samples of 1x1 to 12x16"),
        (sizes(17), "wanted samples of 1x1 to 12x16"),
        (huge, "wanted at most 268435456 pixels a sample"),
        (lambda file: file["image"].resize(1, axis=0), "'/image' .* wanted one element a sample"),
        (
            instead("image", shape=(3, 12, 16), dtype=[("r", "u1"), ("g", "u1")]),
            "'/image' .* wanted .N, H, W, 3. uint8",
        ),
        (instead("image", shape=(3, 12, 16, 3), dtype=h5py.ref_dtype), "wanted .N, H, W, 3. uint8"),
        (instead("image", data=h5py.Empty("u1")), "broken pack"),
        (instead("present/edges", data=np.ones(9, bool)), "'/present/edges' .* wanted .3. booleans"),
        (instead("labels/depth", shape=(3, 12, 16), dtype="c8"), "'/labels/depth' .* wanted .N, H, W. float32"),
        (instead("labels/normals", shape=(3, 12, 16), dtype="f2"), "'/labels/normals' .* wanted .N, H, W, C. float16"),
        (instead("labels/edges", shape=(3, 9, 16), dtype="u1"), "'/labels/edges' .* wanted samples of 1x1 to 9x16"),
    ],
)
def test_what_no_pack_has_is_refused(tmp_path: Path, change: Callable[[h5py.File], None], message: str) -> None:
    random, path = np.random.default_rng(0), tmp_path / "train.h5"
    with PackWriter(path, TASKS) as writer:
        for name in "abc":
            writer.add(name, *random_sample(random, 12, 16))
    PackReader(path, TASKS).close()
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(DataError, match=message) as caught:
        PackReader(path, TASKS)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "split",
    [
        {"shards": []},
        {"shards": [{"file": "train.h5"}], "tasks": {"edges": {"min": "x"}}},
        {"shards": [{"file": "train.h5"}], "tasks": {"semseg": {"pixels_per_class": {"sky": []}}}},
        {"shards": [{"file": "train.h5"}], "tasks": [1]},
    ],
)
def test_manifests_that_are_none(tmp_path: Path, split: dict[str, Any]) -> None:
    (tmp_path / "a").mkdir()
    content = {"tasks": [], "recipe": {"tasks": {}}, "splits": {"train": split}}
    with pytest.raises(DataError, match="broken manifest"):
        write_manifest(tmp_path / "a", content)
    whole = json.dumps({"format": FORMAT, "version": VERSION, **content})
    (tmp_path / "a" / FILE).write_text(whole)
    with pytest.raises(DataError, match="broken manifest"):
        open_manifest(tmp_path, "a")


def test_files_outside_of_the_pack_are_not_even_read(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("x")
    (tmp_path / "a").mkdir()
    splits = {"train": {"shards": [{"file": name, "sha256": "0"} for name in (str(outside), "../secret")]}}
    write_manifest(tmp_path / "a", {"tasks": [], "recipe": {"tasks": {}}, "splits": splits})
    assert [problem.rpartition(": ")[2] for problem in verify(tmp_path, "a")] == [
        "the manifest names a file outside its folder"
    ] * 2
