"""Splits of several files: the same samples as in one, whoever wrote them, and what fails costs only itself."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import SPECS, write_camvid
from vtadapt.data.pack import shards
from vtadapt.data.pack.manifest import open_manifest, open_pack, read_manifest, verify
from vtadapt.data.pack.pack import PackWriter
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.prepare.shard_jobs import DIED
from vtadapt.data.prepare.workers import _end_with_parent
from vtadapt.data.readers.published.camvid import CamVid
from vtadapt.data.readers.table import READERS
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.data.training.dataset import PackDataset
from vtadapt.errors import DataError

SIZE = (12, 16)
PARTS = PrepareOptions(size=SIZE, shard_size=2)


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    write_camvid(tmp_path / "src", {"train": 7, "val": 2})
    return tmp_path / "src"


def samples(root: Path, split: str) -> list[dict[str, Any]]:
    reader = open_pack(root, "camvid", split)
    return [{"name": reader.names[i], "size": reader.size(i), **reader.read(i)} for i in range(len(reader))]


def same(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x) for x, y in zip(a, b, strict=True)
    )


def test_several_files_are_read_as_one(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("camvid")
    one = prepare(recipe, camvid, tmp_path / "one", PrepareOptions(size=SIZE))
    many = prepare(recipe, camvid, tmp_path / "many", PARTS)
    names = [shard["file"] for shard in many["splits"]["train"]["shards"]]
    assert names == [f"train-{i:05d}-of-00004.h5" for i in range(4)]
    assert [shard["file"] for shard in many["splits"]["val"]["shards"]] == ["val.h5"]
    assert [shard["samples"] for shard in many["splits"]["train"]["shards"]] == [2, 2, 2, 1]
    for key in ("samples", "tasks", "missing", "broken"):
        assert many["splits"]["train"][key] == one["splits"]["train"][key]
    monkeypatch.setattr(shards, "OPEN_FILES", 2)  # so that files are closed and opened again on the way
    assert same(samples(tmp_path / "one", "train"), samples(tmp_path / "many", "train"))
    assert verify(tmp_path / "many", "camvid") == []
    reader = pickle.loads(pickle.dumps(open_pack(tmp_path / "many", "camvid", "train")))
    assert reader.present("semseg").tolist() == [True] * 7
    assert np.array_equal(reader.read(-1)["image"], reader.read(6)["image"])
    with pytest.raises(IndexError):
        reader.read(7)
    reader.close()
    tasks = {"semseg": SPECS["semseg"], "depth": SPECS["depth"]}
    assert [PackDataset(reader, tasks)[i]["name"] for i in range(7)] == reader.names


def test_whole_parts_in_worker_processes_give_the_same_bytes(camvid: Path, tmp_path: Path) -> None:
    recipe, seen = load_recipe("camvid"), []
    prepare(recipe, camvid, tmp_path / "a", PARTS)
    both = PrepareOptions(size=SIZE, shard_size=2, workers=2)
    prepare(recipe, camvid, tmp_path / "b", both, on_progress=lambda *a: seen.append(a))
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / n / "camvid").iterdir()} for n in "ab")
    assert a == b
    assert [s for s in seen if s[0] == "train"] == [("train", i, 7) for i in range(8)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_part_that_fails_does_not_lose_the_rest(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    path = camvid / "train" / "train bücher 2.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-80])
    how = PrepareOptions(size=SIZE, shard_size=2, workers=workers)
    with pytest.raises(DataError, match=r"bücher 2.png: broken picture.*1 of 7 samples.*4 of 5 parts are finished and"):
        prepare(recipe, camvid, out, how)
    path.write_bytes(whole)
    load, loaded = CamVid.load, []
    monkeypatch.setattr(CamVid, "load", lambda self, item: loaded.append(item.name) or load(self, item))
    prepare(recipe, camvid, out, PARTS)
    assert loaded == ["train bücher 2", "train bücher 3"]
    prepare(recipe, camvid, tmp_path / "fresh", PARTS)
    assert same(samples(out, "train"), samples(tmp_path / "fresh", "train"))


def test_parts_whose_samples_are_all_broken_are_left_out(camvid: Path, tmp_path: Path) -> None:
    for i in (2, 3):
        (camvid / "train" / f"train bücher {i}.png").write_bytes(b"x")
    skip = PrepareOptions(size=SIZE, shard_size=2, skip_broken=True)
    train = prepare(load_recipe("camvid"), camvid, tmp_path / "out", skip)["splits"]["train"]
    assert (train["samples"], len(train["shards"]), len(train["broken"])) == (5, 3, 2)
    assert len(open_pack(tmp_path / "out", "camvid", "train")) == 5


class Dies(CamVid):
    """Its process is killed at one sample, as by the system when memory runs out."""

    def load(self, item: Any) -> Any:
        if item.name == "train bücher 4" and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load(item)


def test_a_killed_worker_keeps_what_was_finished(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "camvid", Dies)
    with pytest.raises(DataError, match="a worker process died") as caught:
        prepare(load_recipe("camvid"), camvid, tmp_path, PrepareOptions(size=SIZE, shard_size=2, workers=2))
    assert str(caught.value) == DIED
    assert (tmp_path / ".camvid.state" / "train-00000-of-00004.h5.json").is_file()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    tasks = {"semseg": RecipeTask(kind="classes", classes=("a", "b"))}
    with PackWriter(tmp_path / "a.h5", tasks) as writer:
        for i in range(3):
            writer.add(str(i), np.full((9, 9, 3), i, np.uint8), {"semseg": np.zeros((9, 9), np.uint8)})
    writer.reread()
    with PackWriter(tmp_path / "a.h5", tasks) as other:  # another content under the same name
        for i in range(3):
            other.add(str(i), np.full((9, 9, 3), 2 * i, np.uint8), {"semseg": np.zeros((9, 9), np.uint8)})
    with pytest.raises(DataError, match="a.h5: sample '1' reads back different"):
        writer.reread()
    data = bytearray((tmp_path / "a.h5").read_bytes())
    (tmp_path / "a.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="not a whole HDF5 file"):
        other.reread()


def test_packs_of_the_first_version_are_still_read(camvid: Path, tmp_path: Path) -> None:
    new = prepare(load_recipe("camvid"), camvid, tmp_path, PrepareOptions(size=SIZE))
    old = {**new, "version": 1, "splits": {}}
    for name, entry in new["splits"].items():
        rest = {key: value for key, value in entry.items() if key not in ("shards", "missing")}
        old["splits"][name] = {**rest, **entry["shards"][0], "names": open_pack(tmp_path, "camvid", name).names}
    (tmp_path / "camvid" / "manifest.json").write_text(json.dumps(old))
    manifest = read_manifest(tmp_path / "camvid")
    shard = {**new["splits"]["train"]["shards"][0]}
    del shard["crc32_sha256"]  # there were no tables
    assert manifest["splits"]["train"]["shards"] == [shard]
    assert "names" not in manifest["splits"]["train"]
    assert len(open_pack(tmp_path, "camvid", "train")) == 7
    assert verify(tmp_path, "camvid") == []
    assert open_manifest(tmp_path, "camvid")["tasks"] == ["semseg", "edges"]


def _killed_with_a_worker(told: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _end_with_parent) as pool:
        worker = pool.submit(os.getpid).result()
        Path(told).write_text(str(worker))
        os.kill(os.getpid(), signal.SIGKILL)


def _runs(process: int) -> bool:
    """Whether a process is there and no zombie, which nobody may fetch in a container."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """They would else wait for ever, or write into what the next run is building."""
    process = multiprocessing.get_context("spawn").Process(target=_killed_with_a_worker, args=(str(tmp_path / "told"),))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    worker, end = int((tmp_path / "told").read_text()), time.monotonic() + 30
    while _runs(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(worker)
