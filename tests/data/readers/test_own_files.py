"""What people's label files hold, by kind: each becomes the right value, or is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.data.formats.own import SHAPE, OwnSet
from tests.data.formats.written import VOC, chunk, palette, png
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import VtadaptError
from vtadapt.tasks.class_ids import RESERVED

EDGES, DEPTH, NORMALS = {"kind": "boundary"}, {"kind": "regression", "units": "m"}, {"kind": "unit_vector"}
FOUR = {"kind": "classes", "classes": ["a", "b", "c", "d"]}
IDS = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 4
LINES = (IDS == 3).astype(np.uint8)
COLOURS = [[0, 0, 0], [255, 0, 0], [0, 128, 7], [128, 128, 128]]
NOWHERE = np.zeros(SHAPE, np.uint8)


def image(path: Path, array: np.ndarray, **options: object) -> None:
    Image.fromarray(array).save(path, **options)


def npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save would add a suffix to ".NPY"
        np.save(file, array)


def tiff(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array)


def rgb_tiff(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array, photometric="rgb")


def rgb16(path: Path, array: np.ndarray) -> None:
    assert cv2.imwrite(str(path), array[..., ::-1].astype(np.uint16))


def in_palette(*colours: int, bits: int = 8) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, array: np.ndarray) -> None:
        path.write_bytes(png(bits, 3, array, palette(list(colours))))

    return write


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


def test_millimetres_that_are_no_depth_are_kept(tmp_path: Path) -> None:
    rain = {"kind": "regression", "units": "mm", "distance": False}
    [found] = OwnSet(tmp_path, rain).fill(image, IDS.astype(np.uint16)).found()
    np.testing.assert_array_equal(found, IDS)


BEYOND = np.where(IDS == 3, 65.535, IDS + 1.5)


@pytest.mark.parametrize(
    ("array", "missing"),
    [
        (BEYOND.astype(np.float16), [65.535]),
        (BEYOND.astype(np.float32), [65.535]),
        (BEYOND, [65.535]),
        (BEYOND.astype(np.float32).astype(np.float64), [65.535]),  # as numpy makes of a file of float32
        (BEYOND.astype(">f4"), [65.535, -1]),
        (np.where(IDS == 3, np.nan, IDS + 1.5), [float("nan")]),
        (np.where(IDS == 3, np.nan, IDS + 1.5), []),
        (np.where(IDS == 3, -np.inf, IDS + 1.5), []),
        (np.where(IDS == 3, -9999, IDS + 1.5).astype(np.float32), [-1, -9999]),
        (np.where(IDS == 3, 1e10, IDS + 1.5).astype(np.float32), [1e10]),
    ],
)
def test_missing_values_of_floats(tmp_path: Path, array: np.ndarray, missing: list[float]) -> None:
    for suffix, write in ((".npy", npy), (".tif", tiff)):
        [found] = OwnSet(tmp_path / suffix, DEPTH, {"missing": missing}, suffix).fill(write, array).found()
        np.testing.assert_array_equal(found, np.where(IDS == 3, 0, IDS + 1.5))


def test_missing_values_of_whole_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    stored = np.where(IDS == 3, 65535, 1000 * IDS + 500).astype(np.uint16)
    metres = {"factor": 0.001, "missing": [65.535]}
    OwnSet(tmp_path / "metres", DEPTH, metres).fill(image, stored).refused("0.png", "65.535", "uint16", "'factor'")
    own = OwnSet(tmp_path / "stored", DEPTH, {"factor": 0.001, "missing": [65535, -1]}).fill(image, stored)
    np.testing.assert_allclose(own.found()[0], np.where(IDS == 3, 0, IDS + 0.5), rtol=1e-6)
    below = OwnSet(tmp_path / "below", DEPTH, {"missing": [-1]}, ".tif")
    np.testing.assert_array_equal(below.fill(tiff, IDS.astype(np.int16) - 1).found()[0], np.maximum(IDS - 1, 0))
    OwnSet(tmp_path / "unsaid", DEPTH, None, ".tif").fill(tiff, IDS.astype(np.int16) - 1).refused("negative distance")


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64, np.float16, ">f8"]
)
def test_edges_of_0_and_1_in_any_type(tmp_path: Path, dtype: str) -> None:
    for suffix in (".npy", ".NPY"):
        [found, empty] = OwnSet(tmp_path / suffix, EDGES, None, suffix).fill(npy, LINES.astype(dtype), NOWHERE).found()
        np.testing.assert_array_equal(found, LINES)
        assert not empty.any()


def _black_and_white(path: Path, array: np.ndarray) -> None:
    image(path, array * 255)


@pytest.mark.parametrize(
    "write",
    [
        _black_and_white,
        in_palette(0, 0, 0, 255, 255, 255, bits=1),
        in_palette(0, 0, 0, 255, 255, 255),
        lambda path, array: Image.fromarray(array * 255).convert("P").save(path),
        lambda path, array: Image.fromarray(array.astype(bool)).save(path),
        lambda path, array: image(path, np.stack([array * 255, np.full_like(array, 255)], axis=-1)),
        lambda path, array: image(path, array.astype(np.uint16) * 65535),
        lambda path, array: image(path, array.astype(np.uint16) * 255),
        lambda path, array: image(path, array.astype(np.uint16)),
    ],
)
def test_edges_in_black_and_white(tmp_path: Path, write: Callable[[Path, np.ndarray], None]) -> None:
    [found] = OwnSet(tmp_path, EDGES).fill(write, LINES).found()
    np.testing.assert_array_equal(found, LINES)


@pytest.mark.parametrize(
    ("suffix", "write", "array", "words"),
    [
        (".png", in_palette(255, 255, 255, 0, 0, 0, bits=1), LINES, ("'read: stored'", "'read: grey'")),
        (".png", image, LINES * 128, ("128", "255", "'scale: 128'")),
        (".npy", npy, LINES * 255.0, ("255", "'scale'", "'threshold'")),
        (".npy", npy, LINES.astype(np.int64) - 1, ("-1", "'missing: [-1]'")),
        (".npy", npy, LINES.astype(np.uint64) << np.uint64(63), (str(2**63), "'scale: ")),
        (".png", image, np.stack([LINES * 255] * 3, axis=-1), ("equal", "'read: grey'")),
        (".png", image, np.where(IDS == 2, 255, LINES).astype(np.uint8), ("'missing: [255]'", "'scale: 255'")),
    ],
)
def test_edges_with_two_readings(
    tmp_path: Path, suffix: str, write: Callable[[Path, np.ndarray], None], array: np.ndarray, words: tuple[str, ...]
) -> None:
    OwnSet(tmp_path, EDGES, None, suffix).fill(write, array).refused("labels/0", *words)


@pytest.mark.parametrize(
    ("dtype", "top", "other"),
    [
        (np.int8, 100, 127),
        (np.int8, 127, None),
        (np.int16, 200, 255),
        (np.int16, 300, 32767),
        (np.uint32, 300, 65535),
        (np.uint32, 70_000, 2**32 - 1),
        (np.uint32, 2**32 - 1, None),
        (np.uint64, 2**63, 2**64 - 1),
    ],
)
def test_only_what_the_type_holds_is_offered_as_a_whole_edge(
    tmp_path: Path, dtype: type, top: int, other: int | None
) -> None:
    own = OwnSet(tmp_path, EDGES, None, ".npy").fill(npy, np.where(LINES > 0, dtype(top), dtype(0)))
    offered = [int(number) for number in re.findall(r"'scale: (\d+)'", own.refused("labels/0"))]
    assert offered == [top] + ([] if other is None else [other])


@pytest.mark.parametrize(
    "write",
    [
        _black_and_white,
        in_palette(0, 0, 0, 255, 255, 255, bits=1),
        in_palette(0, 0, 0, 255, 255, 255),
        lambda path, array: Image.fromarray(array * 255).convert("P").save(path),
    ],
)
@pytest.mark.parametrize("threshold", [0, 1, 127])
def test_black_and_white_lie_on_either_side_of_a_threshold(
    tmp_path: Path, write: Callable[[Path, np.ndarray], None], threshold: float
) -> None:
    [found] = OwnSet(tmp_path, EDGES, {"threshold": threshold}).fill(write, LINES).found()
    np.testing.assert_array_equal(found, LINES)


@pytest.mark.parametrize(
    ("suffix", "write", "array", "how"),
    [
        (".png", image, LINES.astype(bool), {"threshold": 1}),
        (".png", image, LINES.astype(bool), {"threshold": 127}),
        (".npy", npy, LINES.astype(bool), {"threshold": 127}),
        (".png", image, LINES, {"threshold": 127}),
        (".png", image, LINES * 255, {"threshold": 255}),
        (".npy", npy, LINES * 0.25, {"threshold": 0.5}),
        (".png", in_palette(0, 0, 0, 255, 255, 255), LINES, {"threshold": 127, "read": "stored"}),
        (".png", image, LINES, {"scale": 255}),
        (".npy", npy, LINES.astype(np.float32), {"scale": 255}),
    ],
)
def test_a_number_that_no_edge_gets_near_is_refused(
    tmp_path: Path, suffix: str, write: Callable[[Path, np.ndarray], None], array: np.ndarray, how: dict
) -> None:
    [(key, number)] = [(key, how[key]) for key in ("threshold", "scale") if key in how]
    own = OwnSet(tmp_path, EDGES, how, suffix).fill(write, array, np.zeros_like(array))
    own.refused(f"labels/0{suffix}", f"'{key}: {number:g}'", "options.labels.x")


def test_one_file_of_a_set_shows_that_a_number_can_be_meant(tmp_path: Path) -> None:
    weak, whole = LINES, LINES * 255
    found = OwnSet(tmp_path / "t", EDGES, {"threshold": 127}).fill(image, *[weak] * 17, whole).found()
    assert sum(int(label.sum()) for label in found) == LINES.sum()
    found = OwnSet(tmp_path / "s", EDGES, {"scale": 255}).fill(image, weak, whole).found()
    np.testing.assert_allclose([label.max() for label in found], [1 / 255, 1], atol=1e-4)


def test_a_colour_that_no_pixel_has_does_not_make_grey_strengths_indices(tmp_path: Path) -> None:
    write = in_palette(*[0] * 3, *[128] * 3, *[255] * 3, 255, 0, 0)
    OwnSet(tmp_path / "edges", EDGES).fill(write, IDS.clip(max=1)).refused("'read: stored'", "'read: grey'")
    OwnSet(tmp_path / "depth", DEPTH).fill(write, IDS.clip(max=2)).refused("'read: stored'", "'read: grey'")
    grey = OwnSet(tmp_path / "grey", EDGES, {"read": "grey"}).fill(write, IDS.clip(max=2)).found()[0]
    np.testing.assert_allclose(grey, np.array([0, 128 / 255, 1, 1])[IDS], atol=1e-4)
    # A palette of classes has greys, too, and a picture may have none but these.
    np.testing.assert_array_equal(
        OwnSet(tmp_path / "ids", FOUR).fill(write, IDS.clip(max=2)).found()[0], IDS.clip(max=2)
    )


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"threshold": 0.5}, [0, 0, 1, 255]),
        ({"threshold": 0}, [0, 1, 1, 255]),
        ({"threshold": -1}, [1, 1, 1, 255]),
        ({"threshold": 0.5, "missing": [0.25]}, [0, 255, 1, 255]),
    ],
)
def test_what_is_missing_stays_so_under_a_threshold(tmp_path: Path, how: dict, wanted: list[int]) -> None:
    strengths = np.array([0, 0.25, 1, np.nan])[IDS]
    for dtype in (np.float16, np.float32, np.float64):
        own = OwnSet(tmp_path / np.dtype(dtype).name, EDGES, how, ".npy").fill(npy, strengths.astype(dtype))
        np.testing.assert_array_equal(own.found()[0], np.array(wanted)[IDS])


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


def _directions() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(*SHAPE, 3))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("suffix", "write", "tolerance"),
    [
        (".png", lambda path, v: image(path, np.rint((v + 1) * 127.5).astype(np.uint8)), 0.01),
        (".png", lambda path, v: rgb16(path, np.rint((v + 1) * 32767.5)), 0.001),
        (".tif", lambda path, v: rgb_tiff(path, np.rint((v + 1) * 32767.5).astype(np.uint16)), 0.001),
        (".tif", lambda path, v: rgb_tiff(path, v.astype(np.float32)), 0.001),
        (".npy", npy, 0.001),
        (".npy", lambda path, v: npy(path, v.astype(np.float16)), 0.002),
    ],
)
def test_normals_keep_their_bits(
    tmp_path: Path, suffix: str, write: Callable[[Path, np.ndarray], None], tolerance: float
) -> None:
    vectors = _directions()
    [found] = OwnSet(tmp_path, NORMALS, None, suffix).fill(write, vectors).found()
    np.testing.assert_allclose(found, vectors, atol=tolerance)


@pytest.mark.parametrize(
    "write",
    [
        lambda path, v: npy(path, np.rint((v + 1) * 127.5).astype(np.uint8)),
        lambda path, v: npy(path, (v + 1) / 2),
        lambda path, v: npy(path, np.moveaxis(v, -1, 0)),
        lambda path, v: npy(path, v * 127.5 + 127.5),
    ],
)
def test_arrays_that_are_no_normals_are_refused(tmp_path: Path, write: Callable[[Path, np.ndarray], None]) -> None:
    OwnSet(tmp_path, NORMALS, None, ".npy").fill(write, _directions()).refused("0.npy")


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
