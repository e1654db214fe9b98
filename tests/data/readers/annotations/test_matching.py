"""Which entry is a picture's, which way round it was drawn, and how pictures come into splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats import annotations as made
from tests.data.readers.annotations.conftest import CLASSES, AnnotatedSet
from vtadapt.data.readers.raw.picture import turned

COCO = {"files": "all.json", "format": "coco"}
QUARTER = 6


def upright_label(own: AnnotatedSet) -> np.ndarray:
    return own.label_of("a")


def picture_turned(own: AnnotatedSet, orientation: int) -> None:
    """A picture that is 40x60 when it is turned upright as its EXIF says."""
    upright = Image.new("RGB", (made.WIDTH, made.HEIGHT), (9, 90, 190))
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    stored = Image.fromarray(turned(np.asarray(upright), back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = own.source / "images" / "a.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    stored.save(path, exif=exif)


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_what_is_drawn_on_the_upright_picture_stays_as_it_is(tmp_path, scene, orientation):
    own = AnnotatedSet(tmp_path, {"files": "ann/{path}.json", "format": "labelme"})
    picture_turned(own, orientation)
    made.write_json(own.source / "ann" / "a.json", made.labelme(scene, "a.png"))
    np.testing.assert_array_equal(upright_label(own), made.painted(scene, CLASSES))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_sizes_tell_that_a_label_was_drawn_on_the_picture_as_it_is_stored(tmp_path, scene, orientation):
    own = AnnotatedSet(tmp_path, COCO)
    stored = Image.new("RGB", (made.WIDTH, made.HEIGHT))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (own.source / "images").mkdir(parents=True)
    stored.save(own.source / "images" / "a.png", exif=exif)
    made.write_json(own.source / "all.json", made.coco({"a.png": scene}, CLASSES))
    np.testing.assert_array_equal(upright_label(own), turned(made.painted(scene, CLASSES), orientation))


@pytest.mark.parametrize("exif", ["turn", "ignore"])
def test_where_neither_size_nor_tool_tells_the_recipe_must(tmp_path, scene, exif):
    own = AnnotatedSet(tmp_path, COCO)
    picture_turned(own, 3)
    made.write_json(own.source / "all.json", made.coco({"a.png": scene}, CLASSES))
    own.refused("a.png", "orientation 3", "exif: turn")
    own.recipe["options"]["exif"] = exif
    np.testing.assert_array_equal(upright_label(own), made.painted(scene, CLASSES))


def test_folders_tell_pictures_of_one_name_apart(tmp_path, scene):
    own = AnnotatedSet(tmp_path, COCO).pictures("p/a.png", "q/a.png", "r/a.png")
    other = [made.rectangle("ground", 0, 0, 9, 9)]
    made.write_json(own.source / "all.json", made.coco({"p/a.png": scene, "data\\q\\a.png": other}, CLASSES))
    _, held = own.prepare()
    np.testing.assert_array_equal(held["p/a"]["x"], made.painted(scene, CLASSES))
    np.testing.assert_array_equal(held["q/a"]["x"], made.painted(other, CLASSES))
    assert "x" not in held["r/a"]


def test_an_entry_that_may_be_of_two_pictures_is_refused(tmp_path, scene):
    own = AnnotatedSet(tmp_path, COCO).pictures("p/a.png", "q/a.png")
    made.write_json(own.source / "all.json", made.coco({"a.png": scene}, CLASSES))
    own.refused("all.json: images[0]", "p/a.png", "q/a.png")


def test_two_entries_of_one_picture_are_refused(tmp_path, scene):
    whole = made.coco({"a.png": scene}, CLASSES)
    whole["images"].append({**whole["images"][0], "id": 99})
    own = AnnotatedSet(tmp_path, COCO).pictures("a.png")
    made.write_json(own.source / "all.json", whole)
    own.refused("images[0] and images[1] both are of", "a.png")


def test_an_entry_is_of_one_picture_over_all_splits(tmp_path, scene):
    own = AnnotatedSet(tmp_path, COCO, image="{split}/*.png", split=None)
    own.recipe["splits"] = ["train", "val"]
    del own.recipe["options"]["split"]
    for split in ("train", "val"):
        (own.source / split).mkdir(parents=True)
        Image.new("RGB", (made.WIDTH, made.HEIGHT), (len(split), 0, 0)).save(own.source / split / "a.png")
    made.write_json(own.source / "all.json", made.coco({"a.png": scene}, CLASSES))
    own.refused("all.json", "train/a.png", "val/a.png")


def test_entries_without_a_picture_are_counted(tmp_path, scene):
    own = AnnotatedSet(tmp_path, COCO).pictures("a.png")
    made.write_json(own.source / "all.json", made.coco({"a.png": scene, "gone.png": scene}, CLASSES))
    manifest, _ = own.prepare()
    assert manifest["passed_over"] == [
        "1 annotations in all.json of pictures that are in no split, the first: gone.png"
    ]


def test_the_annotations_of_each_split_may_name_its_pictures(tmp_path, scene):
    how = {"files": "{split}.json", "format": "coco"}
    own = AnnotatedSet(tmp_path, how, split={"annotations": "x"}).pictures("a.png", "b.png", "c.png")
    own.recipe["splits"] = ["train", "val"]
    made.write_json(own.source / "train.json", made.coco({"a.png": scene, "c.png": []}, CLASSES))
    made.write_json(own.source / "val.json", made.coco({"b.png": scene}, CLASSES))
    manifest, held = own.prepare()
    assert {split: entry["samples"] for split, entry in manifest["splits"].items()} == {"train": 2, "val": 1}
    assert (held["c"]["x"] == 255).all()
    (own.source / "val.json").unlink()
    own.refused("val.json", "no such file")


def test_a_changed_file_of_annotations_makes_another_pack(tmp_path, scene):
    own = AnnotatedSet(tmp_path, COCO).pictures("a.png")
    for things in (scene, scene[:1]):
        made.write_json(own.source / "all.json", made.coco({"a.png": things}, CLASSES))
        np.testing.assert_array_equal(own.label_of("a"), made.painted(things, CLASSES))


def test_annotations_and_pictures_of_numbers_side_by_side(tmp_path, scene):
    own = AnnotatedSet(tmp_path, COCO).pictures("a.png")
    made.write_json(own.source / "all.json", made.coco({"a.png": scene}, CLASSES))
    own.recipe["tasks"]["depth"] = {"kind": "regression", "units": "m"}
    own.recipe["options"]["labels"]["depth"] = {"files": "depth/{path}.png", "factor": 0.001}
    (own.source / "depth").mkdir()
    Image.fromarray(np.full((made.HEIGHT, made.WIDTH), 2500, np.uint16)).save(own.source / "depth" / "a.png")
    _, held = own.prepare()
    np.testing.assert_array_equal(held["a"]["x"], made.painted(scene, CLASSES))
    np.testing.assert_allclose(held["a"]["depth"], 2.5)


@pytest.mark.parametrize("segment", [5, 0])
def test_pixels_of_no_segment_and_lost_pngs_of_panoptic(tmp_path, scene, segment):
    own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "coco_panoptic"}).pictures("a.png")
    whole = made.coco_panoptic(own.source / "all", {"a.png": scene}, CLASSES)
    made.write_json(own.source / "all.json", whole)
    png = own.source / "all" / "a.png"
    if segment:
        colours = np.array(Image.open(png))
        colours[0, 0] = (segment, 0, 0)
        Image.fromarray(colours).save(png)
        own.refused("all/a.png", "segment 5", "annotations[0].segments_info")
    else:
        png.unlink()
        own.refused("all/a.png", "no such file")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"format": "cocco"}, "Did you mean 'coco'"),
        ({"names": {"a": "wall"}}, "'names' goes with the 'format'"),
        ({"format": "coco", "files": "{path}.json"}, "holds many pictures"),
        ({"format": "labelme", "files": "all.json"}, "of one picture"),
        ({"format": "coco", "void": [3]}, "'void' says nothing of annotations"),
        ({"format": "labelme", "files": "{path}.json", "ids": {1: "wall"}}, "write 'names'"),
        ({"format": "coco", "unlabelled": "wal"}, "Did you mean 'wall'"),
        ({"format": "coco", "names": {"x": "wal"}}, "Did you mean 'wall'"),
        ({"format": "coco", "names": {"x": "wall"}, "ignore": ["x"]}, "in 'names' and in 'ignore'"),
        ({"format": "coco", "others": "nearest"}, "is for colours"),
    ],
)
def test_what_a_recipe_cannot_say_of_annotations(tmp_path, how, words):
    own = AnnotatedSet(tmp_path, {"files": "all.json", **how}).pictures("a.png")
    own.refused(words)


def test_annotations_are_of_classes_only(tmp_path):
    own = AnnotatedSet(tmp_path, COCO).pictures("a.png")
    own.recipe["tasks"]["x"] = {"kind": "boundary"}
    own.refused("'format: coco' is for classes", "class_boundaries")


def test_a_worker_reads_annotations_by_itself(tmp_path, scene):
    """Readers go to worker processes: what they have read of annotations stays behind."""
    import pickle

    from vtadapt.data.readers.table import make_reader
    from vtadapt.data.recipe.recipe import Recipe

    own = AnnotatedSet(tmp_path, COCO).pictures("a.png")
    made.write_json(own.source / "all.json", made.coco({"a.png": scene}, CLASSES))
    reader = make_reader(Recipe.model_validate(own.recipe))
    items = reader.find(own.source, "train")
    assert len(pickle.dumps((reader, items))) < Path(own.source / "all.json").stat().st_size * 20
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).load(items[0])["x"], made.painted(scene, CLASSES))
