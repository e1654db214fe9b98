"""Damage in a pack: whatever byte is another, HDF5 never sees it."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import write_camvid
from vtadapt.checked import parse_json
from vtadapt.data.pack import blocks, manifest
from vtadapt.data.pack.blocks import BLOCK, ENTRY, CheckedFile, scan, table_of
from vtadapt.data.pack.manifest import FILE, open_manifest, open_pack, verify
from vtadapt.data.pack.pack import PackReader
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError

FLIPS = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of several blocks."""
    root = tmp_path_factory.mktemp("packs")
    write_camvid(root / "src", {"train": 12, "val": 1}, size=(90, 120))
    prepare(load_recipe("camvid"), root / "src", root / "data", PrepareOptions(size="native"))
    return root / "data"


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(made / "camvid", tmp_path / "camvid")
    return tmp_path


def contents(reader: PackReader) -> Iterator[Any]:
    """Everything that a pack gives out, or the error in its place."""
    yield reader.names
    for index in range(len(reader)):
        try:
            yield reader.read(index)
        except DataError as error:
            yield str(error)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def without_tables(root: Path) -> None:
    """As packs of before are."""
    content = parse_json((root / "camvid" / FILE).read_bytes())
    for split in content["splits"].values():
        for shard in split["shards"]:
            table_of(root / "camvid" / shard["file"]).unlink()
            del shard[ENTRY]
    (root / "camvid" / FILE).write_text(json.dumps(content))


def test_the_table_is_of_the_file(root: Path) -> None:
    path = root / "camvid" / "train.h5"
    shard = open_manifest(root, "camvid")["splits"]["train"]["shards"][0]
    digest, found = scan(path)
    assert (digest, found.size) == (shard["sha256"], shard["bytes"])
    assert len(found.sums) == -(-found.size // BLOCK) > 4
    assert table_of(path).read_bytes() == found.sums.astype("<u4").tobytes()
    assert verify(root, "camvid") == []


@pytest.mark.parametrize("old", [False, True])
def test_no_damaged_byte_gives_other_data(root: Path, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    if old:
        without_tables(root)
    reader = open_pack(root, "camvid", "train")
    wanted = list(contents(reader))
    reader.close()
    path, random = root / "camvid" / "train.h5", np.random.default_rng(5)
    whole = path.read_bytes()
    # The index of HDF5 is small beside the data, and is what made it crash: half of the flips are at the beginning.
    places = [*random.integers(0, 8192, FLIPS // 2), *random.integers(0, len(whole), FLIPS // 2)]
    refused = lost = 0
    monkeypatch.setattr(blocks, "_scanned", {})
    for place in places[:20] if old else places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            reader = open_pack(root, "camvid", "train")
        except DataError as error:
            assert "train.h5" in str(error)
            refused += 1
            continue
        for one, right in zip(contents(reader), wanted, strict=True):
            assert (isinstance(one, str) and "train.h5" in one and "\n" not in one) or same(one, right)
            lost += isinstance(one, str)
        reader.close()
    assert refused >= (20 if old else FLIPS // 2)
    assert old or lost > 0
    path.write_bytes(whole)
    assert all(map(same, contents(open_pack(root, "camvid", "train")), wanted))


def test_damage_after_opening_is_seen_by_whoever_opens_the_file_next(root: Path) -> None:
    reader = open_pack(root, "camvid", "train")
    right, path = reader.read(11), root / "camvid" / "train.h5"
    whole = bytearray(path.read_bytes())
    whole[-BLOCK] ^= 1
    path.write_bytes(whole)
    assert same(reader.read(11), right)  # blocks that were found right are not looked at again
    again = pickle.loads(pickle.dumps(reader))
    with pytest.raises(DataError, match=r"train\.h5: .*bytes \d+ to \d+ are not what was written"):
        for index in range(12):
            again.read(index)


def test_a_file_or_a_table_that_is_gone_cut_or_changed(root: Path) -> None:
    path = root / "camvid" / "train.h5"
    table, whole = table_of(path).read_bytes(), path.read_bytes()
    for content in (table[:-4], table + b"\0", b"\1" + table[1:], b""):
        table_of(path).write_bytes(content)
        with pytest.raises(DataError, match=r"train\.h5\.crc32: damaged .* prepare the data set again"):
            open_pack(root, "camvid", "train")
        assert len(verify(root, "camvid")) == 1
    table_of(path).unlink()  # as where only the packs were copied: the whole file is compared instead
    assert len(open_pack(root, "camvid", "train").read(0)) > 1
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=r"train\.h5: damaged"):
        open_pack(root, "camvid", "train")
    path.write_bytes(whole)
    table_of(path).write_bytes(table)
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"train\.h5: .*cut short"):
        open_pack(root, "camvid", "train")
    assert len(open_pack(root, "camvid", "val")) == 1


def test_a_size_that_no_file_has_takes_no_memory(root: Path) -> None:
    shard = open_manifest(root, "camvid")["splits"]["train"]["shards"][0]
    with pytest.raises(DataError, match=r"train\.h5\.crc32: damaged"):
        blocks.read_table(root / "camvid" / "train.h5", 10**19, shard[ENTRY])


def test_a_file_that_is_cut_under_the_reader(root: Path) -> None:
    path = root / "camvid" / "train.h5"
    digest, found = scan(path)
    assert len(digest) == 64
    file = CheckedFile(path, found)
    path.write_bytes(path.read_bytes()[:BLOCK])
    assert file.read(4) == b"\x89HDF"
    file.seek(BLOCK - 2)
    with pytest.raises(OSError, match="damaged: it ends at byte"):
        file.read(4)
    with pytest.raises(OSError, match="bytes, .* were written"):
        CheckedFile(path, found)
    file.close()


def test_large_packs_of_before_are_read_as_they_are(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tables(root)
    assert open_pack(root, "camvid", "train").blocks is not None
    monkeypatch.setattr(manifest, "READ_WHOLE", 1000)
    reader = open_pack(root, "camvid", "train")
    assert (reader.blocks, len(reader)) == (None, 12)


def _total(reader: PackReader, queue: Any) -> None:
    queue.put(int(reader.read(1)["image"].sum()))


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_other_processes_check_for_themselves(root: Path, way: str) -> None:
    reader = open_pack(root, "camvid", "train")
    wanted = int(reader.read(1)["image"].sum())
    context = multiprocessing.get_context(way)
    queue = context.Queue()
    process = context.Process(target=_total, args=(reader, queue))
    process.start()
    assert queue.get(timeout=60) == wanted
    process.join()
    assert process.exitcode == 0
    assert int(reader.read(1)["image"].sum()) == wanted
    queue.close()
