"""Whatever is wrong with the place of a pack, or with the pack: one line, exit code 3, and what was there stays."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import write_camvid
from tests.workflows.prepare.broken.archives import zipped
from tests.workflows.prepare.broken.dying_reader import Dying
from tests.workflows.prepare.broken.place import Place, refused, run_alone, tidy
from vtadapt.data.readers.table import READERS


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small disk in memory."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / "small disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a disk (root)")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def on(place: Place, disk: Path) -> Place:
    """The place with its folder of packs on another disk."""
    shutil.copytree(place.data, disk / "my data")
    shutil.rmtree(place.data)
    place.data.symlink_to(disk / "my data")
    return place


def larger(place: Place) -> None:
    """A source that makes a pack of 500 kB."""
    shutil.rmtree(place.source)
    write_camvid(place.source, {"train": 2, "val": 1}, (240, 320))


@pytest.mark.slow
def test_a_full_disk(place_of: Callable[[str], Place], disk: Callable[[str], Path]) -> None:
    """HDF5 does not survive this by itself: the process would die of it when it ends."""
    place = on(place_of("camvid"), disk("300k"))
    before = place.pack()
    larger(place)
    asked = [*place.asked(), "--force"]  # the folder of packs was moved, so the source there is another one
    refused(run_alone(asked), ".camvid.building/train.h5", "no space left on the disk.* choose another folder", 5)
    assert place.pack() == before
    tidy(place)


@pytest.mark.slow
def test_a_full_disk_while_unpacking(
    cli: Callable[..., Any], place_of: Callable[[str], Place], disk: Callable[[str], Path]
) -> None:
    place = on(place_of("camvid"), disk("300k"))
    before = place.pack()
    archive = zipped(place.source, place.folder / "CamVid.zip")
    refused(cli(*place.asked([archive])), archive, r"there is room for 0 \(\d+ stay free\); free some space")
    assert place.pack() == before
    tidy(place)


def test_a_limit_on_the_size_of_files(place_of: Callable[[str], Place]) -> None:
    place = place_of("camvid")
    before = place.pack()
    larger(place)
    refused(run_alone(place.asked(), most=200_000), ".camvid.building/train.h5", "File too large", 5)
    assert place.pack() == before
    tidy(place)


@pytest.mark.slow
def test_a_disk_that_is_read_only(
    cli: Callable[..., Any], place_of: Callable[[str], Place], request: pytest.FixtureRequest
) -> None:
    place = place_of("camvid")
    if os.geteuid() == 0:
        folder = request.getfixturevalue("disk")("1m")
        on(place, folder)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        place.data.chmod(0o555)
    before = place.pack()
    refused(cli(*place.asked(), "--force"), place.data, "cannot write .*; choose another folder")
    refused(cli(*place.asked(data=place.data / "new")), place.data / "new", "cannot write .*; choose another folder")
    assert place.pack() == before


@pytest.mark.parametrize("inside", ["a file", "/proc"])
def test_folders_that_cannot_be_made(cli: Callable[..., Any], place_of: Callable[[str], Place], inside: str) -> None:
    place = place_of("camvid")
    (place.folder / "a file").write_text("not a folder")
    where = place.folder / inside / "new"  # "/proc" replaces all before it
    refused(cli(*place.asked(data=where)), where, "cannot write .*; choose another folder")


@pytest.mark.parametrize("what", ["the source", "a file", "a link", "notes"])
def test_nothing_but_a_pack_is_replaced(cli: Callable[..., Any], place_of: Callable[[str], Place], what: str) -> None:
    place = place_of("camvid")
    data = place.folder / "other data"
    target = data / "camvid"
    data.mkdir()
    source, offender = place.source, target
    if what == "the source":  # downloaded to where packs go by default
        source, offender = shutil.copytree(place.source, target), target / "train"
    elif what == "a file":
        target.write_text("mine")
    elif what == "a link":
        target.symlink_to(place.folder)
    else:
        shutil.copytree(place.data / "camvid", target)
        offender = target / "notes.txt"
        offender.write_text("mine")
    before = sorted(data.rglob("*"))
    archive = zipped(source, place.folder / "CamVid.zip")
    for given in (source, archive):
        refused(cli(*place.asked([given], data), "--force"), offender, r"choose another folder \(--data-dir\)")
    assert [p for p in sorted(data.rglob("*")) if not p.name.endswith(".lock")] == before
    assert target.is_symlink() or target.is_file() or sorted(target.rglob("*"))


@pytest.mark.parametrize("archive", [False, True])
def test_another_run_at_work(cli: Callable[..., Any], place_of: Callable[[str], Place], archive: bool) -> None:
    place = place_of("camvid")
    before = place.pack()
    lock = place.data / (".camvid.source/lock" if archive else ".camvid.lock")
    lock.parent.mkdir(exist_ok=True)
    sources = [zipped(place.source, place.folder / "CamVid.zip")] if archive else [place.source]
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(cli(*place.asked(sources)), lock, "another run is preparing the same data set.*wait for it")
        assert place.pack() == before
    assert cli(*place.asked(sources)).code == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed(
    cli: Callable[..., Any], place_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    place = place_of("camvid")
    before = place.pack()
    monkeypatch.setitem(READERS, "camvid", Dying)
    ran = cli(*place.asked(), "--force", "--workers", workers)
    refused(ran, "a worker process died", "run the same again with fewer --workers")
    assert place.pack() == before
    tidy(place)


# packs that are damaged themselves


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _splits(text: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.write_text(re.sub(r'"shards": \[.*?\]', f'"shards": {text}', path.read_text(), flags=re.DOTALL))

    return change


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("train.h5", _damage),
        ("train.h5", lambda path: path.write_bytes(path.read_bytes()[:-100])),
        ("train.h5", Path.unlink),
        ("manifest.json", lambda path: path.write_text("{")),
        ("manifest.json", lambda path: path.write_bytes(b"\xff\xfe")),
        ("manifest.json", lambda path: path.write_text("[" * 100_000)),
        ("manifest.json", _splits("7")),
        ("manifest.json", _splits('[{"file": "../../secret"}]')),
        ("manifest.json", Path.unlink),
    ],
)
def test_a_damaged_pack_is_made_again(
    cli: Callable[..., Any], place_of: Callable[[str], Place], file: str, spoil: Callable[[Path], object]
) -> None:
    place = place_of("camvid")
    before = place.pack()
    spoil(place.data / "camvid" / file)
    ran = cli(*place.asked())
    assert (ran.code, ran.err) == (0, "")
    assert place.pack() == before
    assert {p.name for p in place.data.iterdir()} == {"camvid", ".camvid.lock"}
