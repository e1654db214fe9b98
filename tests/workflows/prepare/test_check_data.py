"""``prepare-data NAME --check`` on packs that were prepared, and damaged on the disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.conftest import tiny_recipe
from tests.data.conftest import write_camvid, write_sevenscenes
from vtadapt.checked import parse_json
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError
from vtadapt.viz.contact.key import ALARM, FORBIDDEN
from vtadapt.workflows.prepare.check_data import check_data, choose, failure_of
from vtadapt.workflows.prepare.check_tables import show_check


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A folder with a pack of noise in CamVid's layout."""
    write_camvid(tmp_path / "src", {"train": 5, "val": 3})
    prepare(load_recipe("camvid"), tmp_path / "src", tmp_path / "data", PrepareOptions(size="native"))
    return tmp_path / "data"


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """A folder with a pack of rendered rooms."""
    recipe = load_recipe(tiny_recipe(tmp_path, "small", 900))
    prepare(recipe, None, tmp_path / "data", PrepareOptions(limit=3, size=(64, 64)))
    return tmp_path / "data"


def seal(folder: Path) -> None:
    """Write the checksums of damaged files into the manifest, so that only the damage itself is left to be found."""
    path = folder / "manifest.json"
    manifest = parse_json(path.read_bytes())
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            data = (folder / shard["file"]).read_bytes()
            shard.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            shard.pop("crc32_sha256", None)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def damage(folder: Path, split: str, key: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one array of a split's file."""
    with h5py.File(folder / f"{split}.h5", "r+") as file:
        file[key][...] = change(file[key][...])


def reddest(path: str) -> int:
    """Pixels in the colour of alarms."""
    return int((np.asarray(Image.open(path)) == np.array(ALARM)).all(-1).sum())


def test_a_clean_pack(rooms: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {p.name for p in (rooms / "small").iterdir()}
    report = check_data("small", rooms)
    assert report["problems"] == []
    assert [line for line in report["warnings"] if "never seen" not in line] == []
    assert failure_of(report) is None
    assert {p.name for p in (rooms / "small").iterdir()} - before == {"contact.png"}
    assert report["picture"] == str(rooms / "small" / "contact.png")
    assert len(report["shown"]) == 6
    assert reddest(report["picture"]) == 0
    assert "check small train: 3 to do" in capfd.readouterr().err
    show_check(report, as_json=True)
    assert json.loads(capfd.readouterr().out) == report
    show_check(report, as_json=False)
    out = capfd.readouterr().out
    assert all(max(map(len, table.splitlines())) <= 80 for table in out.split("contact sheet")[:1])
    for text in ("train", "depth, m", "normals", "floor", "as stored", "no problems", f"contact sheet: {rooms}"):
        assert text in out


def test_a_second_check_and_a_second_preparation_are_not_disturbed_by_the_picture(camvid: Path, tmp_path: Path) -> None:
    first = check_data("camvid", camvid, quiet=True)
    assert check_data("camvid", camvid, quiet=True) == first
    again = prepare(load_recipe("camvid"), tmp_path / "src", camvid, PrepareOptions(size="native"))
    assert again["kept"]


def test_noise_is_no_problem_and_the_numbers_are_those_of_the_files(camvid: Path) -> None:
    report = check_data("camvid", camvid, samples=2, quiet=True)
    assert report["problems"] == []
    labels = [open_pack(camvid, "camvid", "train").read(i)["semseg"] for i in range(5)]
    found = report["splits"]["train"]["tasks"]["semseg"]
    assert found["pixels_per_class"]["sky"] == sum(int((label == 0).sum()) for label in labels)
    assert found["images_per_class"]["sky"] == 5
    assert found["valid_share"] == pytest.approx(np.mean([label != 255 for label in labels]), abs=1e-6)
    assert report["normals"] == {}
    assert len(report["shown"]) == 2


def test_a_flipped_axis_is_found_and_seen(rooms: Path) -> None:
    for split in ("train", "val"):
        damage(rooms / "small", split, "labels/normals", lambda a: a * np.array([1, -1, 1], a.dtype))
    seal(rooms / "small")
    report = check_data("small", rooms, quiet=True)
    assert any("axis y looks flipped" in line for line in report["warnings"])  # the recipe has no camera
    assert report["normals"]["normals"]["fits"] == "y negated"
    assert reddest(report["picture"]) > 6 * 1000


def test_real_frames_are_clean_and_a_flip_is_a_problem(
    shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    prepare(load_recipe("sevenscenes"), shared_data / "sevenscenes", data, PrepareOptions(limit=3, splits=("train",)))
    report = check_data("sevenscenes", data, samples=2, quiet=True)
    assert (report["problems"], report["warnings"]) == ([], [])
    assert report["normals"]["normals"]["degrees"]["as stored"] < 10
    assert reddest(report["picture"]) == 0
    damage(data / "sevenscenes", "train", "labels/normals", lambda a: a * np.array([1, 1, -1], a.dtype))
    assert any(
        "checksum differs" in line or "cut short?" in line for line in check_data("sevenscenes", data)["problems"]
    )
    seal(data / "sevenscenes")
    capfd.readouterr()
    report = check_data("sevenscenes", data, samples=2, quiet=True)
    assert report["problems"][0].startswith("normals: axis z looks flipped (mean angle to the depth's normals 7")
    assert "% of the vectors face away from the camera: axis z looks flipped" in report["problems"][1]
    assert reddest(report["picture"]) > 2 * 1000
    count = len(report["problems"])
    assert (failure_of(report) or "").startswith(f"pack 'sevenscenes' has {count} problems, first: normals: axis z")
    show_check(report, as_json=False)
    ran = capfd.readouterr()
    assert (ran.out.count("problem: "), ran.err) == (count, "")


def test_the_same_pictures_in_two_splits_are_a_leak(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path / "src", 2)  # both sequences hold the same grey pictures
    recipe = load_recipe("sevenscenes")
    prepare(recipe, tmp_path / "src", tmp_path / "data", PrepareOptions(size=(60, 80)))
    report = check_data("sevenscenes", tmp_path / "data", quiet=True)
    assert any("share 2 images (a leak between splits)" in line for line in report["problems"])
    assert any("image of one colour in 2 samples" in line for line in report["warnings"])


def test_damage_that_a_checksum_cannot_tell(camvid: Path) -> None:
    def spoil(array: np.ndarray) -> np.ndarray:
        array[1, :3] = 40
        return array

    damage(camvid / "camvid", "val", "labels/semseg", spoil)
    seal(camvid / "camvid")
    report = check_data("camvid", camvid, quiet=True)
    assert report["problems"] == ["val: semseg: 96 pixels with ids that are no class in 1 sample, first: val bücher 1"]
    assert (np.asarray(Image.open(report["picture"])) == np.array(FORBIDDEN)).all(-1).sum() > 1000


def test_a_file_cut_short_does_not_keep_the_others_from_being_checked(camvid: Path) -> None:
    path = camvid / "camvid" / "train.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = check_data("camvid", camvid, quiet=True)
    assert len(report["problems"]) == 2
    assert "the checksum differs" in report["problems"][0]
    assert "cut short?" in report["problems"][1]
    assert list(report["splits"]) == ["val"]
    assert all(name.startswith("val/") for name in report["shown"])


def test_a_file_that_is_gone_in_every_split(camvid: Path) -> None:
    for split in ("train", "val"):
        (camvid / "camvid" / f"{split}.h5").unlink()
    report = check_data("camvid", camvid, quiet=True)
    assert (report["picture"], report["shown"], report["splits"]) == (None, [], {})
    assert len(report["problems"]) == 4
    show_check(report, as_json=False)


def test_damaged_chunks_are_named_and_the_other_samples_are_drawn(camvid: Path) -> None:
    with h5py.File(camvid / "camvid" / "train.h5", "r") as file:
        place = file["image"].id.get_chunk_info(1)
    data = bytearray((camvid / "camvid" / "train.h5").read_bytes())
    data[place.byte_offset + 9] ^= 1
    (camvid / "camvid" / "train.h5").write_bytes(bytes(data))
    seal(camvid / "camvid")
    report = check_data("camvid", camvid, quiet=True, samples=20)
    assert len(report["problems"]) == 1
    assert "train: 1 samples cannot be read, first:" in report["problems"][0]
    assert len(report["shown"]) == 7


def test_a_picture_that_cannot_be_written_is_said_and_the_report_is_kept(camvid: Path, tmp_path: Path) -> None:
    (camvid / "camvid" / "contact.png").mkdir()
    report = check_data("camvid", camvid, quiet=True)
    assert (report["picture"], report["problems"]) == (None, [])
    assert any(line.startswith("no contact sheet: cannot write ") for line in report["warnings"])
    elsewhere = tmp_path / "out" / "sheet.png"
    assert check_data("camvid", camvid, quiet=True, picture=elsewhere)["picture"] == str(elsewhere)
    assert elsewhere.is_file()
    (tmp_path / "file").write_text("")
    report = check_data("camvid", camvid, quiet=True, picture=tmp_path / "file" / "a.png")
    assert any("no contact sheet" in line for line in report["problems"])


def test_a_pack_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set 'camvid' in .*; prepare it with: vtadapt prepare-data camvid"):
        check_data("camvid", tmp_path)


class Labelled:
    """A split that only knows which samples have which labels."""

    def __init__(self, **present: list[int]) -> None:
        self.tasks = present
        self._count = len(next(iter(present.values())))

    def __len__(self) -> int:
        return self._count

    def present(self, task: str) -> np.ndarray:
        return np.array(self.tasks[task], bool)


def test_samples_are_spread_and_every_task_is_among_them() -> None:
    rare = [0] * 97 + [1, 0, 0]
    packs: Any = {"train": Labelled(a=[1] * 100, b=rare), "val": Labelled(a=[1] * 2, b=[0, 0])}
    assert choose(packs, 6) == [("train", 16), ("train", 50), ("train", 97), ("val", 0), ("val", 1)]
    assert choose(packs, 1) == [("train", 97), ("val", 1)]
    assert choose({"train": packs["train"]}, 1) == [("train", 97)]
