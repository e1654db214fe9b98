"""Hugging Face data sets on disk: which column holds the pictures, and what the others are labels of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from vtadapt.data.guess.contents import SAMPLES, Content, content_of, hint_in
from vtadapt.data.guess.document import Look, only_name_each
from vtadapt.data.guess.files import spread_over
from vtadapt.data.guess.layout import picture_sizes
from vtadapt.data.guess.splits import by_shares, named, spellings
from vtadapt.data.guess.tasks import TaskGuess, of_pictures
from vtadapt.data.readers.columns.cells import cell_bytes, cell_raster
from vtadapt.data.readers.columns.huggingface import FILE_NAME, is_of, is_table
from vtadapt.data.readers.columns.tables import LISTS, columns_of, count_rows, read_cells
from vtadapt.data.readers.raw.raster import Raster
from vtadapt.errors import DataError
from vtadapt.strict_json import StrictJsonError, parse_json

SIZES = 60  # pictures whose size is looked at
Cell = tuple[Path, Path, Any]
"""A cell: its table, how messages name it, and what is in it."""


def look_at_tables(root: Path, files: Sequence[PurePosixPath]) -> Look | None:
    """What the tables of a folder hold; None where there are none, or only lists that name no labels.

    Raises:
        DataError: tables without pictures, without labels, or broken.
        ConfigError: pyarrow is not installed.
    """
    tables = [path for path in files if is_table(path)]
    if not tables:
        return None
    rows = {table: count_rows(root / table) for table in tables}
    cells = _samples(root, rows, SIZES)
    contents = {column: found for column, of in cells.items() if (found := _content(column, of)) is not None}
    image = next((c for c in (FILE_NAME, "image", *contents) if c in contents and contents[c].kind == "photo"), None)
    guesses = [] if image is None else _tasks(root, files, contents, image)
    if image is None or not guesses:
        if all(table.name in LISTS for table in tables):
            return None  # captions of a folder of pictures: their labels may lie beside them
        what = "a column of pictures" if image is None else f"a column of labels beside {image!r}"
        raise DataError(f"{root}: {len(tables)} tables with columns {', '.join(cells)}, and not one that is {what}")
    options: dict[str, Any] = {"image": "image" if image == FILE_NAME else image}
    splits, asked = _splits(root, tables, sum(rows.values()), options)
    sizes = picture_sizes(BytesIO(cell_bytes(cell, table, where)) for table, where, cell in cells[image])
    said = f"pictures: {sum(rows.values())} rows of {len(tables)} tables, column {image!r}"
    left = [column for column in cells if column != image and column not in {g.labels["column"] for g in guesses}]
    notes = [f"columns that are no labels of pixels, left out: {', '.join(left)}"] if left else []
    return Look("huggingface", said, guesses, splits, asked, sizes, options, notes)


def _samples(root: Path, rows: Mapping[PurePosixPath, int], most: int) -> dict[str, list[Cell]]:
    """Some cells of each column, evenly over the tables; empty ones are left out."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for path, row in spread_over(list(_places(rows)), most):
        table = root / path
        columns = columns_of(table)
        for column, cell in read_cells(table, row, tuple(columns)).items():
            if cell is not None:
                found[column].append((table, Path(f"{table}: row {row}, {column}"), cell))
    return dict(found)


def _places(rows: Mapping[PurePosixPath, int]) -> Iterator[tuple[PurePosixPath, int]]:
    """Table and row of at most :data:`SIZES` rows of each table."""
    for path, count in rows.items():
        yield from ((path, row) for row in spread_over(range(count), SIZES))


def _content(column: str, cells: Sequence[Cell]) -> Content | None:
    """What a column holds; None where that is no pictures or arrays."""
    rasters: list[Raster] = []
    for table, where, cell in spread_over(cells, SAMPLES):
        if not isinstance(cell, list | dict | bytes | str):
            return None
        try:
            raster = cell_raster(cell, table, where)
        except (DataError, MemoryError):
            continue
        if raster.array.ndim >= 2:
            rasters.append(raster)
    return content_of(rasters, hint_in(column) or ("photo" if column == FILE_NAME else "")) if rasters else None


def _tasks(root: Path, files: Sequence[PurePosixPath], contents: Mapping[str, Content], image: str) -> list[TaskGuess]:
    """A task of each column that is one."""
    guesses = []
    for column, content in contents.items():
        if column != image and (guess := of_pictures(content, "", column, hint_in(column), {})) is not None:
            guess.labels = {"column": column, **{key: of for key, of in guess.labels.items() if key != "files"}}
            guess.found = f"column {column!r}{guess.found}"
            _call(guess, _names(root, files))
            guesses.append(guess)
    only_name_each(guesses)
    return guesses


def _names(root: Path, files: Sequence[PurePosixPath]) -> dict[int, str]:
    """Names of numbers, of the ``id2label.json`` that such data sets have beside them."""
    for path in (path for path in files if path.name.lower().startswith("id2label") and path.suffix == ".json"):
        try:
            content = parse_json((root / path).read_text(encoding="utf-8"))
            return {int(number): str(name) for number, name in content.items()}
        except (OSError, UnicodeDecodeError, StrictJsonError, AttributeError, ValueError):
            continue
    return {}


def _call(guess: TaskGuess, names: Mapping[int, str]) -> None:
    """Give classes their names, where all that were seen have one of their own."""
    ids: Mapping[int, str] = guess.labels.get("ids", dict(enumerate(guess.task.get("classes", ()))))
    called = {f"class_{number}": names.get(number, "") for number in ids}
    if not ids or not all(called.values()) or len({*names.values()}) < len(names):
        return
    void = set(guess.labels.get("void", ()))
    guess.task["classes"] = [name for number, name in sorted(names.items()) if number not in void]
    guess.labels["ids"] = {number: name for number, name in sorted(names.items()) if number not in void}
    guess.task.pop("colours", None)
    guess.questions = ["classes are called as id2label.json says", *guess.questions[1:]]


def _splits(
    root: Path, tables: Sequence[PurePosixPath], rows: int, options: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Names of the splits, and what to ask; ``options`` get what divides the rows."""
    words = [word for word in spellings() if any(is_of(table, word) for table in tables)]
    if len(words) > 1:
        return named(words, options, "tables")
    if rows < 2:
        raise DataError(f"{root}: one row; wanted at least two, one to train on and one to measure on")
    return by_shares(options)
