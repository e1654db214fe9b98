"""Rows of Parquet and Arrow files, read by pyarrow; and of the lists that lie in folders of pictures."""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import Any

from vtadapt import strict_json
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.errors import ConfigError, DataError

LISTS = ("metadata.jsonl", "metadata.csv")
KEPT = 3  # groups of rows that a process holds


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigError(
            "Parquet and Arrow files need pyarrow, which is not installed; pip install 'vtadapt[parquet]'"
        ) from error
    return pyarrow


def columns_of(path: Path) -> list[str]:
    """The names of a table's columns.

    Raises:
        DataError: it is broken.
        ConfigError: pyarrow is not installed.
    """
    if path.name in LISTS:
        return list(dict.fromkeys(key for row in _listed(path, _state(path)) for key in row))
    arrow = _pyarrow()
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return [str(name) for name in pq.read_schema(path).names]
        return [str(name) for name in _arrow(path, _state(path)).column_names]
    except (arrow.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def count_rows(path: Path) -> int:
    """How many rows a table has; errors as :func:`columns_of`."""
    if path.name in LISTS:
        return len(_listed(path, _state(path)))
    arrow = _pyarrow()
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return int(pq.read_metadata(path).num_rows)
        return int(_arrow(path, _state(path)).num_rows)
    except (arrow.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def read_cells(path: Path, row: int, columns: tuple[str, ...]) -> dict[str, Any]:
    """Some cells of a row; None where a cell is empty, or where there is no such column."""
    if path.name in LISTS:
        found = _listed(path, _state(path))[row]
        return {column: found.get(column) or None for column in columns}
    arrow = _pyarrow()
    there = tuple(column for column in columns if column in columns_of(path))
    try:
        if path.suffix == ".parquet":
            group, first = _group(path, row)
            table = _parquet(path, group, there, _state(path))
            return {column: table.column(column)[row - first].as_py() for column in there}
        table = _arrow(path, _state(path))
        return {column: table.column(column)[row].as_py() for column in there}
    except (arrow.ArrowException, OSError, IndexError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path}: broken table ({' '.join(str(error).split())[:120]})")


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: no such file") from error
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(KEPT)
def _arrow(path: Path, state: tuple[int, int]) -> Any:
    """A table of ``save_to_disk``: a stream, or a file, of record batches, which is not read but mapped."""
    import pyarrow as pa

    del state
    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source).read_all()


def _group(path: Path, row: int) -> tuple[int, int]:
    """The group of rows that a row of a Parquet file is in, and its first row."""
    first = 0
    for group, count in enumerate(_counts(path, _state(path))):
        if row < first + count:
            return group, first
        first += count
    raise IndexError(f"no row {row}")


@functools.lru_cache(64)
def _counts(path: Path, state: tuple[int, int]) -> tuple[int, ...]:
    import pyarrow.parquet as pq

    del state
    about = pq.read_metadata(path)
    return tuple(about.row_group(i).num_rows for i in range(about.num_row_groups))


@functools.lru_cache(KEPT)
def _parquet(path: Path, group: int, columns: tuple[str, ...], state: tuple[int, int]) -> Any:
    import pyarrow.parquet as pq

    del state
    return pq.ParquetFile(path).read_row_group(group, columns=list(columns))


@functools.lru_cache(KEPT)
def _listed(path: Path, state: tuple[int, int]) -> list[dict[str, Any]]:
    """The rows of a list of pictures."""
    del state
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: bytes that are not UTF-8") from error
    if path.suffix == ".csv":
        return [dict(row) for row in csv.DictReader(text.splitlines())]
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = strict_json.parse_json(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number}: no JSON ({' '.join(str(error).split())[:80]})") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number}: wanted an object with 'file_name'")
        rows.append(row)
    return rows
