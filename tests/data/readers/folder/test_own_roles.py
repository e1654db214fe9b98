"""One file in two roles: as picture and label, of two pictures, tasks or splits, also through links."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.own import OwnSet
from tests.data.readers.conftest import IDS, NAMES, TWO, labelled, samples


def test_two_pictures_of_one_name_are_refused(own: OwnSet) -> None:
    own.recipe["options"]["image"] = "images/*"
    Image.fromarray(IDS).save(own.source / "images" / "im0.bmp")
    own.refused("im0.bmp", "im0.png")


@pytest.mark.parametrize(
    ("files", "image", "advice"),
    [
        pytest.param("images/{path}.png", "images/**/*.png", "options.labels.x.files", id="all"),
        pytest.param("images/{path}_mask.png", "images/**/*.png", "'exclude: [\"*_mask.png\"]'", id="by name"),
        pytest.param("labels/{stem}.png", "**/*.png", "'exclude: [\"labels/*.png\"]'", id="by folder"),
        pytest.param("linked/{path}.png", "images/**/*.png", "options.labels.x.files", id="by a link"),
    ],
)
def test_a_file_that_is_picture_and_label_is_refused(own: OwnSet, files: str, image: str, advice: str) -> None:
    own.recipe["options"]["labels"]["x"]["files"] = files
    own.recipe["options"]["image"] = image
    (own.source / "linked").symlink_to("images")
    if "_mask" in files:
        labelled(own, "im0_mask")
    own.refused(files.split("/")[0], "the label 'x' of im0.png", advice)


@pytest.mark.parametrize("folder", ["images/masks", "images/masks [old]"])
def test_the_pattern_that_is_advised_leaves_out_the_labels_only(own: OwnSet, folder: str) -> None:
    (own.source / "labels").rename(own.source / folder)
    own.recipe["options"]["labels"]["x"]["files"] = f"{folder}/{{stem}}.png"
    advice = own.refused("masks").partition("exclude: ")[2].partition("]'")[0]
    own.recipe["options"]["exclude"] = [advice.strip('["')]
    assert samples(own) == NAMES


def test_masks_beside_pictures_are_left_out_by_a_pattern(own: OwnSet) -> None:
    for name in NAMES:
        own.label(name).rename(own.source / "images" / f"{name}_mask.png")
    own.recipe["options"]["labels"]["x"]["files"] = "images/{path}_mask.png"
    own.recipe["options"]["exclude"] = ["*_mask.png"]
    assert samples(own) == NAMES


def test_a_label_of_two_pictures_is_refused(own: OwnSet) -> None:
    labelled(own, "a/x", "b/x")
    (own.source / "labels" / "x.png").write_bytes(own.label("im0").read_bytes())
    own.recipe["options"]["labels"]["x"]["files"] = "labels/{stem}.png"
    own.refused("labels/x.png", "images/a/x.png", "images/b/x.png", "{path}")


def test_a_label_that_is_a_link_to_another_pictures_label_is_refused(own: OwnSet) -> None:
    own.label("im1").unlink()
    own.label("im1").symlink_to("im0.png")
    own.refused("labels/im1.png", "images/im0.png", "images/im1.png", "labels/im0.png is the same file")


def test_equal_labels_in_a_store_of_contents_are_let_through(own: OwnSet) -> None:
    store = own.source / ".git" / "annex" / f"SHA256E-s90--{'0f' * 32}.png"
    store.parent.mkdir(parents=True)
    own.label("im0").rename(store)
    for name in NAMES:
        own.label(name).unlink(missing_ok=True)
        own.label(name).symlink_to(store)
    assert samples(own) == NAMES
    own.label("im2").unlink()
    own.label("im2").symlink_to(own.source / "images" / "im2.png")
    own.refused("labels/im2.png", "im2.png, and itself a picture")


def test_a_label_that_is_a_link_to_a_picture_is_refused(own: OwnSet) -> None:
    own.label("im1").unlink()
    own.label("im1").symlink_to("../images/im2.png")
    assert "exclude" not in own.refused("labels/im1.png", "images/im2.png", "the label 'x' of im1.png")


def test_tasks_that_read_one_file_in_the_same_way_by_two_patterns_are_refused(own: OwnSet) -> None:
    labels = own.recipe["options"]["labels"]
    own.recipe["tasks"]["y"], labels["y"] = TWO, {"files": "labels/{stem}.png"}
    own.refused("labels/im0.png", "'x'", "'y'", "labels/{path}.png", "labels/{stem}.png")
    labels["y"]["ids"] = {0: "b", 1: "a"}
    _, held = own.prepare()
    np.testing.assert_array_equal(held["im0"]["y"], 1 - IDS)


def test_two_tasks_of_the_same_files_are_refused_unless_they_differ(own: OwnSet) -> None:
    labels = own.recipe["options"]["labels"]
    own.recipe["tasks"]["y"], labels["y"] = TWO, dict(labels["x"])
    own.refused("options.labels.y", "'x'")
    labels["y"]["ids"] = {0: "b", 1: "a"}
    _, held = own.prepare()
    np.testing.assert_array_equal(held["im0"]["y"], 1 - IDS)


def test_a_picture_in_two_splits_is_refused_unless_allowed(own: OwnSet) -> None:
    own.recipe["splits"] = ["train", "val"]
    own.recipe["options"]["split"] = {"lists": "{split}.txt"}
    (own.source / "train.txt").write_text("im0\nim1\n", encoding="utf-8")
    (own.source / "val.txt").write_text("im2\nim1\n", encoding="utf-8")
    own.refused("images/im1.png", "'train'", "'val'")
    own.recipe["options"]["splits_share"] = True
    manifest, _ = own.prepare()
    assert [entry["samples"] for entry in manifest["splits"].values()] == [2, 2]


def test_a_picture_that_is_linked_into_another_split_is_refused_unless_allowed(own: OwnSet) -> None:
    (own.source / "images").rename(own.source / "train")
    (own.source / "val").mkdir()
    (own.source / "val" / "other.png").symlink_to("../train/im0.png")
    own.recipe["splits"] = ["train", "val"]
    own.recipe["options"] |= {"image": "{split}/*.png", "split": None}
    own.refused("val/other.png", "train/im0.png", "'train'", "'val'")
    own.recipe["options"]["splits_share"] = True
    manifest, _ = own.prepare()
    assert [entry["samples"] for entry in manifest["splits"].values()] == [3, 1]
    (own.source / "labels" / "other.png").symlink_to("../train/im1.png")
    own.refused("labels/other.png", "'x'", "val/other.png", "train/im1.png")
