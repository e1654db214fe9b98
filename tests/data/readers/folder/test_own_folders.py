"""How people's folders look: every picture is found once, in one split, with its label, or it is said what is odd."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.data.formats.own import OwnSet
from tests.data.readers.conftest import IDS, NAMES, TWO, labelled, samples
from vtadapt.data.prepare.dry_run import survey
from vtadapt.data.prepare.options import PrepareOptions, resolve
from vtadapt.data.recipe.recipe import Recipe


def seen(own: OwnSet) -> dict[str, Any]:
    """What a dry run says."""
    return survey(resolve(Recipe.model_validate(own.recipe), PrepareOptions()), own.source)


def test_what_programs_leave_behind_is_no_data(own: OwnSet) -> None:
    for folder in ("images", "labels"):
        for name in ("._im0.png", ".DS_Store", ".hidden.png", "Thumbs.db", "desktop.ini"):
            (own.source / folder / name).write_bytes(b"x")
        for name in (".ipynb_checkpoints", "__MACOSX", ".git", "@eaDir", "__pycache__"):
            (own.source / folder / name).mkdir()
            Image.fromarray(IDS).save(own.source / folder / name / "im0-checkpoint.png")
    assert samples(own) == NAMES
    [line] = seen(own)["passed_over"]
    assert line.startswith("7 hidden")  # ._im0.png and .hidden.png, and five folders
    assert "images/._im0.png" in line


def test_suffixes_in_any_case(own: OwnSet) -> None:
    for name, picture, label in (("a", ".PNG", ".Png"), ("b", ".pNg", ".PNG")):
        Image.fromarray(IDS).save(own.source / "images" / f"{name}{picture}")
        Image.fromarray(IDS).save(own.source / "labels" / f"{name}{label}")
    assert samples(own) == ["a", "b", *NAMES]
    Image.fromarray(IDS).save(own.source / "labels" / "a.PNG")
    own.refused("a.PNG", "a.Png", "case")


def test_a_pattern_in_capitals_finds_small_letters(tmp_path: Path) -> None:
    own = labelled(OwnSet(tmp_path, TWO, image="images/*.PNG"), *NAMES)
    own.recipe["options"]["labels"]["x"]["files"] = "labels/{stem}.PNG"
    assert samples(own) == NAMES


def test_linked_files_and_folders_are_followed(own: OwnSet, tmp_path: Path) -> None:
    other = labelled(OwnSet(tmp_path / "other", TWO), "z").source
    for folder in ("images", "labels"):
        (own.source / folder / "seq").symlink_to(other / folder)
        (own.source / folder / "q.png").symlink_to(other / folder / "z.png")
    own.refused("q.png -> ", "--follow-links")
    own.follow_links = True
    assert samples(own) == [*NAMES, "q", "seq/z"]


def test_links_in_a_circle_end_and_are_named(own: OwnSet) -> None:
    for name in ("loop", "again"):
        (own.source / "images" / name).symlink_to(own.source / "images")
    (own.source / "images" / "self.png").symlink_to("self.png")
    assert samples(own) == NAMES
    broken, linked = seen(own)["passed_over"]
    assert linked.startswith("2 linked folders")
    assert broken.startswith("1 links to nothing")
    assert "self.png" in broken


def test_links_to_nothing_are_named(own: OwnSet) -> None:
    own.picture("q.png")
    own.label("q").symlink_to("nowhere.png")
    assert samples(own) == NAMES
    assert any("labels/q.png" in line for line in seen(own)["passed_over"])
    for name in NAMES:
        own.label(name).unlink()
    own.refused("none of 4 pictures", "1 links to nothing", "labels/q.png")


def test_a_folder_of_labels_that_is_not_there_is_named(own: OwnSet, tmp_path: Path) -> None:
    (own.source / "labels").rename(tmp_path / "away")
    own.refused("none of 3 pictures", f"there is no {own.source / 'labels'}")
    (own.source / "labels").symlink_to("nowhere")
    own.refused("none of 3 pictures", f"{own.source / 'labels'} is a link to nothing")


def test_what_is_no_file_is_named(own: OwnSet) -> None:
    os.mkfifo(own.source / "images" / "pipe.png")
    own.picture("folder.png")
    own.label("folder").mkdir()
    assert samples(own) == NAMES
    lines = seen(own)["passed_over"]
    assert any("pipe.png" in line and "links" not in line for line in lines)
    assert any("labels/folder.png" in line and "folders" in line for line in lines)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_files_that_may_not_be_read_are_named(own: OwnSet) -> None:
    own.label("im1").chmod(0)
    own.refused("labels/im1.png", "cannot be read")


def test_near_misses_are_counted_in_the_dry_run(own: OwnSet) -> None:
    for name in ("a.jpg", "b.jpeg", "c.tif"):
        Image.fromarray(IDS).save(own.source / "images" / name)
    own.picture("z.png")
    Image.fromarray(IDS).save(own.source / "labels" / "z.tif")
    own.picture("y.png")
    Image.fromarray(IDS).save(own.source / "labels" / "Y.png")
    found = seen(own)
    assert found["problems"] == []
    assert found["splits"]["train"]["tasks"]["x"]["labels"] == 3
    pictures, labels = found["passed_over"]
    assert (pictures[:2], labels[:2]) == ("3 ", "2 ")
    assert "images/a.jpg" in pictures


def test_letters_in_pieces_are_the_same_letters(tmp_path: Path) -> None:
    name = "Straße für é"
    own = OwnSet(tmp_path, TWO, split={"lists": "{split}.txt"})
    own.picture(f"{unicodedata.normalize('NFD', name)}.png")
    Image.fromarray(IDS).save(own.label(unicodedata.normalize("NFC", name)))
    (own.source / "train.txt").write_text(unicodedata.normalize("NFC", name), encoding="utf-8")
    assert samples(own) == [unicodedata.normalize("NFD", name)]


def test_dots_and_brackets_in_names(tmp_path: Path) -> None:
    own = labelled(OwnSet(tmp_path, TWO), "a.b", "a", "b[1]")
    assert samples(own) == ["a", "a.b", "b[1]"]
    (own.source / "images").rename(own.source / "images [raw]")
    own.recipe["options"]["image"] = "images [raw]/**/*.png"
    assert samples(own) == ["a", "a.b", "b[1]"]


def test_a_folder_around_the_source_among_what_programs_leave(own: OwnSet) -> None:
    around = own.root / "around"
    (around / "__MACOSX").mkdir(parents=True)
    (around / "Thumbs.db").write_bytes(b"x")
    own.source.rename(around / "set")
    own.source = around
    assert samples(own) == NAMES


@pytest.mark.parametrize("files", ["labels/{stem}*.png", "labels/im?.png"])
def test_wildcards_in_names_of_labels_are_refused(own: OwnSet, files: str) -> None:
    own.recipe["options"]["labels"]["x"]["files"] = files
    own.refused("options", "labels.x.files", files)


def test_a_folder_of_labels_in_other_letters_is_named(own: OwnSet) -> None:
    (own.source / "labels").rename(own.source / "Labels")
    own.refused("none of 3 pictures", f"there is no {own.source / 'labels'}", f"{own.source / 'Labels'}")
    labels = own.recipe["options"]["labels"]
    own.recipe["tasks"]["y"], labels["y"] = TWO, {"files": "Labels/{path}.png"}
    [line] = seen(own)["passed_over"]
    assert line.startswith("1 folders")
    assert line.endswith(str(own.source / "Labels"))


def test_a_link_to_the_folder_around_is_named_itself(own: OwnSet) -> None:
    (own.source / "images" / "loop").symlink_to("..")
    assert samples(own) == NAMES
    [line] = seen(own)["passed_over"]
    assert line.startswith("1 linked folders")
    assert line.endswith(str(own.source / "images" / "loop"))


@pytest.mark.parametrize(
    "text",
    [
        "im0\nsub/im9\n",
        b"\xef\xbb\xbfim0\r\nsub/im9\r\n",
        "  im0  \n\n\t sub/im9",
        "im0.png\nsub/im9.png\n",
        "im0.PNG\nsub/im9.Png\n",
        "images/im0.png\nimages/sub/im9.png\n",
        "./images/im0.png\n./images/sub/im9\n",
        "images\\im0.png\r\nimages\\sub\\im9.png\r\n",
        "src/images/im0.png\nsrc/images/sub/im9.png\n",
        "/home/me/src/images/im0.png\n/home/me/src/images/sub/im9.png\n",
        "C:\\me\\src\\images\\im0.png\nC:\\me\\src\\images\\sub\\im9.png\n",
        "im0\rim9\r",
    ],
)
def test_lists_of_names_and_of_paths(own: OwnSet, text: str | bytes) -> None:
    labelled(own, "sub/im9")
    own.recipe["options"]["split"] = {"lists": "{split}.txt"}
    (own.source / "train.TXT").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert samples(own) == ["im0", "sub/im9"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("train.txt", "empty", "optional_splits: [train]")),
        ("im7\n", ("'im7'", "none of the 3 pictures")),
        ("im0\nim0.png\n", ("'im0'", "more than once")),
        ("im0.png labels/im0.png\n", ("columns",)),
        ("im0,labels/im0.png\n", ("columns",)),
        ("labels/im0.png\n", ("'labels/im0.png'",)),
        (b"\xff\xfei\0m\0", ("train.txt", "UTF-8")),
    ],
)
def test_lists_that_cannot_be_meant(own: OwnSet, text: str | bytes, words: tuple[str, ...]) -> None:
    own.recipe["options"]["split"] = {"lists": "{split}.txt"}
    (own.source / "train.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    own.refused(*words)


def test_a_line_that_may_be_two_pictures_is_refused(own: OwnSet) -> None:
    labelled(own, "sub/im0", "other/im0")
    own.recipe["options"]["split"] = {"lists": "{split}.txt"}
    (own.source / "train.txt").write_text("other/im0\nim0.PNG\n", encoding="utf-8")
    own.refused("'im0.PNG'", "'im0'", "'other/im0'")
