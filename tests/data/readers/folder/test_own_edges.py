"""Boundaries of a user's own files: what means "edge", in every type, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.own import OwnSet
from tests.data.readers.folder.own_labels import DEPTH, EDGES, FOUR, IDS, LINES, NOWHERE, image, in_palette, npy


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


BLACK_AND_WHITE: list[Callable[[Path, np.ndarray], None]] = [
    _black_and_white,
    in_palette(0, 0, 0, 255, 255, 255, bits=1),
    in_palette(0, 0, 0, 255, 255, 255),
    lambda path, array: Image.fromarray(array * 255).convert("P").save(path),
]
"""Ways to write 0 and 1 as black and white in 8 bits or fewer."""


@pytest.mark.parametrize(
    "write",
    [
        *BLACK_AND_WHITE,
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


@pytest.mark.parametrize("write", BLACK_AND_WHITE)
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
