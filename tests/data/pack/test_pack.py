from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.data.conftest import TASKS, random_sample
from vtadapt import atomic
from vtadapt.data.pack import pack as pack_module
from vtadapt.data.pack.labels import valid_mask
from vtadapt.data.pack.pack import PackReader, PackWriter
from vtadapt.errors import DataError


def fill(path: Path, count: int = 3, seed: int = 0) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    random = np.random.default_rng(seed)
    samples = [random_sample(random, 12, 16) for _ in range(count)]
    with PackWriter(path, TASKS) as writer:
        for i, (image, labels) in enumerate(samples):
            writer.add(f"s{i}", image, labels)
    return samples


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ordner mit ü" / "train.h5"
    path.parent.mkdir()
    samples = fill(path)
    reader = PackReader(path, TASKS)
    assert reader.names == ["s0", "s1", "s2"]
    for i in (2, 0, 1):
        stored = reader.read(i)
        image, labels = samples[i]
        np.testing.assert_array_equal(stored["image"], image)
        for task in ("semseg", "edges", "depth"):
            np.testing.assert_array_equal(stored[task], labels[task].astype(stored[task].dtype))
        np.testing.assert_array_equal(stored["normals"], labels["normals"].astype(np.float16))
        np.testing.assert_array_equal(stored["curvature"], labels["curvature"].astype(np.float32))
        assert {str(v.dtype) for v in stored.values()} == {"uint8", "float32", "float16"}


def test_sizes_and_missing_labels_per_sample(pack: PackReader) -> None:
    assert [pack.size(i) for i in range(3)] == [(20, 18), (16, 24), (20, 18)]
    assert pack.present("depth").tolist() == [True, False, False, True, True, True]
    assert set(pack.read(2)) == {"image"}
    assert set(pack.read(1)) == {"image", "semseg", "normals", "edges", "curvature"}
    assert set(pack.read(0, ["edges"])) == {"image", "edges"}
    assert pack.read(1)["normals"].shape == (16, 24, 3)


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    fill(tmp_path / "a.h5")
    fill(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_statistics_count_what_is_valid(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "a.h5", TASKS) as writer:
        for _ in range(2):
            depth = np.array([[0, 2], [4, np.nan]], np.float32)
            labels = {"depth": depth, "semseg": np.array([[0, 0], [2, 255]], np.uint8)}
            writer.add("x", np.zeros((2, 2, 3), np.uint8), labels)
    depth_stats = writer.stats["depth"].summary(TASKS["depth"])
    assert depth_stats == {"samples": 2, "valid_share": 0.5, "min": 2.0, "max": 4.0, "units": "m"}
    assert writer.stats["semseg"].summary(TASKS["semseg"])["pixels_per_class"] == {"a": 4, "b": 0, "c": 2}
    assert writer.stats["edges"].summary(TASKS["edges"])["min"] is None


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        ("semseg", np.full((4, 4), 7, np.uint8), "x, semseg: label ids 7, wanted 0..2 or 255"),
        ("semseg", np.full((4, 4), -1), "label ids -1"),
        ("semseg", np.zeros((4, 4)), "wanted whole numbers"),
        ("semseg", np.zeros((4, 4, 3), np.uint8), r"shape \(4, 4, 3\), wanted \(H, W\)"),
        ("depth", np.full((4, 4), -2.0), "negative distance"),
        ("depth", np.ones((4, 5)), r"size \(4, 5\), its image is \(4, 4\)"),
        ("normals", np.full((4, 4, 3), 0.9), "vectors of length 1.559"),
        ("edges", np.full((4, 4), 3, np.uint8), "boundary values from 3 to 3"),
        ("edges", np.full((4, 4), 1.5), "wanted 0..1"),
        ("curvature", np.zeros((4, 4)), r"wanted \(H, W, 2\)"),
    ],
)
def test_labels_that_do_not_fit_their_task(tmp_path: Path, task: str, label: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message), PackWriter(tmp_path / "a.h5", TASKS) as writer:
        writer.add("x", np.zeros((4, 4, 3), np.uint8), {task: label})
    assert list(tmp_path.iterdir()) == []


def test_soft_boundaries_are_kept_as_numbers(tmp_path: Path) -> None:
    soft = np.array([[0, 0.25], [1, np.nan]], np.float32)
    with PackWriter(tmp_path / "a.h5", TASKS) as writer:
        writer.add("x", np.zeros((2, 2, 3), np.uint8), {"edges": soft})
    stored = PackReader(tmp_path / "a.h5", TASKS).read(0)["edges"]
    np.testing.assert_array_equal(stored, soft)
    assert valid_mask(stored, TASKS["edges"]).tolist() == [[True, True], [True, False]]


def test_an_error_inside_leaves_the_previous_pack(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    fill(path)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), PackWriter(path, TASKS) as writer:
        writer.add("x", np.zeros((4, 4, 3), np.uint8), {})
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["fsync", "replace", "write"])
def test_a_full_disk_is_one_line_and_leaves_the_previous_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "train.h5"
    fill(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        if place == "write":  # as h5py words it, without errno
            raise OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')")
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "write":
        monkeypatch.setattr(h5py.Group, "create_dataset", full)
    else:
        monkeypatch.setattr(atomic.os, place, full)
    with pytest.raises(DataError, match="no space left on the disk while writing .*train.h5") as caught:
        fill(path, seed=1)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_packs_of_before_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed with gzip; new ones are not."""
    fill(tmp_path / "new.h5")
    monkeypatch.setattr(pack_module.hdf5plugin, "Zstd", lambda **_: "gzip")
    fill(tmp_path / "old.h5")
    old, new = (PackReader(tmp_path / name, TASKS) for name in ("old.h5", "new.h5"))
    with h5py.File(tmp_path / "old.h5") as file, h5py.File(tmp_path / "new.h5") as other:
        assert (file["image"].compression, other["image"].compression) == ("gzip", "unknown")
    for index in range(len(new)):
        found, wanted = old.read(index), new.read(index)
        assert found.keys() == wanted.keys()
        assert all(np.array_equal(found[key], wanted[key], equal_nan=key != "image") for key in wanted)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot write"), PackWriter(tmp_path / "no" / "a.h5", TASKS):
        pass


def _killed_while_writing(path: str) -> None:
    with PackWriter(Path(path), TASKS) as writer:
        writer.add("x", np.zeros((4, 4, 3), np.uint8), {})
        os.kill(os.getpid(), signal.SIGKILL)


def test_kill_in_the_middle_leaves_the_previous_pack(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    fill(path)
    before = path.read_bytes()
    process = multiprocessing.get_context("spawn").Process(target=_killed_while_writing, args=(str(path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.read_bytes() == before
    atomic.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def _sum_in_another_process(reader: PackReader, queue: multiprocessing.Queue) -> None:
    queue.put(int(reader.read(1)["image"].sum()))


def test_reader_survives_pickle_and_fork(pack: PackReader) -> None:
    wanted = int(pack.read(1)["image"].sum())
    copy = pickle.loads(pickle.dumps(pack))
    assert copy._file is None
    assert int(copy.read(1)["image"].sum()) == wanted
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_sum_in_another_process, args=(pack, queue))
    process.start()
    assert queue.get(timeout=60) == wanted
    process.join()
    # As in a forked child: the handle belongs to another process id and must not be used.
    first, pack._pid = pack._file, -2
    assert int(pack.read(1)["image"].sum()) == wanted
    assert pack._file is not first
    pack.close()
    assert len(pack.read(0)) > 1


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    with pytest.raises(DataError, match="train.h5: no such file"):
        PackReader(path, TASKS)
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="train.h5: not a whole HDF5 file"):
        PackReader(path, TASKS)
    path.write_bytes(b"hello" * 100)
    with pytest.raises(DataError, match="train.h5: not a whole HDF5 file"):
        PackReader(path, TASKS)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="found format None None, wanted vtadapt-pack 1"):
        PackReader(path, TASKS)


def test_damage_inside_a_sample_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    fill(path)
    with h5py.File(path) as file:
        chunk = file["image"].id.get_chunk_info(1)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.byte_offset + 100] ^= 0x10  # one bit
    path.write_bytes(damaged)
    reader = PackReader(path, TASKS)
    reader.read(0)
    with pytest.raises(DataError, match="train.h5: sample 's1' cannot be read"):
        reader.read(1)


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a.h5")
    fill(tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["image"]
        file["image"] = h5py.ExternalLink("b.h5", "/image")
    with pytest.raises(DataError, match="a.h5: 'image' is an external link, which is not followed"):
        PackReader(tmp_path / "a.h5", TASKS).read(0)
