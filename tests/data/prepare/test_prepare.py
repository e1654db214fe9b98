"""None"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import write_sevenscenes
from tests.data.prepare.conftest import SMALL
from vtadapt import atomic
from vtadapt.data.pack.manifest import checksum, has_pack, locate, open_manifest, open_pack, verify
from vtadapt.data.prepare import contents as contents_module
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.published.camvid import CamVid
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError, UsageError


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_pack_and_its_manifest(camvid: Path, tmp_path: Path) -> None:
    out = tmp_path / "data ö"
    seen: list[tuple[str, int, int]] = []
    recipe = load_recipe("camvid")
    manifest = prepare(recipe, camvid, out, SMALL, on_progress=lambda *a: seen.append(a))
    wanted = [("train", 0, 4), ("val", 0, 2)]
    assert seen == wanted + [("train", i, 4) for i in range(1, 5)] + [("val", i, 2) for i in (1, 2)]
    assert sorted(p.name for p in (out / "camvid").iterdir()) == [
        "manifest.json",
        "train.h5",
        "train.h5.crc32",
        "val.h5",
        "val.h5.crc32",
    ]
    assert manifest["recipe_hash"] == recipe.hash
    assert manifest["derived"] == ["edges"]
    assert manifest["size"] == [12, 16]
    train = manifest["splits"]["train"]
    assert train["samples"] == train["tasks"]["semseg"]["samples"] == 4
    [shard] = train["shards"]
    assert (shard["file"], shard["samples"]) == ("train.h5", 4)
    assert shard["sha256"] == checksum(out / "camvid" / "train.h5")
    assert open_pack(out, "camvid", "train").names[1] == "train bücher 1"
    assert sum(train["tasks"]["semseg"]["pixels_per_class"].values()) > 0
    assert verify(out, "camvid") == []
    reader = open_pack(out, "camvid", "val")
    sample = reader.read(1)
    assert {k: v.shape for k, v in sample.items()} == {"image": (12, 16, 3), "semseg": (12, 16), "edges": (12, 16)}


def test_native_size_keeps_the_labels_to_the_bit(camvid: Path, tmp_path: Path) -> None:
    prepare(load_recipe("camvid"), camvid, tmp_path / "out", PrepareOptions(size="native", splits=["val"]))
    reader = open_pack(tmp_path / "out", "camvid", "val")
    for i, name in enumerate(reader.names):
        raw = np.asarray(Image.open(camvid / "valannot" / f"{name}.png"))
        np.testing.assert_array_equal(reader.read(i)["semseg"], np.where(raw == 11, 255, raw))
    with pytest.raises(
        DataError, match=r"without split 'train' \(it has val\); run: .*--source PATH --splits train,val$"
    ):
        open_pack(tmp_path / "out", "camvid", "train")
    with pytest.raises(DataError, match=r"run \(where the source has it\): .* --splits val,test$"):
        open_pack(tmp_path / "out", "camvid", "test")
    with pytest.raises(UsageError, match="has no split 'vall'. Did you mean 'val'"):
        open_pack(tmp_path / "out", "camvid", "vall")


def test_derived_normals_of_sevenscenes(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path / "src", 1)
    prepare(load_recipe("sevenscenes"), tmp_path / "src", tmp_path / "out")
    sample = open_pack(tmp_path / "out", "sevenscenes", "train").read(0)
    assert sample["normals"].shape == (120, 160, 3)
    # 1/z = 0.5 + 1e-4 (u - 320) + 2e-4 (v - 240) with f = 585: n ~ -(0.0585, 0.117, 0.5)
    wanted = -np.array([0.0585, 0.117, 0.5]) / np.linalg.norm([0.0585, 0.117, 0.5])
    known = (sample["normals"] != 0).any(-1)
    assert known.mean() > 0.7
    cosine = sample["normals"][known].astype(np.float64) @ wanted
    # The two cameras differ by a turn of 0.5 degrees; moving the depth to whole pixels costs a little, too.
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < 1.0
    assert ((sample["edges"] == 255) == (sample["depth"] == 0)).all()
    assert (sample["edges"] == 1).sum() == 0


def test_workers_give_the_same_bytes(camvid: Path, tmp_path: Path) -> None:
    recipe = load_recipe("camvid")
    prepare(recipe, camvid, tmp_path / "a", SMALL)
    prepare(recipe, camvid, tmp_path / "b", PrepareOptions(size=(12, 16), workers=1))
    assert contents(tmp_path / "a" / "camvid") == contents(tmp_path / "b" / "camvid")


def test_the_same_pack_is_kept_and_another_replaces_it(camvid: Path, tmp_path: Path) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    first = prepare(recipe, camvid, out, SMALL)
    stamp = (out / "camvid" / "train.h5").stat().st_ino
    assert prepare(recipe, camvid, out, SMALL) == first | {"kept": True}
    assert "kept" not in open_manifest(out, "camvid")
    assert (out / "camvid" / "train.h5").stat().st_ino == stamp
    assert prepare(recipe, None if recipe.source.synthetic else camvid, out, PrepareOptions(size=(12, 16), force=True))
    assert (out / "camvid" / "train.h5").stat().st_ino != stamp
    damaged = bytearray((out / "camvid" / "train.h5").read_bytes())
    damaged[2000] ^= 1
    (out / "camvid" / "train.h5").write_bytes(damaged)
    assert "checksum differs" in verify(out, "camvid")[0]
    prepare(recipe, camvid, out, SMALL)
    assert verify(out, "camvid") == []
    smaller = prepare(recipe, camvid, out, PrepareOptions(size=(12, 16), limit=1, tasks=["semseg"]))
    assert smaller["splits"]["train"]["samples"] == 1
    assert set(open_pack(out, "camvid", "train").read(0)) == {"image", "semseg"}
    assert sorted(p.name for p in out.iterdir()) == [".camvid.lock", "camvid"]


def test_edges_can_be_derived_from_a_task_that_is_not_kept(camvid: Path, tmp_path: Path) -> None:
    prepare(load_recipe("camvid"), camvid, tmp_path, PrepareOptions(size=(12, 16), tasks=["edges"]))
    assert set(open_pack(tmp_path, "camvid", "train").read(0)) == {"image", "edges"}


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_pack(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    prepare(recipe, camvid, out, SMALL)
    before = contents(out / "camvid")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, place, full)
    with pytest.raises(DataError, match="no space left on the disk"):
        prepare(recipe, camvid, out, PrepareOptions(size=(24, 32)))
    assert contents(out / "camvid") == before


def _prepare_and_die(source: str, out: str, where: str) -> None:
    def die(*_: object, **__: object) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "val":
        prepare(
            load_recipe("camvid"),
            Path(source),
            Path(out),
            SMALL,
            on_progress=lambda s, n, _: s == "val" and n and die(),
        )
        return
    names = {"manifest": "write_manifest", "exchange": "exchange_folder"}
    if where in names:
        setattr(contents_module, names[where], die)
    else:  # between the two renames of the exchange
        rename = Path.rename

        def second(self: Path, target: Path) -> Path:
            if self.name.endswith(".building"):
                die()
            return rename(self, target)

        Path.rename = second  # type: ignore[method-assign]
    prepare(load_recipe("camvid"), Path(source), Path(out), SMALL)


@pytest.mark.parametrize("where", ["val", "manifest", "exchange", "renames"])
def test_a_killed_run_leaves_the_previous_pack_and_is_taken_up_again(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    load = CamVid.load
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    prepare(recipe, camvid, out, PrepareOptions(size=(8, 8)))
    before = contents(out / "camvid")
    process = multiprocessing.get_context("fork").Process(target=_prepare_and_die, args=(str(camvid), str(out), where))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert has_pack(out, "camvid")
    assert contents(locate(out, "camvid")) == before
    assert open_pack(out, "camvid", "train").size(0) == (8, 8)
    for folder in out.glob(".camvid.[bs]*"):  # killed in a container, whose successor has another name
        (folder / ".val.h5.00000000-1.partial").write_bytes(b"half")
    loaded: list[str] = []
    monkeypatch.setattr(CamVid, "load", lambda self, item: loaded.append(item.name) or load(self, item))
    prepare(recipe, camvid, out, SMALL)
    assert not [name for name in loaded if name.startswith("train")]  # that part was finished before the kill
    assert verify(out, "camvid") == []
    assert sorted(p.name for p in out.iterdir()) == [".camvid.lock", "camvid"]
    prepare(recipe, camvid, tmp_path / "fresh", SMALL)
    assert contents(out / "camvid") == contents(tmp_path / "fresh" / "camvid")


def test_synthetic_sets_need_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render_room(seed: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
        normals = np.zeros((*size, 3), np.float16)
        normals[..., 2] = -1
        return {
            "image": np.full((*size, 3), seed % 256, np.uint8),
            "semseg": np.full(size, seed % 13, np.uint8),
            "depth": np.full(size, 2.5, np.float32),
            "normals": normals,
            "edges": np.zeros(size, np.uint8),
        }

    stub = types.ModuleType("vtadapt.synthetic.rooms.rooms")
    stub.render_room = render_room  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vtadapt.synthetic.rooms.rooms", stub)
    manifest = prepare(load_recipe("rooms"), None, tmp_path, PrepareOptions(size=(16, 24), limit=3))
    assert manifest["splits"]["train"]["samples"] == 3
    assert manifest["derived"] == []
    assert open_pack(tmp_path, "rooms", "val").read(2)["depth"].shape == (16, 24)


def test_real_sets(shared_data: Path, tmp_path: Path) -> None:
    few = PrepareOptions(limit=2)
    camvid = prepare(load_recipe("camvid"), shared_data / "camvid", tmp_path, few)
    assert list(camvid["splits"]) == ["train", "val"]  # there is no test split here
    sevenscenes = prepare(load_recipe("sevenscenes"), shared_data / "sevenscenes", tmp_path, few)
    depth = sevenscenes["splits"]["val"]["tasks"]["depth"]
    assert 0.3 < depth["min"] < depth["max"] < 10
    assert sevenscenes["splits"]["val"]["tasks"]["normals"]["valid_share"] > 0.6
