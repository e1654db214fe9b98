"""Files of weights are found again by the digest of the encoder they make."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vtadapt.errors import UsageError
from vtadapt.models.backbones.weights import store

A, B = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, content: bytes = b"weights") -> Path:
    path.write_bytes(content)
    return path


def test_a_file_is_found_where_it_was_last_seen_and_not_copied(tmp_path, cache):
    assert store.find(A) is None and store.entries() == [] and not cache.exists()
    file = write(tmp_path / "w.pth")
    store.remember(file, A, "vit")
    assert store.find(A) == file and store.find(B) is None
    (record,) = (cache / "weights").iterdir()
    known = json.loads(record.read_text())
    assert record.name == f"{A}.json" and known["backbone"] == "vit"
    assert known["places"] == [
        {
            "path": str(file),
            "bytes": 7,
            "mtime_ns": file.stat().st_mtime_ns,
            # printf weights | sha256sum
            "sha256": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
        }
    ]


def test_of_several_places_those_that_are_left_are_found(tmp_path):
    first, second = write(tmp_path / "1.pth"), write(tmp_path / "2.pth")
    store.remember(first, A, "vit")
    store.remember(second, A, "vit")
    assert store.find(A) == second
    second.unlink()
    assert store.find(A) == first
    first.unlink()
    assert store.find(A) is None


def test_a_file_that_was_changed_is_not_found_and_one_that_was_touched_is(tmp_path):
    file = write(tmp_path / "w.pth")
    store.remember(file, A, "vit")
    os.utime(file, ns=(1, 1))
    assert store.find(A) == file
    write(file, b"weighty")
    assert store.find(A) is None
    write(file, b"weights and more")
    assert store.find(A) is None


def test_a_file_that_is_known_is_not_read_again(tmp_path, monkeypatch):
    file = write(tmp_path / "w.pth")
    store.remember(file, A, "vit")
    monkeypatch.setattr(store, "_sha256", lambda path: pytest.fail(f"read {path}"))
    assert store.look(file).sha256 == store.entries()[0].places[0].sha256


def test_the_store_is_bounded_and_what_was_used_longest_ago_goes(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(store, "MOST", 3)
    monkeypatch.setattr(store, "PLACES", 2)
    for number in range(5):
        digest = f"{number:064x}"
        store.remember(write(tmp_path / f"{number}.pth", b"%d" % number), digest, "vit")
        os.utime(cache / "weights" / f"{digest}.json", (number, number))
    assert [int(entry.digest, 16) for entry in store.entries()] == [4, 3, 2]
    for number in range(4):
        store.remember(write(tmp_path / f"copy{number}.pth"), f"{4:064x}", "vit")
    assert [Path(place.path).name for place in store.entries()[0].places] == ["copy3.pth", "copy2.pth"]


def test_forgetting_leaves_the_files(tmp_path):
    here, gone = write(tmp_path / "here.pth"), write(tmp_path / "gone.pth", b"other")
    store.remember(here, A, "vit")
    store.remember(gone, B, "swin")
    gone.unlink()
    assert [entry.digest for entry in store.forget("gone")] == [B]
    assert [entry.digest for entry in store.forget("aaaaaa")] == [A]
    assert here.exists() and store.entries() == [] and store.forget("all") == []
    store.remember(here, A, "vit")
    with pytest.raises(UsageError, match="aaaaa"):
        store.forget("aaaaa")
    assert [entry.digest for entry in store.forget("vit")] == [A]


def test_broken_records_and_foreign_files_are_passed_over(tmp_path, cache):
    file = write(tmp_path / "w.pth")
    store.remember(file, A, "vit")
    (cache / "weights" / f"{B}.json").write_text('{"digest": ')
    (cache / "weights" / "notes.txt").write_text("mine")
    assert [entry.digest for entry in store.entries()] == [A] and store.find(B) is None
    store.remember(file, B, "vit")
    assert store.find(B) == file


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(write(tmp_path / "a-file")))
    assert store.remember(write(tmp_path / "w.pth"), A, "vit").bytes == 7
    assert store.entries() == []
