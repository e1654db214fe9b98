"""What ``prepare`` does with changed, missing and too few files, and what it leaves behind when it fails."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import write_camvid, write_sevenscenes
from tests.data.readers.folder.test_folder_reader import folder_recipe, write_folder
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.published.camvid import CamVid
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError

SMALL = PrepareOptions(size=(12, 16))
SKIP = PrepareOptions(size=(12, 16), skip_broken=True)


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    write_camvid(tmp_path / "src", {"train": 4, "val": 2})
    return tmp_path / "src"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def hidden(out: Path) -> list[str]:
    return sorted(p.name for p in out.iterdir() if p.name.startswith(".") and not p.name.endswith(".lock"))


def test_changed_and_added_pictures_are_seen(camvid: Path, tmp_path: Path) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    prepare(recipe, camvid, out, SMALL)
    assert prepare(recipe, camvid, out, SMALL)["kept"]
    with pytest.raises(DataError, match="nowhere: no such folder"):
        prepare(recipe, tmp_path / "nowhere", out, SMALL)
    picture = camvid / "val" / "val bücher 0.png"
    Image.new("RGB", (32, 24), (9, 9, 9)).save(picture)
    os.utime(picture, ns=(1, 1))
    assert "kept" not in prepare(recipe, camvid, out, SMALL)
    assert (open_pack(out, "camvid", "val").read(0)["image"] == 9).all()
    for folder in ("train", "trainannot"):
        (camvid / folder / "new.png").write_bytes((camvid / folder / "train bücher 0.png").read_bytes())
    assert prepare(recipe, camvid, out, SMALL)["splits"]["train"]["samples"] == 5
    camvid.rename(tmp_path / "moved")
    assert prepare(recipe, tmp_path / "moved", out, SMALL)["kept"]


def test_broken_samples_stop_or_are_listed(camvid: Path, tmp_path: Path) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    prepare(recipe, camvid, out, SMALL)
    before = contents(out / "camvid")
    for i in (1, 2):
        path = camvid / "train" / f"train bücher {i}.png"
        path.write_bytes(path.read_bytes()[:-100])
    force = PrepareOptions(size=(12, 16), force=True)
    with pytest.raises(DataError, match="bücher 1.png: broken picture.*2 of 4 samples of split 'train'.*--skip-broken"):
        prepare(recipe, camvid, out, force)
    assert contents(out / "camvid") == before
    manifest = prepare(recipe, camvid, out, PrepareOptions(size=(12, 16), skip_broken=True))
    train = manifest["splits"]["train"]
    assert train["samples"] == 2
    assert [b["name"] for b in train["broken"]] == ["train bücher 1", "train bücher 2"]
    assert "broken picture" in train["broken"][0]["problem"]
    for path in (camvid / "val").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="every sample of split 'val' is broken"):
        prepare(recipe, camvid, out, PrepareOptions(size=(12, 16), skip_broken=True, force=True))


def test_missing_annotations_stop_or_are_listed(camvid: Path, tmp_path: Path) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    for i in (0, 2):
        (camvid / "trainannot" / f"train bücher {i}.png").unlink()
    wanted = r"train bücher 0.png: no such file \(and 1 more of 12\); wanted a label map .*--skip-broken"
    with pytest.raises(DataError, match=wanted):
        prepare(recipe, camvid, out, SMALL)
    train = prepare(recipe, camvid, out, SKIP)["splits"]["train"]
    assert train["samples"] == 2
    assert open_pack(out, "camvid", "train").names == ["train bücher 1", "train bücher 3"]
    assert [b["name"] for b in train["broken"]] == ["train bücher 0", "train bücher 2"]
    assert "trainannot/train bücher 0.png: no such file" in train["broken"][0]["problem"]


def test_missing_depth_of_sevenscenes_is_listed(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path / "src", 2)
    (tmp_path / "src" / "seq-01" / "frame-000001.depth.png").unlink()
    recipe = load_recipe("sevenscenes")
    few = {"size": (12, 16), "tasks": ["depth"]}
    with pytest.raises(DataError, match="frame-000001.depth.png: no such file; wanted the colour and depth"):
        prepare(recipe, tmp_path / "src", tmp_path / "out", PrepareOptions(**few))
    manifest = prepare(recipe, tmp_path / "src", tmp_path / "out", PrepareOptions(**few, skip_broken=True))
    assert [b["name"] for b in manifest["splits"]["train"]["broken"]] == ["seq-01/frame-000001"]


def test_an_empty_split_is_an_error_unless_it_is_optional(tmp_path: Path) -> None:
    write_folder(tmp_path / "src")
    shares = {"fractions": {"train": 0.99, "val": 0.01}}
    with pytest.raises(DataError, match="src: no samples for split 'val'; give it a larger share"):
        prepare(folder_recipe(split=shares), tmp_path / "src", tmp_path / "out")
    recipe = folder_recipe(split=shares, optional_splits=["val"])
    assert list(prepare(recipe, tmp_path / "src", tmp_path / "out", PrepareOptions(limit=1))["splits"]) == ["train"]
    with pytest.raises(DataError, match="no samples in any of the splits val"):
        prepare(recipe, tmp_path / "src", tmp_path / "out", PrepareOptions(splits=["val"]))


def test_a_set_of_pictures_without_labels_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "src")
    (tmp_path / "src" / "img").rename(tmp_path / "img")
    (tmp_path / "bare").mkdir()
    (tmp_path / "img").rename(tmp_path / "bare" / "img")
    with pytest.raises(DataError, match="bare: none of 4 pictures has a label of any task"):
        prepare(folder_recipe(), tmp_path / "bare", tmp_path / "out")
    np.save(tmp_path / "heat.npy", np.ones((4, 6)))
    (tmp_path / "bare" / "heat").mkdir()
    (tmp_path / "heat.npy").rename(tmp_path / "bare" / "heat" / "0.npy")
    splits = prepare(folder_recipe(), tmp_path / "bare", tmp_path / "out")["splits"]
    assert sorted(s["tasks"]["heat"]["samples"] for s in splits.values()) == [0, 1]


def test_a_failure_leaves_only_what_the_next_run_takes_up(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    paths = [camvid / split / f"{split} bücher 0.png" for split in ("train", "val")]
    whole = [path.read_bytes() for path in paths]
    for path in paths:
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 of 4 samples of split 'train' are broken, 1 of 'val'; --skip-broken"):
        prepare(recipe, camvid, out, SMALL)
    assert hidden(out) == []
    paths[0].write_bytes(whole[0])
    with pytest.raises(DataError, match=r"val bücher 0.png: broken picture.*1 of 2 parts are finished and kept"):
        prepare(recipe, camvid, out, SMALL)
    assert hidden(out) == [".camvid.building", ".camvid.state"]
    paths[1].write_bytes(whole[1])
    load, loaded = CamVid.load, []
    monkeypatch.setattr(CamVid, "load", lambda self, item: loaded.append(item.name) or load(self, item))
    prepare(recipe, camvid, out, SMALL)
    assert {name[:3] for name in loaded} == {"val"}
    assert hidden(out) == []


def test_finished_splits_of_other_files_are_done_again(camvid: Path, tmp_path: Path) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    path = camvid / "val" / "val bücher 0.png"
    whole = path.read_bytes()
    path.write_bytes(b"x")
    with pytest.raises(DataError, match="broken picture"):
        prepare(recipe, camvid, out, SMALL)
    path.write_bytes(whole)
    Image.new("RGB", (32, 24), (9, 9, 9)).save(camvid / "train" / "train bücher 0.png")
    prepare(recipe, camvid, out, SMALL)
    assert (open_pack(out, "camvid", "train").read(0)["image"] == 9).all()


def test_all_splits_are_found_in_folders_around_them(tmp_path: Path) -> None:
    write_camvid(tmp_path / "a" / "SegNet-master" / "stuff", {"train": 2, "val": 1, "test": 1})
    (tmp_path / "a" / "README.md").write_text("x")
    manifest = prepare(load_recipe("camvid"), tmp_path / "a", tmp_path / "out", SMALL)
    assert {split: entry["samples"] for split, entry in manifest["splits"].items()} == {"train": 2, "val": 1, "test": 1}


def test_another_recipe_or_source_does_not_replace_a_pack(camvid: Path, tmp_path: Path) -> None:
    recipe, out = load_recipe("camvid"), tmp_path / "out"
    prepare(recipe, camvid, out, SMALL)
    before = contents(out / "camvid")
    write_camvid(tmp_path / "other", {"train": 3, "val": 1})
    stranger = recipe.model_copy(update={"title": "My own streets"})
    newer = recipe.model_copy(update={"citation": "another"})
    for given, source, found in (
        (recipe, tmp_path / "other", str(camvid)),
        (stranger, camvid, recipe.title),
        (newer, camvid, "another version"),
    ):
        with pytest.raises(DataError, match=re.escape(found)) as refused:
            prepare(given, source, out, SMALL)
        assert all(word in str(refused.value) for word in ("--force", "name:", "--data-dir"))
        assert contents(out / "camvid") == before
    assert prepare(recipe, camvid, out, PrepareOptions(size=(16, 16)))["size"] == [16, 16]  # the same, at another size
    forced = prepare(recipe, tmp_path / "other", out, PrepareOptions(size=(12, 16), force=True))
    assert forced["splits"]["train"]["samples"] == 3
    assert forced["source"] == [str(tmp_path / "other")]
