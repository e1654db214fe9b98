"""Opens a pack's file, and says what its arrays must be: a file from elsewhere may declare anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vtadapt.data.hdf5 import dataset, has
from vtadapt.data.pack.blocks import Blocks, CheckedFile
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError

FORMAT = "vtadapt-pack"
VERSION = 1
MAX_PIXELS = 1 << 28  # of one sample: about 1 GB in memory, more than Pillow opens


def open_h5(path: Path, blocks: Blocks | None = None) -> tuple[h5py.File, CheckedFile | None]:
    """Open a pack's file for reading, and with ``blocks`` what compares it with them.

    Raises:
        DataError: it is missing, cut short, damaged or something else.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; prepare the data set again")
    source: CheckedFile | None = None
    try:
        source = None if blocks is None else CheckedFile(path, blocks)
        # A chunk is a sample: keeping it costs memory and saves nothing.
        file = h5py.File(path if source is None else source, "r", rdcc_nbytes=0)
        found = (file.attrs.get("format"), file.attrs.get("version"))
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a whole HDF5 file ({one_line(error)}); prepare the data set again") from error
    if source is not None and source.wrong:
        raise DataError(f"{path}: {source.wrong}; prepare the data set again")
    if found != (FORMAT, VERSION):
        file.close()
        raise DataError(
            f"{path}: found format {found[0]} {found[1]}, wanted {FORMAT} {VERSION}; prepare the data set again"
        )
    return file, source


def names_of(file: h5py.File, path: Path) -> list[str]:
    """Names of the samples; ``path`` is the file's."""
    data = dataset(file, "name", path)
    _need(path, data, data.ndim == 1 and h5py.check_string_dtype(data.dtype) is not None, "(N) strings")
    room = path.stat().st_size  # a name takes some bytes, so that no more can be there
    _need(path, data, len(data) <= room, f"at most {room} names in a file of so many bytes")
    return [str(name) for name in data.asstr()[()]]


def index_of(
    file: h5py.File, path: Path, tasks: Mapping[str, RecipeTask], count: int
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Height and width of each of the ``count`` samples, and per task which have a label; all arrays are checked.

    Raises:
        DataError: an array of another form than a pack's.
    """
    sizes = dataset(file, "size", path)
    _need(path, sizes, sizes.shape == (count, 2) and sizes.dtype.kind == "i", f"({count}, 2) whole numbers")
    found: NDArray[Any] = sizes[()]
    present = {}
    if count:
        image = dataset(file, "image", path)
        _need(path, image, image.dtype == np.uint8 and image.shape[3:] == (3,), "(N, H, W, 3) uint8")
        _need_room(path, image, found)
    for task, spec in tasks.items():
        if not has(file, f"present/{task}"):
            continue
        mask = dataset(file, f"present/{task}", path)
        _need(path, mask, mask.shape == (count,) and mask.dtype == bool, f"({count}) booleans")
        present[task] = mask[()]
        if present[task].any():
            label = dataset(file, f"labels/{task}", path)
            channels = spec.behaviour.planes(spec)
            wanted = spec.behaviour.storage(spec, label.dtype).dtype
            shape = () if channels == 1 else (channels,)
            form = f"(N, H, W{', C' * bool(shape)}) {wanted}"
            _need(path, label, label.dtype == wanted and label.shape[3:] == shape, form)
            _need_room(path, label, found[present[task]], count)
    return found, present


def _need_room(path: Path, data: h5py.Dataset, sizes: NDArray[Any], count: int | None = None) -> None:
    """Raise where an array cannot hold samples of these heights and widths, or one of them needs too much memory."""
    _need(path, data, data.ndim >= 3 and len(data) == (len(sizes) if count is None else count), "one element a sample")
    good = (sizes > 0).all() and (sizes <= data.shape[1:3]).all()
    _need(path, data, bool(good), f"samples of 1x1 to {data.shape[1]}x{data.shape[2]}, as it declares")
    pixels = int(sizes.astype(np.int64).prod(axis=1).max()) if len(sizes) else 0
    pixels = max(pixels, math.prod((data.chunks or (0,))[:3]))  # HDF5 reads whole chunks
    _need(path, data, pixels <= MAX_PIXELS, f"at most {MAX_PIXELS} pixels a sample")


def _need(path: Path, data: h5py.Dataset, good: bool, wanted: str) -> None:
    if not good:
        where = f"{path}: {data.name!r}"
        raise DataError(f"{where} is {data.dtype} of shape {data.shape}, wanted {wanted}; prepare the data set again")


def one_line(error: Exception) -> str:
    """What an error says, short."""
    return " ".join(str(error).split())[:200]
