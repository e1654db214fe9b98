"""What people's label files hold, by kind: each becomes the right value, or is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.formats.own import SHAPE, OwnSet
from tests.data.formats.written import VOC, chunk, png
from tests.data.readers.folder.own_labels import (
    DEPTH,
    EDGES,
    FOUR,
    IDS,
    LINES,
    NORMALS,
    NOWHERE,
    image,
    in_palette,
    npy,
    rgb16,
    tiff,
)
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import VtadaptError
from vtadapt.tasks.class_ids import RESERVED

COLOURS = [[0, 0, 0], [255, 0, 0], [0, 128, 7], [128, 128, 128]]


def many(count: int) -> dict[str, object]:
    names = [f"c{i}" for i in range(count)]
    return {"kind": "classes", "classes": [*names[:255], RESERVED, *names[256:]]}


@pytest.mark.parametrize(
    ("count", "stored"), [(300, np.uint16), pytest.param(70_000, np.uint32, marks=pytest.mark.slow)]
)
def test_long_lists_of_classes(tmp_path: Path, count: int, stored: type) -> None:
    ids = np.linspace(0, count - 1, SHAPE[0] * SHAPE[1]).astype(np.int64).reshape(SHAPE)
    ids[ids == 255] = 256
    task = many(count)
    names = [str(name) for name in task["classes"]]  # type: ignore[attr-defined]
    by_ids = {"ids": {3 * i: name for i, name in enumerate(names) if i != 255}}
    ways: list[tuple] = [(by_ids, ".tif", lambda path, array: tiff(path, array.astype(np.uint32)), 3)]
    ways += [(None, ".npy", npy, 1), (None, ".png", lambda path, a: image(path, a.astype(np.uint16)), 1)]
    for number, (how, suffix, write, factor) in enumerate(ways[: 3 if count < 2**16 else 1]):
        [found] = OwnSet(tmp_path / str(number), task, how, suffix).fill(write, ids * factor).found()
        np.testing.assert_array_equal(found, ids)
        assert found.dtype == stored


def test_a_long_list_without_the_reserved_name_says_how(tmp_path: Path) -> None:
    own = OwnSet(tmp_path, {"kind": "classes", "classes": [f"c{i}" for i in range(256)]})
    own.fill(image, NOWHERE).refused("256 classes", "255: c255", RESERVED, "'ids'")


def test_a_long_list_with_the_reserved_name_in_between_keeps_the_numbers_of_the_files(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(300)]
    task = {"kind": "classes", "classes": [*names[:255], RESERVED, *names[255:]]}
    numbers = np.linspace(200, 299, SHAPE[0] * SHAPE[1]).astype(np.uint16).reshape(SHAPE)
    own = OwnSet(tmp_path, task, {"ids": dict(enumerate(names))}).fill(image, numbers)
    [found] = own.found()
    np.testing.assert_array_equal(found, np.where(numbers < 255, numbers, numbers + 1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_keeps_its_ids_with_a_transparent_grey_too(tmp_path: Path, bits: int) -> None:
    ids = IDS % (1 << bits)
    for number, block in enumerate((b"", chunk(b"tRNS", b"\0\1"))):
        own = OwnSet(tmp_path / str(number), FOUR)
        own.fill(lambda path, array, block=block: path.write_bytes(png(bits, 0, array, block)), ids)
        np.testing.assert_array_equal(own.found()[0], ids)


def test_palettes(tmp_path: Path) -> None:
    [found] = OwnSet(tmp_path / "colours", FOUR).fill(in_palette(*VOC[:12]), IDS).found()
    np.testing.assert_array_equal(found, IDS)
    greys = [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]
    permuted = OwnSet(tmp_path / "permuted", FOUR).fill(in_palette(*greys), IDS)
    permuted.refused("0.png", "0 is the index, 3 the grey", "'read: stored'", "'read: grey'")
    for reading, wanted in (("stored", IDS), ("grey", 3 - IDS)):
        own = OwnSet(tmp_path / reading, FOUR, {"read": reading}).fill(in_palette(*greys), IDS)
        np.testing.assert_array_equal(own.found()[0], wanted)


def test_grey_stored_as_colours_is_taken_where_the_recipe_says_so(tmp_path: Path) -> None:
    grey = np.stack([IDS.astype(np.uint8)] * 3, axis=-1)
    OwnSet(tmp_path / "unsaid", FOUR).fill(image, grey).refused("mode RGB", "equal", "'read: grey'")
    lossless = {"format": "WEBP", "lossless": True}
    for number, options in enumerate(({}, lossless)):
        own = OwnSet(tmp_path / str(number), FOUR, {"read": "grey"})
        own.fill(lambda path, array, options=options: image(path, array, **options), grey)
        np.testing.assert_array_equal(own.found()[0], IDS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000", "AVIF"])
def test_lossy_labels_are_refused_whatever_their_names(tmp_path: Path, kind: str) -> None:
    for task in (FOUR, EDGES, DEPTH):
        own = OwnSet(tmp_path / task["kind"], task)  # type: ignore[operator]
        text = own.fill(lambda path, array: image(path, array, format=kind), LINES).refused("0.png", "changes")
        assert kind.lower()[:4] in text.lower()


def test_classes_by_their_colours(tmp_path: Path) -> None:
    task = {**FOUR, "colours": COLOURS}
    drawn = np.array(COLOURS, np.uint8)[IDS]
    OwnSet(tmp_path / "unsaid", task).fill(image, drawn).refused("mode RGB", "'read: colours'", "options.labels.x")
    by = {"read": "colours"}
    indices = [value for colour in COLOURS[::-1] for value in colour]
    for name, write, array in (
        ("8 bits", image, drawn),
        ("16 bits", rgb16, drawn.astype(np.uint16) * 257),
        ("opaque", image, np.concatenate([drawn, np.full_like(drawn[..., :1], 255)], axis=-1)),
        ("palette", in_palette(*indices), 3 - IDS),
    ):
        np.testing.assert_array_equal(OwnSet(tmp_path / name, task, by).fill(write, array).found()[0], IDS)
    drawn[0, 0] = [9, 8, 7]
    OwnSet(tmp_path / "odd", task, by).fill(image, drawn).refused("0.png", "[9, 8, 7]", "void_colours")
    named = OwnSet(tmp_path / "void", task, {**by, "void_colours": [[9, 8, 7]]}).fill(image, drawn)
    assert (named.found()[0] == 255).sum() == 1
    OwnSet(tmp_path / "deep", task, by).fill(rgb16, drawn.astype(np.uint16) * 200).refused("16 bits")


@pytest.mark.parametrize(
    ("task", "how", "word"),
    [
        (FOUR, {"read": "colours"}, "needs the task's 'colours'"),
        ({**FOUR, "colours": [*COLOURS[:3], COLOURS[0]]}, {"read": "colours"}, "[0, 0, 0]"),
        ({**FOUR, "colours": COLOURS}, {"read": "colours", "void_colours": [[255, 0, 0]]}, "[255, 0, 0]"),
        ({**FOUR, "colours": COLOURS}, {"void_colours": [[1, 1, 1]]}, "'void_colours'"),
        ({**FOUR, "colours": COLOURS}, {"read": "colours", "void": [255]}, "'void'"),
        (EDGES, {"read": "colours"}, "'read: colours'"),
        (FOUR, {"ids": {0: "a", 1: "b", "01": "c"}}, "1 and '01'"),
        (FOUR, {"ids": {0: "a", 1: "b", "1": "c"}}, "1 and '1'"),
        (FOUR, {"ids": {0: "a", 1: "b"}, "void": [7, 1]}, "1 is in 'ids' and in 'void'"),
        (FOUR, {"void": [255, 2]}, "2 is in 'void', and the number of class 'c'"),
        (EDGES, {"void": [255]}, "'void' says nothing of a task of kind 'boundary': 'missing'"),
        (EDGES, {"factor": 0.5}, "'factor' says nothing of a task of kind 'boundary': 'scale'"),
        (EDGES, {"flip": ["x"]}, "'flip' says nothing of a task of kind 'boundary'"),
        (DEPTH, {"void": [65535]}, "'void' says nothing of a task of kind 'regression': 'missing'"),
        (DEPTH, {"ids": {0: None}}, "'ids' says nothing of a task of kind 'regression'"),
        (DEPTH, {"flip": ["y"]}, "'flip' says nothing of a task of kind 'regression'"),
        (NORMALS, {"missing": [0]}, "'missing' says nothing of a task of kind 'unit_vector'"),
        (NORMALS, {"scale": 255}, "'scale' says nothing of a task of kind 'unit_vector'"),
        (NORMALS, {"ids": {0: None}}, "'ids' says nothing of a task of kind 'unit_vector'"),
        (NORMALS, {"read": "grey"}, "'read' says nothing of a task of kind 'unit_vector'"),
        (FOUR, {"factor": 2}, "'factor' says nothing of a task of kind 'classes': 'ids'"),
        (FOUR, {"missing": [255]}, "'missing' says nothing of a task of kind 'classes': 'void'"),
        (FOUR, {"threshold": 1}, "'threshold' says nothing of a task of kind 'classes': 'ids'"),
        (FOUR, {"variable": "seg"}, "'variable'"),
        ({**FOUR, "units": "m"}, None, "'units: m'"),
        (DEPTH, {"missing": [10**400]}, "2^64"),
        (DEPTH, {"missing": [True]}, "true is no number"),
        (FOUR, {"void": [False]}, "false is no number"),
        (FOUR, {"ids": {True: "a"}}, "true is no number"),
        (EDGES, {"scale": True}, "true is no number"),
        (DEPTH, {"factor": 10**400}, "2^64"),
        (EDGES, {"threshold": float("nan")}, "threshold"),
        (EDGES, {"scale": float("inf")}, "scale"),
        (DEPTH, {"factor": float("inf")}, "factor"),
        ({"kind": "regression", "units": "mm"}, None, "'factor: 0.001'"),
        ({"kind": "regression", "units": "Feet"}, None, "'factor: 0.3048'"),
        ({"kind": "regression", "units": "mm", "distance": True}, None, "'mm'"),
        ({**DEPTH, "max_value": float("inf")}, None, "max_value"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_files_are_read(
    tmp_path: Path, task: dict, how: dict, word: str
) -> None:
    own = OwnSet(tmp_path, task, how)
    own.source.mkdir()
    own.refused(word)


@pytest.mark.parametrize(
    ("task", "how", "suffix", "write", "array"),
    [
        (FOUR, {"void": [255]}, ".png", image, NOWHERE + 255),
        (DEPTH, None, ".png", image, NOWHERE.astype(np.uint16)),
        ({"kind": "regression"}, None, ".npy", npy, np.full(SHAPE, np.nan)),
        (EDGES, {"missing": [0]}, ".png", image, NOWHERE),
        (NORMALS, None, ".png", image, np.full((*SHAPE, 3), 128, np.uint8)),
    ],
)
def test_labels_that_are_all_void_are_named(
    tmp_path: Path,
    task: dict,
    how: dict | None,
    suffix: str,
    write: Callable[[Path, np.ndarray], None],
    array: np.ndarray,
) -> None:
    OwnSet(tmp_path, task, how, suffix).fill(write, array, array).refused("2 labels of x", "--tasks")


def test_one_label_may_be_all_void(tmp_path: Path) -> None:
    own = OwnSet(tmp_path, FOUR, {"void": [255]}).fill(image, NOWHERE + 255, IDS.astype(np.uint8))
    assert [int((label == 255).sum()) for label in own.found()] == [IDS.size, 0]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x76\x2f\x31\x01" + bytes(90), "OpenEXR"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
        (png(8, 0, IDS)[:-30], "cut short"),
        (b"II*\0" + bytes(3), "broken picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC"),
    ],
)
def test_files_that_are_no_labels_say_what_they_are(tmp_path: Path, content: bytes, word: str) -> None:
    OwnSet(tmp_path, FOUR).fill(lambda path, _: path.write_bytes(content), IDS).refused("labels/0.png", word)


def test_the_suffix_of_a_recipe_is_of_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OwnSet(tmp_path, FOUR).fill(image, IDS.astype(np.uint8)).prepare()
    monkeypatch.chdir(tmp_path)
    for name in ("mine.YAML", "mine.yml", "Mine.Yml"):
        Path(name).write_bytes(Path("mine.yaml").read_bytes())
        assert load_recipe(name).name == "mine"
    with pytest.raises(VtadaptError, match=re.escape("'other.YML' does not exist")):
        load_recipe("other.YML")
    Path("mine.txt").write_bytes(Path("mine.yaml").read_bytes())
    with pytest.raises(VtadaptError, match=r"mine\.txt: .*\.yaml or \.yml"):
        load_recipe("mine.txt")


def test_an_id_beyond_a_long_list_is_named(tmp_path: Path) -> None:
    OwnSet(tmp_path, many(300), None, ".npy").fill(npy, np.full(SHAPE, 300)).refused("label ids 300", "0..299")


@pytest.mark.parametrize(
    ("array", "how", "words"),
    [
        (np.where(IDS == 3, 255, IDS), None, ("label ids 255", "0..3", "'void'")),
        (IDS - 1, None, ("label ids -1", "'ids'")),
        (IDS * 10**12, {"ids": {0: "a", 10**12: "b"}}, ("label ids 2000000000000",)),
        (IDS, {"ids": {0: "a", 10**30: "b"}}, ("label ids 1, 2, 3",)),
        (IDS + 0.5, None, ("0.5",)),
        (np.eye(4)[IDS], None, ("(12, 16, 4)",)),
        (IDS[None], None, ("(1, 12, 16)",)),
        (IDS.astype(complex), None, ("complex128",)),
        (IDS.astype(str), None, ("<U",)),
    ],
)
def test_numbers_that_are_no_classes_are_named(
    tmp_path: Path, array: np.ndarray, how: dict | None, words: tuple[str, ...]
) -> None:
    own = OwnSet(tmp_path, FOUR, how, ".npy")
    own.picture("0.png")
    npy(own.label("0"), array)
    own.refused("0.npy", *words)


def test_ids_that_lie_far_apart(tmp_path: Path) -> None:
    how = {"ids": {0: "a", 10**12: "b", -(10**15): None}, "void": [7]}
    stored = np.array([0, 10**12, -(10**15), 7])[IDS]
    [found] = OwnSet(tmp_path, FOUR, how, ".npy").fill(npy, stored).found()
    np.testing.assert_array_equal(found, np.array([0, 1, 255, 255])[IDS])
