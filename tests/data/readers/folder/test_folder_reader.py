from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, DataError


def folder_recipe(**options: object) -> Recipe:
    tasks = {
        "semseg": {"kind": "classes", "classes": ["ground", "plant"]},
        "depth": {"kind": "regression", "units": "m", "distance": True},
        "normals": {"kind": "unit_vector"},
        "outline": {"kind": "boundary"},
        "heat": {"kind": "regression"},
    }
    labels = {
        "semseg": {"files": "lab/{path}.png", "ids": {10: "plant", 20: "ground", 30: None}, "void": [0]},
        "depth": {"files": "depth/{path}.png", "factor": 0.01, "missing": [0]},
        "normals": {"files": "normals/{path}.png", "flip": ["y"]},
        "outline": {"files": "edge/{path}.png"},
        "heat": {"files": "heat/{stem}.npy"},
    }
    base = {"image": "img/**/*.jpg", "labels": labels, "split": {"fractions": {"train": 0.5, "val": 0.5}}}
    about = {"name": "mine", "title": "x", "licence": "x", "reader": "folder"}
    return Recipe.model_validate({**about, "tasks": tasks, "options": {**base, **options}})


def write_folder(root: Path) -> None:
    for i, place in enumerate(("a", "a", "b", "b")):
        for kind in ("img", "lab", "depth", "normals", "edge", "heat"):
            (root / kind / place).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (i, i, i)).save(root / "img" / place / f"{i}.jpg")
        Image.fromarray(np.array([[0, 10, 20, 30, 10, 20]] * 4, np.uint8)).save(root / "lab" / place / f"{i}.png")
        Image.fromarray(np.array([[0, 100, 250, 65535, 1, 2]] * 4, np.uint16)).save(root / "depth" / place / f"{i}.png")
        colours = [[128, 128, 128], [0, 0, 0], [128, 255, 128], [255, 128, 128], [128, 128, 0], [128, 128, 0]]
        Image.fromarray(np.array([colours] * 4, np.uint8)).save(root / "normals" / place / f"{i}.png")
        Image.fromarray(np.array([[0, 51, 255, 0, 0, 0]] * 4, np.uint8)).save(root / "edge" / place / f"{i}.png")
        np.save(root / "heat" / f"{i}.npy", np.array([[np.nan, 1, 2, 3, 4, 5]] * 4, np.float64)[..., None])


def test_folder_reads_every_kind(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "lab" / "a" / "1.png").unlink()
    reader = make_reader(folder_recipe())
    items = {s: reader.find(tmp_path, s) for s in ("train", "val")}
    names = [i.name for s in items.values() for i in s]
    assert sorted(names) == ["a/0", "a/1", "b/2", "b/3"]
    samples = {i.name: reader.load(i) for s in items.values() for i in s}
    assert "semseg" not in samples["a/1"]
    sample = samples["b/2"]
    assert sample["semseg"][0].tolist() == [255, 1, 0, 255, 1, 0]
    np.testing.assert_allclose(sample["depth"][0], [0, 1, 2.5, 655.35, 0.01, 0.02], rtol=1e-6)
    assert not sample["normals"][0, :2].any()
    np.testing.assert_allclose(sample["normals"][0, 2:5], [[0, -1, 0], [1, 0, 0], [0, 0, -1]], atol=0.01)
    np.testing.assert_allclose(sample["outline"][0], [0, 0.2, 1, 0, 0, 0], atol=1e-6)
    assert np.isnan(sample["heat"][0, 0])
    assert sample["heat"].shape == (4, 6)


def test_folder_splits_by_folder_and_by_list(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for split in ("a", "b"):
        reader = make_reader(folder_recipe(image="img/{split}/*.jpg", split=None, labels=_only_heat()))
        assert [i.name for i in reader.find(tmp_path, split)] == [i for i in "0123" if (i < "2") == (split == "a")]
    (tmp_path / "train.txt").write_text("b/3\n0.jpg\n", encoding="utf-8")
    reader = make_reader(folder_recipe(split={"lists": "{split}.txt"}))
    assert [i.name for i in reader.find(tmp_path, "train")] == ["b/3", "a/0"]
    with pytest.raises(DataError, match="val.txt: no such list"):
        reader.find(tmp_path, "val")
    (tmp_path / "train.txt").write_text("9\n", encoding="utf-8")
    with pytest.raises(DataError, match="train.txt: '9' is none of the 4 pictures"):
        reader.find(tmp_path, "train")


def _only_heat() -> dict:
    labels = folder_recipe().options["labels"]
    return {t: ({**how, "files": f"no {t}/{{stem}}.npy"} if t != "heat" else how) for t, how in labels.items()}


def test_folder_errors(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(DataError, match="no pictures match 'pics/"):
        make_reader(folder_recipe(image="pics/*.jpg")).find(tmp_path, "train")
    reader = make_reader(folder_recipe())
    item = reader.find(tmp_path, "train")[0]
    Image.fromarray(np.full((4, 6), 77, np.uint8)).save(item.paths["semseg"])
    with pytest.raises(DataError, match="label ids 77, wanted"):
        reader.load(item)
    with pytest.raises(ConfigError, match="fractions has no split 'test'"):
        reader.find(tmp_path, "test")


def test_a_split_may_lack_all_labels_of_a_task_but_not_all_of_all(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for kind in ("heat", "lab", "depth", "normals"):
        (tmp_path / kind).rename(tmp_path / f"no {kind}")
    reader = make_reader(folder_recipe())
    found = {s: reader.find(tmp_path, s) for s in ("train", "val")}
    reader.check(tmp_path, found)
    assert set(reader.load(found["val"][0])) == {"image", "outline"}
    (tmp_path / "edge").rename(tmp_path / "no edge")
    with pytest.raises(DataError, match="none of 4 pictures has a label of any task; wanted 'lab/{path}.png'"):
        reader.check(tmp_path, {s: reader.find(tmp_path, s) for s in ("train", "val")})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "img/{name}.jpg", "split": {"lists": "{split}.txt"}}, r"options: image: unknown placeholder {name}"),
        ({"image": "/img/*.jpg"}, "options: image: wanted a pattern below the source, not an absolute path"),
        ({"image": "img/{*.jpg"}, "options: image: expected '}'.*; the placeholders are {split}"),
        ({"image": " "}, "options: image: wanted a pattern below the source"),
        (
            {"labels": {"semseg": {"files": "lab/{}.png"}}},
            r"labels.semseg.files: unknown placeholder {}; wanted {path}",
        ),
        ({"labels": {"semseg": {"files": "C:/lab/{stem}.png"}}}, "labels.semseg.files: .*not an absolute path"),
        ({"labels": {"semseg": {"files": "{stem!r}.png"}}}, "labels.semseg.files: unknown placeholder {stem}"),
        ({"split": {"lists": "{split}{0}.txt"}}, "options: split.lists: unknown placeholder [{]0}; wanted {split}"),
    ],
)
def test_malformed_patterns_name_the_key(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_reader(folder_recipe(**options))
    assert "\n" not in str(caught.value)


def test_patterns_that_cannot_be_searched_and_lists_that_cannot_be_read(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(ConfigError, match="recipe 'mine', options.image: '.' is no pattern of files"):
        make_reader(folder_recipe(image=".")).find(tmp_path, "train")
    (tmp_path / "train.txt").write_bytes(b"b/\xff3\n")
    with pytest.raises(DataError, match="train.txt: cannot be read as UTF-8 text"):
        make_reader(folder_recipe(split={"lists": "{split}.txt"})).find(tmp_path, "train")


def test_optional_splits_may_be_absent(tmp_path: Path) -> None:
    write_folder(tmp_path)
    absent: tuple[dict, ...] = (
        {"image": "{split}/*.jpg", "split": None},
        {"split": {"lists": "{split}.txt"}},
        {"split": {"fractions": {"train": 1.0}}},
    )
    for options in absent:
        assert make_reader(folder_recipe(optional_splits=["test"], **options)).find(tmp_path, "test") == []


def test_npy_of_something_else_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    reader = make_reader(folder_recipe())
    item = reader.find(tmp_path, "train")[0]
    np.save(item.paths["heat"], np.array([["a", "b"]]))
    with pytest.raises(DataError, match=r"npy: holds <U1 \(1, 2\), wanted numbers"):
        reader.load(item)


def test_npy_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    write_folder(tmp_path)
    reader = make_reader(folder_recipe())
    item = reader.find(tmp_path, "train")[0]
    np.save(item.paths["heat"], np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="broken or unsafe .npy"):
        reader.load(item)
