"""Variables of MATLAB files of version 5, with a limit to what they may unpack to.

SciPy parses them in C, and some damaged ones crash it: so it does in a child process, which may die.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.child import run_in_child
from vtadapt.errors import DataError

HEADER, COMPRESSED = 128, 15  # bytes of the header; the type of a compressed element (MAT-file format, table 1-1)
LARGEST = 256 << 20  # bytes, packed and unpacked


def read_mat(path: Path, name: str, wanted: str, largest: int = LARGEST) -> NDArray[Any]:
    """Variable ``name`` of a MATLAB v5 file; reading one runs none of its code.

    Args:
        path: the file.
        name: the variable.
        wanted: what the file should be, for the message.
        largest: bytes that the file may have; what it unpacks to may have 256 MiB.

    Raises:
        DataError: missing, of another version, cut short, larger than that, or without that variable.
    """
    with _reading(path, wanted, largest) as seconds:
        value = run_in_child(_load, str(path), name, seconds=seconds)
    if not isinstance(value, np.ndarray):
        raise DataError(f"{path}: has no variable {name!r}, wanted {wanted}")
    return value


def names_in_mat(path: Path) -> list[str]:
    """Names of the variables of a MATLAB v5 file that hold numbers; DataError where it is none."""
    with _reading(path, "a map of numbers", LARGEST) as seconds:
        held = run_in_child(_list, str(path), seconds=seconds)
    return [name for name, _, kind in held if kind.startswith(("int", "uint", "single", "double", "logical"))]


def _load(path: str, name: str) -> Any:
    import scipy.io

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scipy warns of variables that come twice or cannot be read
        return scipy.io.loadmat(path, variable_names=[name], appendmat=False).get(name)


def _list(path: str) -> list[tuple[str, tuple[int, ...], str]]:
    import scipy.io

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held: list[tuple[str, tuple[int, ...], str]] = scipy.io.whosmat(path, appendmat=False)
    return held


@contextlib.contextmanager
def _reading(path: Path, wanted: str, largest: int) -> Iterator[float]:
    """Check the sizes of a file, and turn what scipy raises into a DataError that names it.

    Yields the seconds that reading it may take: some hundred times what it takes.
    """
    try:
        size = path.stat().st_size
        if size > largest:
            raise DataError(f"{path}: {size} bytes, wanted {wanted} (at most {largest} bytes)")
        _check_size(path.read_bytes(), path, wanted)
        yield 3 + size / (8 << 20)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except DataError:
        raise
    except Exception as error:  # scipy does not say what broken files raise: anything from zlib.error to TypeError
        raise DataError(f"{path}: not a whole MATLAB v5 file ({' '.join(str(error).split())[:120]})") from error


def read_number_map(path: Path, name: str, wanted: str) -> NDArray[Any]:
    """A variable that must be a map of numbers, (H, W); see :func:`read_mat`."""
    value = read_mat(path, name, wanted)
    if value.ndim != 2 or value.dtype.kind not in "biuf" or not value.size:
        raise DataError(f"{path}: {name} is {value.dtype} {value.shape}, wanted numbers of shape (H, W)")
    return value


def _check_size(data: bytes, path: Path, wanted: str) -> None:
    """Raise a DataError where the compressed elements unpack to more than the limit."""
    order = ">" if data[126:128] == b"MI" else "<"
    place, total = HEADER, 0
    while place + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if kind == COMPRESSED:
            rest, unpack = data[place + 8 : place + 8 + length], zlib.decompressobj()
            while rest and not unpack.eof and total <= LARGEST:
                total += len(unpack.decompress(rest, 1 << 20))
                rest = unpack.unconsumed_tail
        if total > LARGEST:
            raise DataError(f"{path}: unpacks to more than {LARGEST} bytes, wanted {wanted}")
        place += 8 + length
