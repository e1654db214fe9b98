"""Distances, other quantities and normals of a user's own files: missing values, units, bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.data.formats.own import SHAPE, OwnSet
from tests.data.readers.folder.own_labels import DEPTH, IDS, NORMALS, image, npy, rgb16, tiff


def rgb_tiff(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array, photometric="rgb")


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
