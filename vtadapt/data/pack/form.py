"""What the arrays of a pack's file must be, told from what they declare: a file from elsewhere may declare anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError

MAX_PIXELS = 1 << 28  # of one sample: about 1 GB in memory, more than Pillow opens


def dataset(file: h5py.File, key: str) -> h5py.Dataset:
    """A dataset that lies in this file; DataError for anything that leads out of it."""
    data = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual or data.file.filename != file.filename:
        raise DataError(f"{file.filename}: {key!r} is not a dataset inside this file; prepare the data set again")
    return data


def names_of(file: h5py.File) -> list[str]:
    """Names of the samples."""
    data = dataset(file, "name")
    _need(data, data.ndim == 1 and h5py.check_string_dtype(data.dtype) is not None, "(N) strings")
    room = Path(file.filename).stat().st_size  # a name takes some bytes, so that no more can be there
    _need(data, len(data) <= room, f"at most {room} names in a file of so many bytes")
    return [str(name) for name in data.asstr()[()]]


def index_of(file: h5py.File, tasks: Mapping[str, RecipeTask], count: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """Height and width of each of the ``count`` samples, and per task which have a label; all arrays are checked.

    Raises:
        DataError: an array of another form than a pack's.
    """
    sizes = dataset(file, "size")
    _need(sizes, sizes.shape == (count, 2) and sizes.dtype.kind == "i", f"({count}, 2) whole numbers")
    found: NDArray[Any] = sizes[()]
    present = {}
    if count:
        image = dataset(file, "image")
        _need(image, image.dtype == np.uint8 and image.shape[3:] == (3,), "(N, H, W, 3) uint8")
        _need_room(image, found)
    for task, spec in tasks.items():
        if f"present/{task}" not in file:
            continue
        mask = dataset(file, f"present/{task}")
        _need(mask, mask.shape == (count,) and mask.dtype == bool, f"({count}) booleans")
        present[task] = mask[()]
        if present[task].any():
            label = dataset(file, f"labels/{task}")
            channels = spec.behaviour.planes(spec)
            wanted = spec.behaviour.storage(spec, label.dtype).dtype
            shape = () if channels == 1 else (channels,)
            _need(label, label.dtype == wanted and label.shape[3:] == shape, f"(N, H, W{', C' * bool(shape)}) {wanted}")
            _need_room(label, found[present[task]], count)
    return found, present


def _need_room(data: h5py.Dataset, sizes: NDArray[Any], count: int | None = None) -> None:
    """Raise where an array cannot hold samples of these heights and widths, or one of them needs too much memory."""
    _need(data, data.ndim >= 3 and len(data) == (len(sizes) if count is None else count), "one element a sample")
    good = (sizes > 0).all() and (sizes <= data.shape[1:3]).all()
    _need(data, bool(good), f"samples of 1x1 to {data.shape[1]}x{data.shape[2]}, as it declares")
    pixels = int(sizes.astype(np.int64).prod(axis=1).max()) if len(sizes) else 0
    pixels = max(pixels, math.prod((data.chunks or (0,))[:3]))  # HDF5 reads whole chunks
    _need(data, pixels <= MAX_PIXELS, f"at most {MAX_PIXELS} pixels a sample")


def _need(data: h5py.Dataset, good: bool, wanted: str) -> None:
    if not good:
        where = f"{data.file.filename}: {data.name!r}"
        raise DataError(f"{where} is {data.dtype} of shape {data.shape}, wanted {wanted}; prepare the data set again")
