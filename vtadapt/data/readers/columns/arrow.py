"""Parquet and Arrow files as pyarrow reads them; only the child that may die calls this (see ``tables``).

Of the files it trusts what they say of themselves: damaged ones end its process, or lead it into other memory.
"""

from __future__ import annotations

import functools
from typing import Any

State = tuple[int, int]
"""Time of change and bytes of a file: a file that changed is read again."""

KEPT = 3  # groups of rows that the process holds


def columns(path: str, state: State) -> list[str]:
    """The names of a table's columns."""
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq

        return [str(name) for name in pq.read_schema(path).names]
    return [str(name) for name in _arrow(path, state).column_names]


def rows(path: str, state: State) -> int:
    """How many rows a table has."""
    return sum(_counts(path, state)) if path.endswith(".parquet") else int(_arrow(path, state).num_rows)


def cells(path: str, state: State, row: int, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Those cells of a row whose columns there are."""
    there = tuple(column for column in wanted if column in columns(path, state))
    if path.endswith(".parquet"):
        group, first = _group(path, state, row)
        table, row = _parquet(path, group, there, state), row - first
    else:
        table = _arrow(path, state)
    return {column: table.column(column)[row].as_py() for column in there}


@functools.lru_cache(KEPT)
def _arrow(path: str, state: State) -> Any:
    """A table of ``save_to_disk``: a stream, or a file, of record batches, which is not read but mapped."""
    import pyarrow as pa

    del state
    source = pa.memory_map(path)
    try:
        table = pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_file(source).read_all()
    table.validate(full=True)  # places that lead out of the file, which reading does not look at
    return table


def _group(path: str, state: State, row: int) -> tuple[int, int]:
    """The group of rows that a row of a Parquet file is in, and its first row."""
    first = 0
    for group, count in enumerate(_counts(path, state)):
        if row < first + count:
            return group, first
        first += count
    raise IndexError(f"no row {row}")


@functools.lru_cache(64)
def _counts(path: str, state: State) -> tuple[int, ...]:
    import pyarrow.parquet as pq

    del state
    about = pq.read_metadata(path)
    counts = tuple(about.row_group(i).num_rows for i in range(about.num_row_groups))
    if min(counts, default=0) < 0 or sum(counts) != about.num_rows:
        raise ValueError(f"{about.num_rows} rows, in its groups {sum(counts)}")
    return counts


@functools.lru_cache(KEPT)
def _parquet(path: str, group: int, wanted: tuple[str, ...], state: State) -> Any:
    import pyarrow.parquet as pq

    del state
    table = pq.ParquetFile(path).read_row_group(group, columns=list(wanted))
    table.validate(full=True)
    return table
