"""Arrays of numbers from ``.npy``, ``.npz`` and MATLAB files, read without pickle."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.mat import LARGEST, names_in_mat, read_mat
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.errors import DataError


def load_array(path: Path, data: bytes, variable: str | None = None) -> NDArray[Any]:
    """The numbers of an ``.npy`` file, or of one array of an ``.npz`` or MATLAB v5 file, (H, W) or (H, W, C).

    A last axis of length 1 is dropped. Nothing is unpickled.

    Args:
        path: the file.
        data: its content.
        variable: which array, where there are several.

    Raises:
        DataError: cut short, pickled objects, several arrays, or no map of numbers; the message names the file.
    """
    if path.suffix.lower() == ".mat" or data.startswith(b"MATLAB 5.0"):
        array: Any = _of_mat(path, variable)
    else:
        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
            if isinstance(array, np.lib.npyio.NpzFile):
                array = _of_npz(array, path, variable)
        except DataError:
            raise
        except Exception as error:  # MemoryError by the declared shape, and whatever a broken header leads to
            raise DataError(f"{path}: broken or unsafe .npy ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim not in (2, 3):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{path}: holds {found}, wanted numbers of shape (H, W) or (H, W, C)")
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _of_npz(content: Any, path: Path, variable: str | None) -> NDArray[Any]:
    name = _chosen(list(content.files), variable, path)
    sizes = {info.filename: info.file_size for info in content.zip.infolist()}
    if sizes.get(f"{name}.npy", 0) > LARGEST:
        raise DataError(f"{path}: {name!r} unpacks to more than {LARGEST} bytes")
    array: NDArray[Any] = content[name]
    return array


def _of_mat(path: Path, variable: str | None) -> NDArray[Any]:
    names = [variable] if variable else names_in_mat(path)
    return read_mat(path, _chosen(names, variable, path), "a map of numbers")


def _chosen(names: Sequence[str], variable: str | None, path: Path) -> str:
    """The name of the array that is meant: the one asked for, or the only one."""
    if variable is None and len(names) == 1:
        return names[0]
    if variable in names:
        return str(variable)
    held = ", ".join(map(repr, names[:8])) or "nothing"
    wanted = "option 'variable' names one that is not there" if variable else "say which with option 'variable'"
    raise DataError(f"{path}: holds {held}; {wanted}")


def read_npy(path: Path) -> NDArray[Any]:
    """The numbers of an ``.npy`` file; see :func:`load_array`."""
    return load_array(path, read_bytes(path))
