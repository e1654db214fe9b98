"""Rows of Parquet and Arrow files, read by pyarrow in a child; and of the lists that lie in folders of pictures."""

from __future__ import annotations

import csv
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vtadapt import strict_json
from vtadapt.data.readers.columns import arrow
from vtadapt.data.readers.raw.child import ParserError, run_in_child
from vtadapt.data.readers.raw.picture import read_bytes
from vtadapt.errors import ConfigError, DataError

LISTS = ("metadata.jsonl", "metadata.csv")
KEPT = 3  # lists that a process holds


def columns_of(path: Path) -> list[str]:
    """The names of a table's columns.

    Raises:
        DataError: it is broken.
        ConfigError: pyarrow is not installed.
    """
    if path.name in LISTS:
        return list(dict.fromkeys(key for row in _listed(path, _state(path)) for key in row))
    return list(_asked(arrow.columns, path))


def count_rows(path: Path) -> int:
    """How many rows a table has; errors as :func:`columns_of`."""
    if path.name in LISTS:
        return len(_listed(path, _state(path)))
    count = int(_asked(arrow.rows, path))
    if count > path.stat().st_size:  # each has a picture
        raise _broken(path, f"{count} rows in {path.stat().st_size} bytes")
    return count


def read_cells(path: Path, row: int, columns: tuple[str, ...]) -> dict[str, Any]:
    """Some cells of a row; None where a cell is empty; errors as :func:`columns_of`."""
    if path.name in LISTS:
        found = _listed(path, _state(path))[row]
        return {column: found.get(column) or None for column in columns}
    return dict(_asked(arrow.cells, path, row, columns))


def _asked(function: Callable[..., Any], path: Path, *args: Any) -> Any:
    """What a function of ``arrow`` says of a table, in a process that may die: damaged ones crash pyarrow."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            "Parquet and Arrow files need pyarrow, which is not installed; pip install 'vtadapt[parquet]'"
        )
    state = _state(path)
    try:
        return run_in_child(function, str(path), state, *args, seconds=10 + state[1] / (20 << 20))
    except ParserError as error:
        raise _broken(path, error) from error


def _broken(path: Path, why: object) -> DataError:
    return DataError(f"{path}: broken table ({' '.join(str(why).split())[:120]})")


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: no such file") from error
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(KEPT)
def _listed(path: Path, state: tuple[int, int]) -> list[dict[str, Any]]:
    """The rows of a list of pictures."""
    del state
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: bytes that are not UTF-8") from error
    if path.suffix == ".csv":
        return _of_csv(path, text)
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


def _of_csv(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(text.splitlines())
    rows = []
    try:
        for row in reader:
            if None in row:  # where the csv module puts what is beyond the columns
                raise DataError(f"{path}: line {reader.line_num}: more cells than columns")
            rows.append(dict(row))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: no CSV ({error})") from error
    return rows
