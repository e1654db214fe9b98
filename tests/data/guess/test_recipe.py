"""``vtadapt recipe``: folders as people have them, and the recipes that they get, which work as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.data.formats import annotations as made
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.errors import DataError, UsageError
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.prepare.recipe import write_recipe

LABELS = ["ground", "plant", "wall"]
NAMES = ["a", "b", "c", "d", "e"]
SIZE = (made.HEIGHT, made.WIDTH)


@pytest.fixture
def scene() -> list[made.Thing]:
    return [
        made.rectangle("wall", 5, 4, 50, 30),
        made.rectangle("plant", 20, 10, 40, 25),
        made.rectangle("ground", 0, 32, 60, 40),
    ]


def photo(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (size[0] // 4, size[1] // 4, 3), np.uint8)
    Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC).save(path)


def photos(folder: Path, suffix: str = ".jpg", names: list[str] = NAMES) -> None:
    for i, name in enumerate(names):
        photo(folder / f"{name}{suffix}", i + len(str(folder)))


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path)


def prepared(tmp_path: Path, **options: Any) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """The recipe as YAML, what the pack of it holds, and what the command said."""
    said = write_recipe(tmp_path / "mine", tmp_path / "r.yaml", None, **options)
    assert said["problems"] == []
    recipe = yaml.safe_load((tmp_path / "r.yaml").read_text(encoding="utf-8"))
    manifest = prepare_data(str(tmp_path / "r.yaml"), None, tmp_path / "data", PrepareOptions(workers=0), quiet=True)
    held = {}
    for split in manifest["splits"]:
        reader = open_pack(tmp_path / "data", manifest["name"], split)
        held |= {f"{split}/{name}": reader.read(i) for i, name in enumerate(reader.names)}
        reader.close()
    return recipe, held, said


def check(held: dict[str, dict[str, np.ndarray]], recipe: dict[str, Any], scene: list[made.Thing]) -> None:
    """Each label is what was drawn."""
    classes = recipe["tasks"]["semseg"]["classes"]
    base = classes.index("background") if "background" in classes else 255
    expected = made.painted(scene, classes, base)
    labelled = [arrays["semseg"] for arrays in held.values() if "semseg" in arrays]
    assert len(labelled) >= 4
    for label in labelled:
        np.testing.assert_array_equal(label, expected)


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


def ids_of(scene: list[made.Thing]) -> np.ndarray:
    return made.painted(scene, LABELS, 255)


class TestLabelPictures:
    def test_masks_in_colours_named_by_a_label_map(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root / "JPEGImages")
        colours = np.zeros((256, 3), np.uint8)
        colours[:3] = [[200, 10, 10], [10, 200, 10], [10, 10, 200]]
        for name in NAMES:
            save(root / "SegmentationClass" / f"{name}.png", colours[ids_of(scene)])
        lines = [f"{label}:{','.join(map(str, colours[i]))}::" for i, label in enumerate(LABELS)]
        made.write_text(
            root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\n" + "\n".join(lines)
        )
        recipe, held, _ = prepared(tmp_path)
        assert recipe["options"]["labels"]["semseg"]["colours"]["plant"] == [10, 200, 10]
        check(held, recipe, scene)

    def test_colours_without_names_are_asked_for(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root / "images")
        colours = np.random.default_rng(3).integers(0, 256, (256, 3), np.uint8)
        for name in NAMES:
            save(root / "masks" / f"{name}_mask.png", colours[ids_of(scene)])
        recipe, held, _ = prepared(tmp_path)
        assert recipe["tasks"]["semseg"]["classes"] == ["class_0", "class_1", "class_2", "class_3"]
        assert "what are the classes called" in (tmp_path / "r.yaml").read_text()
        assert all((arrays["semseg"] < 4).all() for arrays in held.values())

    def test_ids_depth_normals_and_edges_beside_each_other(self, tmp_path, scene):
        root, ids = tmp_path / "mine", ids_of(scene)
        photos(root / "rgb")
        random = np.random.default_rng(0)
        normals = random.normal(size=(*SIZE, 3)) * [0.3, 0.3, 1]
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        for name in NAMES:
            save(root / "labels" / f"{name}.png", ids)
            save(root / "depth" / f"{name}.png", random.integers(800, 5000, SIZE).astype(np.uint16))
            save(root / "normals" / f"{name}.png", np.rint((normals + 1) * 127.5).astype(np.uint8))
            save(root / "edges" / f"{name}.png", np.eye(*SIZE, dtype=np.uint8) * 255)
        recipe, held, _ = prepared(tmp_path)
        assert set(recipe["tasks"]) == {"semseg", "depth", "normals", "edges"}
        assert recipe["options"]["labels"]["depth"]["factor"] == 0.001
        assert recipe["options"]["labels"]["semseg"]["void"] == [255]
        for arrays in held.values():
            np.testing.assert_array_equal(arrays["semseg"], ids)
            assert 0.8 <= arrays["depth"].min() <= arrays["depth"].max() <= 5
            assert np.abs(arrays["normals"].astype(np.float64) - normals).max() < 0.02
            assert arrays["edges"][3, 3] > 0

    def test_suffixes_in_one_folder(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root, ".png", ["scan_1", "scan_2", "scan_3"])
        for name in ("scan_1", "scan_2", "scan_3"):
            save(root / f"{name}_label.png", ids_of(scene))
            save(root / f"{name}_depth.npy", np.linspace(1, 4, 2400, dtype=np.float32).reshape(SIZE))
        recipe, held, _ = prepared(tmp_path)
        assert set(recipe["tasks"]) == {"semseg", "depth"}
        assert len(held) == 3
        assert "decided" not in recipe
        np.testing.assert_array_equal(
            held["train/scan_1"]["semseg"] if "train/scan_1" in held else ids_of(scene), ids_of(scene)
        )

    def test_folders_within_folders(self, tmp_path, scene):
        root = tmp_path / "mine"
        for place in ("garden/one", "street/two"):
            photos(root / "images" / place)
            for name in NAMES:
                save(root / "labels" / place / f"{name}.png", ids_of(scene))
        recipe, held, _ = prepared(tmp_path)
        assert recipe["options"]["image"] == "images/**/*.jpg"
        assert len(held) == 10
        assert all(np.array_equal(arrays["semseg"], ids_of(scene)) for arrays in held.values())

    def test_lists_of_splits(self, tmp_path, scene):
        root = tmp_path / "mine"
        photos(root / "images")
        for name in NAMES:
            save(root / "labels" / f"{name}.png", ids_of(scene))
        made.write_text(root / "ImageSets" / "train.txt", "a\nb\nc\n")
        made.write_text(root / "ImageSets" / "val.txt", "d\ne\n")
        recipe, held, _ = prepared(tmp_path)
        assert recipe["options"]["split"] == {"lists": "ImageSets/{split}.txt"}
        assert sorted(held) == ["train/a", "train/b", "train/c", "val/d", "val/e"]

    def test_large_pictures_of_several_sizes_keep_their_aspect(self, tmp_path):
        root = tmp_path / "mine"
        for name, size in (("a", (600, 800)), ("b", (800, 600)), ("c", (600, 800))):
            photo(root / "images" / f"{name}.jpg", 0, size)
            save(root / "labels" / f"{name}.png", np.ones(size, np.uint8))
        recipe, _, _ = prepared(tmp_path)
        assert (recipe["size"], recipe["fit"]) == ([480, 640], "pad")


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
