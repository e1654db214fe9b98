"""Vectors, distances and pictures out of arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.door import read_raster
from vtadapt.data.readers.raw.npy import read_npy
from vtadapt.data.readers.raw.raster import ARRAY, Raster
from vtadapt.digits import amount
from vtadapt.errors import DataError

LENGTHS = (0.8, 1.25)  # of unit vectors: resizing makes some shorter, but not half of them
MOST = 0.95  # share of unit vectors that have about that length; random ones coded as 0..1 do in 0.63 of all cases
UNCODED = "wanted length 1: x, y, z of -1..1, not coded as 0..255 or 0..1"
SHORTEST = 0.1  # vectors below this length are no direction: blends of a valid pixel and a missing one
ROUNDED = 0.004  # how far a float may lie beyond 0..1 by rounding (one step of 8 bits)


def one_channel(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """``array`` if it is (H, W), else a DataError that names ``path``."""
    if array.ndim != 2:
        raise DataError(f"{path}: holds an array of shape {array.shape}, wanted (H, W) or (H, W, 1)")
    return array


def read_float_rgb(path: Path) -> NDArray[np.uint8]:
    """A picture stored as floats 0..1 in ``.npy``, (H, W, 3), as uint8: 255 v, rounded.

    Raises:
        DataError: another shape, whole numbers, or values outside of 0..1; the message names the file.
    """
    array = read_npy(path)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind != "f" or not array.size:
        raise DataError(f"{path}: holds {array.dtype} {array.shape}, wanted a picture of floats 0..1, (H, W, 3)")
    low, high = float(array.min()), float(array.max())
    if not (low >= -ROUNDED and high <= 1 + ROUNDED):  # written so that NaN fails, too
        raise DataError(f"{path}: values from {low:g} to {high:g}, wanted a picture of floats 0..1")
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def read_vectors(path: Path, raster: Raster | None = None) -> NDArray[np.float32]:
    """Vectors (H, W, 3): floats as they are, RGB of 8 or 16 bits as 2 v / full - 1.

    Missing, and so zeros: black, transparent pixels, and grey in the middle of the scale; what is not finite, too.

    Args:
        path: the file.
        raster: its content, where it is known.

    Raises:
        DataError: other channels, or whole numbers that are no picture; as :func:`read_raster`.
    """
    found = read_raster(path) if raster is None else raster
    raw = found.array
    if found.mode in ("RGB", "RGBA") and found.full in (255, 65535):
        vectors = raw[..., :3].astype(np.float32) / np.float32(found.full / 2) - 1
        missing = (raw[..., :3] == 0).all(axis=-1) | (np.linalg.norm(vectors, axis=-1) <= SHORTEST)
        if found.mode == "RGBA":
            missing |= raw[..., 3] == 0
        vectors[missing] = 0
        return vectors
    if found.mode != ARRAY:
        raise DataError(f"{path}: picture of mode {found.mode}, wanted RGB normals of 8 or 16 bits")
    if raw.ndim != 3 or raw.shape[2] != 3 or raw.dtype.kind != "f":
        raise DataError(f"{path}: holds {raw.dtype} {raw.shape}, wanted normals of floats, (H, W, 3)")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        vectors = raw.astype(np.float32)
    vectors = np.where(np.isfinite(vectors).all(axis=-1, keepdims=True), vectors, np.float32(0))
    length = np.linalg.norm(vectors, axis=-1)
    need_unit(length, path)
    known = length[length > SHORTEST]
    if known.size and vectors.min() >= 0 and ((known > LENGTHS[0]) & (known < LENGTHS[1])).mean() < MOST:
        raise DataError(f"{path}: normals without a negative number and of many lengths, {UNCODED}")
    return vectors


def unit_vectors(vectors: NDArray[np.float32], flip: Sequence[str] = ()) -> NDArray[np.float32]:
    """Vectors of length 1, or 0 where they are shorter than 0.1.

    Args:
        vectors: (H, W, 3), zeros = missing.
        flip: axes (x, y, z) that point the other way in the file.
    """
    signs = np.array([-1 if axis in flip else 1 for axis in "xyz"], np.float32)
    vectors = vectors * signs
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > SHORTEST)


def need_unit(length: NDArray[np.float32], path: Path) -> None:
    """Raise a DataError where floats are no unit vectors, but coded as 0..255 or the like.

    Those of pictures are always coded, and JPEG changes their lengths; nothing can be told from these.

    Args:
        length: of the vectors; half of those above 0.1 must be near 1.
        path: the file.
    """
    known = length[length > SHORTEST]
    if known.size and not LENGTHS[0] < (middle := float(np.median(known))) < LENGTHS[1]:
        raise DataError(f"{path}: normals of length {amount(middle)} (median), {UNCODED}")


def metres(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Distances (H, W) as float32, 0 = missing (what is not finite, too).

    Raises:
        DataError: another shape or negative distances; the message names ``path``.
    """
    with np.errstate(over="ignore"):  # the largest double stands for "missing", too
        array = one_channel(array, path).astype(np.float32)
    array = np.where(np.isfinite(array), array, np.float32(0))
    if array.size and array.min() < 0:
        raise DataError(f"{path}: negative distance {amount(float(array.min()))}, wanted metres >= 0")
    return array
