"""``vtadapt recipe``: folders as people have them, and the recipes that they get, which work as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.data.formats import annotations as made
from tests.data.guess.folders import LABELS, NAMES, SIZE, check, photos, prepared
from vtadapt.errors import DataError, UsageError
from vtadapt.workflows.prepare.recipe import write_recipe


def write_labelme(root: Path, scene: list[made.Thing]) -> None:
    photos(root)
    for name in NAMES:
        made.write_json(root / f"{name}.json", made.labelme(scene, f"{name}.jpg"))


def write_labelme_apart(root: Path, scene: list[made.Thing]) -> None:
    for split in ("train", "valid"):
        photos(root / split / "images")
        for name in NAMES:
            made.write_json(root / split / "json" / f"{name}.json", made.labelme(scene, f"{name}.jpg"))


def write_embedded(root: Path, scene: list[made.Thing]) -> None:
    for name in NAMES:
        picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        data = made.base64_of(made.png(picture))
        made.write_json(root / f"{name}.json", made.labelme(scene, f"{name}.png", imageData=data))


def write_coco(root: Path, scene: list[made.Thing]) -> None:
    """As COCO is published."""
    for split in ("train2017", "val2017"):
        photos(root / split, names=[f"{split}_{name}" for name in NAMES])
        things = {f"{split}_{name}.jpg": scene for name in NAMES}
        made.write_json(root / "annotations" / f"instances_{split}.json", made.coco(things, LABELS))


def write_coco_in_one_folder(root: Path, scene: list[made.Thing]) -> None:
    photos(root / "images")
    made.write_json(root / "train.json", made.coco({f"{n}.jpg": scene for n in NAMES[:3]}, LABELS))
    made.write_json(root / "test.json", made.coco({f"{n}.jpg": scene for n in NAMES[3:]}, LABELS, rle=True))


def write_roboflow(root: Path, scene: list[made.Thing]) -> None:
    for split in ("train", "valid", "test"):
        photos(root / split)
        things = {f"{name}.jpg": scene for name in NAMES}
        made.write_json(root / split / "_annotations.coco.json", made.coco(things, LABELS))


def write_panoptic(root: Path, scene: list[made.Thing]) -> None:
    apart = [scene[0], scene[2]]
    apart[0].mask &= ~scene[1].mask
    photos(root / "images")
    things = {f"{name}.jpg": [*apart, scene[1]] for name in NAMES}
    made.write_json(root / "panoptic.json", made.coco_panoptic(root / "panoptic", things, LABELS))


def write_cvat(root: Path, scene: list[made.Thing]) -> None:
    photos(root / "images", ".png")
    made.write_text(root / "annotations.xml", made.cvat({f"{name}.png": scene for name in NAMES}))


def write_label_studio(root: Path, scene: list[made.Thing]) -> None:
    photos(root / "pics")
    made.write_json(root / "project-1.json", made.label_studio({f"{name}.jpg": scene for name in NAMES}))


def write_supervisely(root: Path, scene: list[made.Thing]) -> None:
    made.write_json(root / "meta.json", {"classes": [{"title": label} for label in LABELS]})
    photos(root / "ds" / "img")
    for name in NAMES:
        made.write_json(root / "ds" / "ann" / f"{name}.jpg.json", made.supervisely(scene))


def write_yolo(root: Path, scene: list[made.Thing], names: Any = LABELS) -> None:
    for split in ("train", "val"):
        photos(root / "images" / split)
        for name in NAMES:
            made.write_text(root / "labels" / split / f"{name}.txt", made.yolo(scene, LABELS))
    made.write_text(root / "data.yaml", yaml.safe_dump({"train": "images/train", "val": "images/val", "names": names}))


def write_yolo_by_number(root: Path, scene: list[made.Thing]) -> None:
    write_yolo(root, scene, dict(enumerate(LABELS)))


@pytest.mark.parametrize(
    "write",
    [
        write_labelme,
        write_labelme_apart,
        write_embedded,
        write_coco,
        write_coco_in_one_folder,
        write_roboflow,
        write_panoptic,
        write_cvat,
        write_label_studio,
        write_supervisely,
        write_yolo,
        write_yolo_by_number,
    ],
)
def test_annotations_of_every_tool(tmp_path, scene, write: Callable[..., None]):
    write(tmp_path / "mine", scene)
    recipe, held, said = prepared(tmp_path)
    assert set(recipe["tasks"]["semseg"]["classes"]) - {"background"} == set(LABELS)
    assert said["splits"]["train"] >= 2
    assert said["splits"]["val"] >= 1
    check(held, recipe, scene)


def test_a_recipe_that_is_there_stays(tmp_path, scene):
    write_labelme(tmp_path / "mine", scene)
    out = tmp_path / "r.yaml"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="--force"):
        write_recipe(tmp_path / "mine", out, None)
    assert out.read_text(encoding="utf-8") == "mine"
    write_recipe(tmp_path / "mine", out, "other", force=True)
    assert yaml.safe_load(out.read_text(encoding="utf-8"))["name"] == "other"


@pytest.mark.parametrize(("content", "words"), [({}, "no files"), ({"a.txt": "x"}, "no pictures")])
def test_folders_of_something_else(tmp_path, content, words):
    root = tmp_path / "mine"
    root.mkdir()
    for name, text in content.items():
        made.write_text(root / name, text)
    with pytest.raises(DataError, match=words):
        write_recipe(root, tmp_path / "r.yaml", None)
    assert not (tmp_path / "r.yaml").exists()


def test_pictures_without_labels(tmp_path):
    photos(tmp_path / "mine")
    with pytest.raises(DataError, match="nothing that looks like their labels"):
        write_recipe(tmp_path / "mine", tmp_path / "r.yaml", None)


def test_odd_names_of_classes_survive(tmp_path):
    odd = ["yes", "a: b", "#1", 'ünï "q"', "null", "- x", "007"]
    things = [made.rectangle(name, 5 * i, 0, 5 * i + 5, 40) for i, name in enumerate(odd)]
    write_labelme(tmp_path / "mine", things)
    recipe, held, _ = prepared(tmp_path)
    assert set(recipe["tasks"]["semseg"]["classes"]) == {"background", *odd}
    check(held, recipe, things)


def test_json_that_is_no_annotation_is_no_harm(tmp_path, scene):
    write_labelme(tmp_path / "mine", scene)
    made.write_json(tmp_path / "mine" / "notes.json", {"a": [1, 2]})
    made.write_text(tmp_path / "mine" / "broken.json", "{")
    assert json.loads((tmp_path / "mine" / "notes.json").read_text()) == {"a": [1, 2]}
    recipe, held, _ = prepared(tmp_path)
    check(held, recipe, scene)
