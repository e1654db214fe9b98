"""A cell of a table: a picture's bytes, a path beside the table, or nested lists of numbers."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vtadapt.data.readers.raw.door import read_raster
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.data.readers.raw.raster import ARRAY, Raster, full_of
from vtadapt.errors import DataError


def cell_bytes(cell: Any, table: Path, where: Path) -> bytes:
    """The content of a picture's cell: bytes, a path beside the table, or both.

    Args:
        cell: as pyarrow gives it.
        table: its file.
        where: how messages name the cell.

    Raises:
        DataError: none of these, or a path out of the data set.
    """
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return cell
    if not isinstance(cell, str) or not cell:
        raise DataError(f"{where}: no picture in it")
    path = PurePosixPath(cell.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: a path out of the data set, {cell!r}; wanted one beside the table")
    return read_bytes(table.parent / path)


def cell_raster(cell: Any, table: Path, where: Path, variable: str | None = None) -> Raster:
    """The samples of a cell; arguments and errors as of :func:`cell_bytes`, and what ``read_raster`` refuses."""
    if not isinstance(cell, list):
        return read_raster(where, variable, cell_bytes(cell, table, where))
    try:
        array = np.asarray(cell)
    except ValueError as error:
        raise DataError(f"{where}: lists of several lengths, wanted an array") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: {array.dtype}, wanted numbers")
    return Raster(array, ARRAY, full_of(array.dtype), "array")
