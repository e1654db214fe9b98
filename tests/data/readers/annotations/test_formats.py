"""Each format of annotations, written by hand, becomes the map of classes that was drawn."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as pycoco

from tests.data.formats import annotations as made
from tests.data.readers.annotations.conftest import CLASSES, AnnotatedSet

PER_PICTURE = {"labelme": "ann/{path}.json", "supervisely": "ann/{name}.json", "yolo": "ann/{path}.txt"}
SHARED = {"coco": "all.json", "coco_panoptic": "all.json", "cvat": "all.xml", "label_studio": "all.json"}


def write(form: str, source: Path, things: dict[str, list[made.Thing]]) -> None:
    if form == "labelme":
        for name, shapes in things.items():
            made.write_json(source / "ann" / f"{Path(name).stem}.json", made.labelme(shapes, name))
    elif form == "supervisely":
        for name, shapes in things.items():
            made.write_json(source / "ann" / f"{name}.json", made.supervisely(shapes))
    elif form == "yolo":
        for name, shapes in things.items():
            made.write_text(source / "ann" / f"{Path(name).stem}.txt", made.yolo(shapes, CLASSES))
    elif form == "cvat":
        made.write_text(source / "all.xml", made.cvat(things))
    elif form == "label_studio":
        made.write_json(source / "all.json", made.label_studio(things))
    elif form == "coco":
        made.write_json(source / "all.json", made.coco(things, CLASSES))
    else:
        made.write_json(source / "all.json", made.coco_panoptic(source / "all", things, CLASSES))


@pytest.mark.parametrize("form", [*PER_PICTURE, *SHARED])
class TestEveryFormat:
    def own(self, tmp_path: Path, form: str, **how: object) -> AnnotatedSet:
        files = {**PER_PICTURE, **SHARED}[form]
        return AnnotatedSet(tmp_path, {"files": files, "format": form, **how})

    def test_what_was_drawn_is_in_the_pack(self, tmp_path, form, scene):
        own = self.own(tmp_path, form).pictures("a.png", "b.png")
        other = [made.rectangle("plant", 0, 0, 7, 40)]
        write(form, own.source, {"a.png": scene, "b.png": other})
        _, held = own.prepare()
        np.testing.assert_array_equal(held["a"]["x"], made.painted(scene, CLASSES))
        np.testing.assert_array_equal(held["b"]["x"], made.painted(other, CLASSES))

    def test_the_unlabelled_may_be_a_class(self, tmp_path, form, scene):
        own = self.own(tmp_path, form, unlabelled="ground").pictures("a.png")
        write(form, own.source, {"a.png": scene})
        np.testing.assert_array_equal(own.label_of("a"), made.painted(scene, CLASSES, base=0))

    def test_a_picture_without_annotations_lacks_its_label(self, tmp_path, form, scene):
        own = self.own(tmp_path, form).pictures("a.png", "b.png")
        write(form, own.source, {"a.png": scene})
        manifest, held = own.prepare()
        assert "x" in held["a"]
        assert "x" not in held["b"]
        assert manifest["splits"]["train"]["missing"]["x"]["samples"] == 1

    def test_a_picture_in_which_nothing_was_drawn_is_unlabelled(self, tmp_path, form, scene):
        own = self.own(tmp_path, form, unlabelled="wall").pictures("a.png", "b.png")
        write(form, own.source, {"a.png": scene, "b.png": []})
        assert (own.label_of("b") == 2).all()

    def test_an_unknown_class_is_named_with_its_file(self, tmp_path, form, scene):
        own = self.own(tmp_path, form).pictures("a.png")
        things = copy.deepcopy(scene)
        own.recipe["tasks"]["x"]["classes"] = ["ground", "plant"]
        write(form, own.source, {"a.png": things})
        own.refused("wall" if form != "yolo" else "class 2", "is no class of the task", "others: unlabelled")

    def test_others_are_void_or_as_if_they_were_not_there(self, tmp_path, form, scene):
        for others, base in (("void", 255), ("unlabelled", 0)):
            own = self.own(tmp_path / others, form, others=others, unlabelled="ground").pictures("a.png")
            own.recipe["tasks"]["x"]["classes"] = ["ground", "plant"]
            write(form, own.source, {"a.png": scene})
            expected = made.painted(scene, CLASSES, base=0)
            expected[expected == 2] = base
            np.testing.assert_array_equal(own.label_of("a"), expected)

    def test_a_broken_file_is_one_line_that_names_it(self, tmp_path, form, scene):
        own = self.own(tmp_path, form).pictures("a.png")
        write(form, own.source, {"a.png": scene})
        file = next(path for path in sorted(own.source.rglob("*")) if path.suffix in (".json", ".xml", ".txt"))
        text = file.read_text(encoding="utf-8")
        for broken in (text[: len(text) // 2] + "\x00<{", "", "[[[[" * 30000, "{}", "[1]", "null"):
            file.write_text(broken, encoding="utf-8")
            if form != "yolo" or broken:
                assert file.name in own.refused()

    def test_a_picture_of_another_size_is_refused(self, tmp_path, form, scene):
        if form == "yolo":  # which says no size
            pytest.skip("the format has no sizes")
        own = self.own(tmp_path, form).pictures("a.png", size=(40, 50))
        write(form, own.source, {"a.png": scene})
        own.refused("40x60", "40x50")


def test_lists_of_layers_in_cvat(tmp_path, scene):
    own = AnnotatedSet(tmp_path, {"files": "all.xml", "format": "cvat"}).pictures("a.png")
    made.write_text(own.source / "all.xml", made.cvat({"a.png": scene}, {"a.png": [2, 1, 0]}))
    np.testing.assert_array_equal(own.label_of("a"), made.painted(scene[::-1], CLASSES))


@pytest.mark.parametrize(("rule", "order"), [("later", [0, 1, 2]), ("smaller", [0, 1, 2]), ("void", None)])
def test_the_overlap_is_as_the_recipe_says(tmp_path, scene, rule, order):
    own = AnnotatedSet(tmp_path, {"files": "ann/{path}.json", "format": "labelme", "overlap": rule}).pictures("a.png")
    drawn = scene if rule != "smaller" else scene[::-1]
    made.write_json(own.source / "ann" / "a.json", made.labelme(drawn, "a.png"))
    expected = made.painted(scene, CLASSES)
    if order is None:
        expected[np.sum([thing.mask for thing in scene], axis=0) > 1] = 255
    np.testing.assert_array_equal(own.label_of("a"), expected)


@pytest.mark.parametrize("form", ["labelme", "coco", "cvat", "label_studio", "supervisely"])
def test_masks_and_holes(tmp_path, form):
    ring = made.with_hole("wall", made.rectangle("wall", 3, 5, 41, 33), made.rectangle("wall", 10, 9, 30, 20))
    blob = made.triangle("plant", (12, 10), (28, 11), (20, 19))
    blob.mask_only = True
    things = [ring, blob]
    if form == "labelme":
        ring.mask_only = True
    own = AnnotatedSet(tmp_path, {"files": {**PER_PICTURE, **SHARED}[form], "format": form}).pictures("a.png")
    write(form, own.source, {"a.png": things})
    np.testing.assert_array_equal(own.label_of("a"), made.painted(things, CLASSES))


def test_polygons_with_holes_of_supervisely(tmp_path):
    own = AnnotatedSet(tmp_path, {"files": "ann/{name}.json", "format": "supervisely"}).pictures("a.jpg.png")
    points = {"exterior": [[2, 3], [20, 3], [20, 15], [2, 15]], "interior": [[[5, 6], [9, 6], [9, 8], [5, 8]]]}
    entry = {"classTitle": "plant", "geometryType": "polygon", "points": points}
    whole = {"size": {"height": made.HEIGHT, "width": made.WIDTH}, "objects": [entry]}
    made.write_json(own.source / "ann" / "a.jpg.png.json", whole)
    expected = np.full((made.HEIGHT, made.WIDTH), 255)
    expected[3:16, 2:21] = 1  # points are pixels that belong to the object
    expected[6:9, 5:10] = 255
    np.testing.assert_array_equal(own.label_of("a.jpg"), expected)


def test_compressed_codes_of_coco_are_read_by_pycocotools(tmp_path, scene):
    whole = made.coco({"a.png": scene}, CLASSES, rle=True)
    for annotation, thing in zip(whole["annotations"], scene, strict=True):
        code = pycoco.encode(np.asfortranarray(thing.mask.astype(np.uint8)))
        annotation["segmentation"] = {"size": code["size"], "counts": code["counts"].decode()}
    own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "coco"}).pictures("a.png")
    made.write_json(own.source / "all.json", whole)
    np.testing.assert_array_equal(own.label_of("a"), made.painted(scene, CLASSES))


@pytest.mark.parametrize("counts", ["04", "P1", "no\x7fcode", "ooooooooooooooo", [10, 20], [-5, 2405], [2400, 2400]])
def test_codes_that_do_not_fill_the_picture_are_refused(tmp_path, scene, counts):
    whole = made.coco({"a.png": scene}, CLASSES, rle=True)
    whole["annotations"][1]["segmentation"]["counts"] = counts
    own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "coco"}).pictures("a.png")
    made.write_json(own.source / "all.json", whole)
    own.refused("all.json", "annotations[1].segmentation.counts")


def test_detections_without_outlines_are_boxes_on_request_only(tmp_path, scene):
    whole = made.coco({"a.png": scene[:1]}, CLASSES)
    whole["annotations"][0]["segmentation"] = []
    own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "coco"}).pictures("a.png")
    made.write_json(own.source / "all.json", whole)
    own.refused("annotations[0], id 1 ('wall')", "boxes: true")
    own.recipe["options"]["labels"]["x"]["boxes"] = True
    np.testing.assert_array_equal(own.label_of("a"), made.painted(scene[:1], CLASSES))


def test_outlines_far_outside_take_no_memory(tmp_path, scene):
    whole = made.coco({"a.png": scene[:1]}, CLASSES)
    whole["annotations"][0]["segmentation"] = [[-1e12, 10.0, 1e12, 10.0, 1e12, 20.0, -1e12, 20.0]]
    own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "coco"}).pictures("a.png")
    made.write_json(own.source / "all.json", whole)
    assert (own.label_of("a")[10:20] == 2).all()


def test_names_and_labels_that_are_ignored(tmp_path):
    how = {"files": "ann/{path}.json", "format": "labelme"}
    own = AnnotatedSet(tmp_path, {**how, "names": {"house": "wall", "shadow": None}, "ignore": ["arrow"]})
    own.pictures("a.png")
    house, shadow = made.rectangle("house", 0, 0, 30, 40), made.rectangle("shadow", 10, 0, 20, 40)
    arrow = made.rectangle("arrow", 0, 0, 60, 40)
    made.write_json(own.source / "ann" / "a.json", made.labelme([house, shadow, arrow], "a.png"))
    expected = np.full((made.HEIGHT, made.WIDTH), 255)
    expected[:, :30] = 2
    expected[:, 10:20] = 255
    np.testing.assert_array_equal(own.label_of("a"), expected)


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_numbers_of_classes_may_be_named(tmp_path, scene, form):
    ids = {3: "wall", 13: "plant", 23: None} if form == "coco" else {0: "wall", 1: "plant", 2: None}
    own = AnnotatedSet(tmp_path, {"files": {**PER_PICTURE, **SHARED}[form], "format": form, "ids": ids})
    own.pictures("a.png")
    write(form, own.source, {"a.png": scene})
    as_read = made.painted(scene, CLASSES)
    expected = np.select([as_read == 0, as_read == 1], [2, 1], 255)
    np.testing.assert_array_equal(own.label_of("a"), expected)


class TestPublishedExamples:
    """Snippets in the shapes that the publishers' own pages show, put together anew."""

    def test_labelme_draws_circles_lines_and_points(self, tmp_path):
        own = AnnotatedSet(tmp_path, {"files": "{path}.json", "format": "labelme", "line_width": 4, "point_size": 3})
        own.pictures("apc.png")
        shapes = [
            {"label": "wall", "points": [[50, 30], [40, 20]], "shape_type": "rectangle"},
            {"label": "plant", "points": [[10, 10], [14, 13]], "shape_type": "circle"},
            {"label": "ground", "points": [[5, 35], [55, 35]], "shape_type": "line"},
            {"label": "ground", "points": [[30, 5], [30, 15], [35, 15]], "shape_type": "linestrip"},
            {"label": "plant", "points": [[55, 6]], "shape_type": "point"},
        ]
        made.write_json(own.source / "apc.json", {**made.labelme([], "apc.png"), "shapes": shapes})
        found = own.label_of("apc")
        y, x = np.mgrid[: made.HEIGHT, : made.WIDTH] + 0.5
        assert (found[20:30, 40:50] == 2).all()
        np.testing.assert_array_equal(found[:20, :20] == 1, (np.hypot(x - 10, y - 10) <= 5)[:20, :20])
        np.testing.assert_array_equal(found[33:37, 5:55], 0)
        assert (found[32, 10:50] == 255).all()
        assert (found[5:15, 28:32] == 0).all()
        assert (found[:12, 50:] == 1).sum() == (np.hypot(x - 55, y - 6) <= 3).sum()

    def test_old_files_of_labelme_have_neither_types_nor_sizes(self, tmp_path, scene):
        own = AnnotatedSet(tmp_path, {"files": "{path}.json", "format": "labelme"}).pictures("a.png")
        shapes = [{"label": t.label, "points": t.outline, "line_color": None} for t in scene]
        made.write_json(own.source / "a.json", {"shapes": shapes, "imagePath": "a.png", "lineColor": [0, 255, 0, 128]})
        np.testing.assert_array_equal(own.label_of("a"), made.painted(scene, CLASSES))

    def test_a_file_of_labelme_may_hold_its_picture(self, tmp_path, scene):
        own = AnnotatedSet(tmp_path, {"files": "all/{path}.json", "format": "labelme"}, image="all/*.json")
        picture = np.random.default_rng(0).integers(0, 256, (made.HEIGHT, made.WIDTH, 3), np.uint8)
        data = made.base64_of(made.png(picture))
        made.write_json(own.source / "all" / "a.json", made.labelme(scene, "gone.png", imageData=data))
        _, held = own.prepare()
        np.testing.assert_array_equal(held["a"]["image"], picture)
        np.testing.assert_array_equal(held["a"]["x"], made.painted(scene, CLASSES))
        made.write_json(own.source / "all" / "b.json", made.labelme(scene, "gone.png"))
        own.refused("b.json", "imageData", "no picture in it")

    def test_cvat_boxes_that_are_turned_ellipses_and_lines(self, tmp_path):
        own = AnnotatedSet(tmp_path, {"files": "all.xml", "format": "cvat", "line_width": 2, "point_size": 1})
        own.pictures("a.png")
        text = f"""<annotations><image id="0" name="a.png" width="{made.WIDTH}" height="{made.HEIGHT}">
          <tag label="sunny" source="manual"/>
          <box label="wall" xtl="20" ytl="5" xbr="30" ybr="25" rotation="90" z_order="0"/>
          <ellipse label="plant" cx="10" cy="30" rx="8" ry="4" rotation="90"/>
          <polyline label="ground" points="40,2;40,38"/>
          <points label="plant" points="55,3;55,37"/>
        </image></annotations>"""
        made.write_text(own.source / "all.xml", text)
        found = own.label_of("a")
        y, x = np.mgrid[: made.HEIGHT, : made.WIDTH] + 0.5
        expected = np.full(found.shape, 255)
        expected[10:20, 15:35] = 2
        expected[((x - 10) / 4) ** 2 + ((y - 30) / 8) ** 2 <= 1] = 1
        expected[2:38, 39:41] = 0
        expected[2:4, 54:56] = 1
        expected[36:38, 54:56] = 1
        np.testing.assert_array_equal(found[3:37], expected[3:37])

    def test_entities_in_xml_are_refused(self, tmp_path):
        own = AnnotatedSet(tmp_path, {"files": "all.xml", "format": "cvat"}).pictures("a.png")
        bomb = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><annotations><image name="&c;"/></annotations>'
        outside = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>'
        for text in (bomb, outside):
            made.write_text(own.source / "all.xml", text)
            own.refused("all.xml", "declares entities")

    def test_shapes_of_videos_and_solids_in_cvat(self, tmp_path):
        own = AnnotatedSet(tmp_path, {"files": "all.xml", "format": "cvat"}).pictures("a.png")
        made.write_text(own.source / "all.xml", '<annotations><track id="0" label="wall"/></annotations>')
        own.refused("CVAT for video", "CVAT for images 1.1")
        size = f'width="{made.WIDTH}" height="{made.HEIGHT}"'
        cuboid = '<cuboid label="wall" xtl1="1"/>'
        made.write_text(
            own.source / "all.xml", f'<annotations><image name="a.png" {size}>{cuboid}</image></annotations>'
        )
        own.refused("image 'a.png', cuboid[0]", "no area", "ignore")
        own.recipe["options"]["labels"]["x"] |= {"ignore": ["wall"], "unlabelled": "plant"}
        assert (own.label_of("a") == 1).all()

    @pytest.mark.parametrize(
        "link",
        [
            "/data/upload/3/0a1b2c3d-a%20b.png",
            "/data/local-files/?d=images/a%20b.png",
            "s3://bucket/images/a b.png",
            "https://example.org/images/a%20b.png?token=1",
            "a b.png",
        ],
    )
    def test_label_studio_names_pictures_in_many_ways(self, tmp_path, scene, link):
        own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "label_studio"}).pictures("a b.png", "c.png")
        whole = made.label_studio({"a b.png": scene})
        whole[0]["data"] = {"id": "x.1", "image": link}
        made.write_json(own.source / "all.json", whole)
        np.testing.assert_array_equal(own.label_of("a b"), made.painted(scene, CLASSES))

    def test_label_studio_boxes_ellipses_and_tags_apart(self, tmp_path):
        own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "label_studio"}).pictures("a.png")
        common = {"original_width": made.WIDTH, "original_height": made.HEIGHT, "image_rotation": 0}
        box = {"x": 50, "y": 25, "width": 25, "height": 50, "rotation": 0}
        turned = {"x": 40, "y": 0, "width": 20, "height": 10, "rotation": 90}
        round_ = {"x": 10, "y": 50, "radiusX": 5, "radiusY": 10, "rotation": 0}
        results = [
            {"id": "1", "type": "rectanglelabels", "value": {**box, "rectanglelabels": ["wall"]}, **common},
            {"id": "2", "type": "rectangle", "value": turned, **common},
            {"id": "2", "type": "labels", "value": {**turned, "labels": ["plant"]}, **common},
            {"id": "3", "type": "ellipselabels", "value": {**round_, "ellipselabels": ["ground"]}, **common},
            {"id": "4", "type": "choices", "value": {"choices": ["sunny"]}},
        ]
        annotations = [
            {"was_cancelled": False, "updated_at": "2024-01-02", "result": results},
            {"was_cancelled": False, "updated_at": "2024-01-01", "result": []},
            {"was_cancelled": True, "updated_at": "2024-01-03", "result": []},
        ]
        made.write_json(own.source / "all.json", [{"data": {"image": "a.png"}, "annotations": annotations}])
        y, x = np.mgrid[: made.HEIGHT, : made.WIDTH] + 0.5
        expected = np.full((made.HEIGHT, made.WIDTH), 255)
        expected[10:30, 30:45] = 2
        expected[0:12, 20:24] = 1  # 12 wide and 4 high, turned clockwise about its upper left corner at (24, 0)
        expected[((x - 6) / 3) ** 2 + ((y - 20) / 4) ** 2 <= 1] = 0
        np.testing.assert_array_equal(own.label_of("a"), expected)

    def test_label_studio_min(self, tmp_path, scene):
        own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "label_studio"}).pictures("a.png")
        task = made.label_studio({"a.png": scene})[0]
        regions = [
            {**one["value"], "original_width": made.WIDTH, "original_height": made.HEIGHT}
            for one in task["annotations"][0]["result"]
        ]
        made.write_json(own.source / "all.json", [{"id": 1, "image": "/data/upload/1/a.png", "label": regions}])
        np.testing.assert_array_equal(own.label_of("a"), made.painted(scene, CLASSES))

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("1 0.1 0.1 0.5 0.1", "a box without an outline"),
            ("1 0.1 0.1 0.5 0.1 0.3", "5 numbers"),
            ("1 0.1 0.1 30 0.1 0.3 0.9", "30, wanted shares"),
            ("plant 0.1 0.1 0.3 0.1 0.3 0.9", "'plant 0.1"),
            ("1.5 0.1 0.1 0.3 0.1 0.3 0.9", "a whole number first"),
            ("1 0.1 0.1 nan 0.1 0.3 0.9", "'1 0.1 0.1 nan"),
        ],
    )
    def test_lines_of_yolo_that_are_none(self, tmp_path, line, words):
        own = AnnotatedSet(tmp_path, {"files": "ann/{path}.txt", "format": "yolo"}).pictures("a.png")
        made.write_text(own.source / "ann" / "a.txt", f"0 0.1 0.1 0.4 0.1 0.4 0.4\n\n{line}\n")
        own.refused("a.txt: line 3", words)


def test_a_name_with_a_line_end_is_one_line_of_a_message(tmp_path):
    own = AnnotatedSet(tmp_path, {"files": PER_PICTURE["labelme"], "format": "labelme"}).pictures("a.png")
    write("labelme", own.source, {"a.png": [made.rectangle("wall\nplant", 5, 4, 50, 30)]})
    own.refused(r"{wall\nplant: CLASS}")


def test_a_code_of_numbers_beyond_64_bits_is_refused(tmp_path):
    own = AnnotatedSet(tmp_path, {"files": "all.json", "format": "label_studio"}).pictures("a.png")
    thing = made.rectangle("wall", 5, 4, 50, 30)
    thing.mask_only = True
    content = made.label_studio({"a.png": [thing]})
    content[0]["annotations"][0]["result"][0]["value"]["rle"][7] = 10**30
    made.write_json(own.source / "all.json", content)
    own.refused("no run-length code of Label Studio")
