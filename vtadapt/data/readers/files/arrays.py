"""Arrays of numbers from ``.npy`` files, read without pickle, and vectors and shares from arrays and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.base import decode, read_map
from vtadapt.errors import DataError

LENGTHS = (0.8, 1.25)  # of unit vectors: resizing makes some shorter, but not half of them
SHORTEST = 0.1  # vectors below this length are no direction: blends of a valid pixel and a missing one
ROUNDED = 0.004  # how far a float may lie beyond 0..1 by rounding (one step of 8 bits)


def read_npy(path: Path) -> NDArray[Any]:
    """The numbers of an ``.npy`` file, (H, W) or (H, W, C); a last axis of length 1 is dropped.

    Raises:
        DataError: missing, cut short, pickled objects, or no map of numbers; the message names the file.
    """
    try:
        array: Any = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:  # MemoryError: by the declared shape
        raise DataError(f"{path}: broken or unsafe .npy ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim not in (2, 3):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{path}: holds {found}, wanted numbers of shape (H, W) or (H, W, C)")
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def read_numbers(path: Path) -> NDArray[Any]:
    """A map of numbers from ``.npy`` or a single-channel picture, (H, W) or (H, W, C)."""
    return read_npy(path) if path.suffix == ".npy" else read_map(path)


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


def read_rgb_vectors(path: Path) -> NDArray[np.float32]:
    """Vectors of an 8-bit RGB picture: 2 v / 255 - 1, (H, W, 3); grey (127, 128) and black mean missing: zeros."""
    image = decode(path)
    if image.mode not in ("RGB", "RGBA"):
        raise DataError(f"{path}: picture of mode {image.mode}, wanted 8-bit RGB normals")
    raw = np.asarray(image.convert("RGB"))
    vectors = raw.astype(np.float32) / 127.5 - 1
    vectors[(raw == 128).all(axis=-1) | (raw == 127).all(axis=-1) | (raw == 0).all(axis=-1)] = 0
    return vectors


def unit_vectors(vectors: NDArray[Any], path: Path, flip: Sequence[str] = ()) -> NDArray[np.float32]:
    """Vectors of length 1, or 0 where they are shorter than 0.1 or not finite.

    Args:
        vectors: (H, W, 3), zeros = missing.
        path: the file, for the message.
        flip: axes (x, y, z) that point the other way in the file.

    Raises:
        DataError: another shape, whole numbers, or numbers of an ``.npy`` file that are no unit vectors.
    """
    if vectors.ndim != 3 or vectors.shape[2] != 3 or vectors.dtype.kind != "f":
        raise DataError(f"{path}: holds {vectors.dtype} {vectors.shape}, wanted normals of floats, (H, W, 3)")
    signs = np.array([-1 if axis in flip else 1 for axis in "xyz"], np.float32)
    vectors = vectors.astype(np.float32) * signs
    vectors = np.where(np.isfinite(vectors).all(axis=-1, keepdims=True), vectors, np.float32(0))
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    need_unit(length, path)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > SHORTEST)


def need_unit(length: NDArray[np.float32], path: Path) -> None:
    """Raise a DataError where the numbers of an ``.npy`` file are no unit vectors, but coded as 0..255 or the like.

    Those of pictures are always coded, and JPEG changes their lengths; nothing can be told from these.

    Args:
        length: of the vectors; half of those above 0.1 must be near 1.
        path: the file.
    """
    known = length[length > SHORTEST]
    if path.suffix == ".npy" and known.size and not LENGTHS[0] < (middle := float(np.median(known))) < LENGTHS[1]:
        raise DataError(
            f"{path}: normals of length {middle:.3g} (median), wanted 1: x, y, z of -1..1, not coded as 0..255 or 0..1"
        )


def metres(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Distances (H, W) as float32, 0 = missing (what is not finite, too).

    Raises:
        DataError: another shape or negative distances; the message names ``path``.
    """
    with np.errstate(over="ignore"):  # the largest double stands for "missing", too
        array = one_channel(array, path).astype(np.float32)
    array = np.where(np.isfinite(array), array, np.float32(0))
    if array.size and array.min() < 0:
        raise DataError(f"{path}: negative distance {float(array.min()):.3g}, wanted metres >= 0")
    return array


def shares(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Boundaries as float32 0..1, (H, W): whole numbers are divided by 255 unless they are only 0 and 1; NaN = missing.

    Raises:
        DataError: another shape, floats outside of 0..1, or whole numbers of more than 8 bits; it names ``path``.
    """
    array = one_channel(array, path)
    if array.dtype.kind in "iu" and array.size and int(array.max()) > 1:
        if array.min() < 0 or array.max() > 255:
            raise DataError(f"{path}: boundary values from {array.min()} to {array.max()}, wanted 0..255 (8 bits)")
        return (array / np.float32(255)).astype(np.float32)
    result = array.astype(np.float32)
    if not np.isnan(result).all() and (np.nanmin(result) < 0 or np.nanmax(result) > 1):
        raise DataError(f"{path}: boundary values from {np.nanmin(result):g} to {np.nanmax(result):g}, wanted 0..1")
    return result
