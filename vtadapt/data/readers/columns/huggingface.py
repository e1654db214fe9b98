"""Hugging Face data sets on disk: Parquet files, what ``save_to_disk`` wrote, or a folder of pictures with a list.

Example of a recipe::

    reader: huggingface
    splits: [train, val]
    tasks:
      semseg: {kind: classes, classes: [wall, building, sky]}
      depth: {kind: regression, units: m}
    options:
      image: image                                   # the column of pictures
      labels:
        semseg: {column: annotation, void: [255]}    # all else as for the reader folder, but for files and format
        depth: {column: depth, factor: 0.001}
      split_names: {val: validation}                 # what the files call a split
      split: {fractions: {train: 0.9, val: 0.1}}     # where all rows are in one

Files of a split are ``SPLIT/*.parquet`` (or ``.arrow``), ``SPLIT-00000-of-00001.parquet``, ``SPLIT.parquet``; in a
folder of pictures ``metadata.jsonl`` or ``metadata.csv`` in the folder SPLIT, whose ``file_name`` is the picture and
whose other columns of file names are labels. A cell is a picture's bytes, or a path beside the table, or nested lists
of numbers. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions, need_folder, same_size
from vtadapt.data.readers.columns.cells import cell_bytes, cell_raster
from vtadapt.data.readers.columns.tables import LISTS, columns_of, count_rows, read_cells
from vtadapt.data.readers.folder.consistency import check_labels
from vtadapt.data.readers.folder.label_files import LabelFiles
from vtadapt.data.readers.folder.labels import READ, Labelling
from vtadapt.data.readers.folder.options import Splitting
from vtadapt.data.readers.folder.splitting import share
from vtadapt.data.readers.raw.picture import turned
from vtadapt.data.readers.raw.raster import need_upright
from vtadapt.data.readers.raw.rgb import read_picture
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, DataError, near_matches

SUFFIXES = (".parquet", ".arrow")
FILE_NAME = "file_name"


class Column(LabelFiles):
    """The column that holds a task's labels, and how their numbers are to be read, see ``LabelFiles``."""

    files: str = "{path}"
    column: str

    @model_validator(mode="after")
    def _no_files(self) -> Self:
        if odd := {"files", "format"} & self.model_fields_set:
            raise ValueError(f"{min(odd)!r} is for the reader folder; here 'column' names the labels")
        return self


class HuggingFaceOptions(ReaderOptions):
    """See the module's page."""

    image: str = "image"
    labels: dict[str, Column] = Field(default_factory=dict)
    split: Splitting | None = None
    split_names: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _by_shares(self) -> Self:
        if self.split is not None and self.split.fractions is None:
            raise ValueError("'split' wants 'fractions' here; splits of their own are told by the names of files")
        return self


class HuggingFace(Reader):
    """See the module's page."""

    Options = HuggingFaceOptions

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(recipe, size, tasks)
        check_labels(recipe, self.options)

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per row of the split's tables."""
        root = need_folder(source, "tables of a Hugging Face data set (.parquet, .arrow, metadata.jsonl)")
        tables = self._tables(root, split)
        if not tables and split in self.options.optional_splits:
            return []
        if not tables:
            called = self.options.split_names.get(split, split)
            raise DataError(
                f"{root}: no table of split {split!r}; wanted {called}/*.parquet, {called}-*.parquet, {called}/*.arrow "
                f"or {called}/metadata.jsonl ('split_names: {{{split}: NAME}}' in options for another name)"
            )
        items: list[Item] = []
        for table in tables:
            self._need_columns(table)
            stem = table.parent.relative_to(root).joinpath(table.stem).as_posix()
            paths = {"image": table, **{task: table for task in self.options.labels if task in self.wanted}}
            items += [Item(f"{stem}/{row:06d}", paths, index=row) for row in range(count_rows(table))]
        how = self.options.split
        if how is None:
            return items
        if split not in how.fractions:
            raise ConfigError(f"recipe {self.recipe.name!r}: options.split.fractions has no split {split!r}")
        by_name = {item.name: item for item in items}
        return [by_name[name] for name in share(list(by_name), how.fractions, split, how.seed)]

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that the row has, upright."""
        table, row = item.paths["image"], item.index or 0
        tasks = [task for task in self.options.labels if task in item.paths]
        image_column = self._image_column(table)
        columns = (image_column, *(self.options.labels[task].column for task in tasks))
        cells = read_cells(table, row, columns)
        where = Path(f"{table}: row {row}, {image_column}")
        stored, orientation = read_picture(where, cell_bytes(cells.get(image_column), table, where))
        result: Arrays = {"image": turned(stored, orientation)}
        for task in tasks:
            how = self.options.labels[task]
            shown = Path(f"{table}: row {row}, {how.column}")
            if (cell := cells.get(how.column)) is None:
                continue
            label = self._label(task, cell, table, shown)
            self.need_clear_orientation(where, orientation, label.shape[:2], "save it upright, without that tag")
            same_size(shown, label, result["image"])
            result[task] = label
        return result

    def _label(self, task: str, cell: Any, table: Path, where: Path) -> NDArray[Any]:
        spec, how = self.recipe.tasks[task], self.options.labels[task]
        given = Labelling(task, spec, how, self.recipe.label_set(task))
        raster = cell_raster(cell, table, where, how.variable)
        need_upright(raster, where)
        return READ[spec.behaviour.file_form](raster, where, given)

    def _image_column(self, table: Path) -> str:
        return FILE_NAME if table.name in LISTS and self.options.image == "image" else str(self.options.image)

    def _need_columns(self, table: Path) -> None:
        there = columns_of(table)
        labels = self.options.labels
        for column in (self._image_column(table), *(labels[task].column for task in labels if task in self.wanted)):
            if column not in there:
                hint = near_matches(column, there)
                raise DataError(f"{table}: no column {column!r}.{hint} It has {', '.join(there)}")

    def _tables(self, root: Path, split: str) -> list[Path]:
        """The tables of a split; of all rows where the recipe divides them."""
        every = [path for path in sorted(root.rglob("*")) if is_table(path)]
        every = [path for path in every if not any(part.startswith(".") for part in path.relative_to(root).parts)]
        if self.options.split is not None:
            return every
        called = self.options.split_names.get(split, split)
        return [path for path in every if is_of(path.relative_to(root), called)]


def is_table(path: PurePath) -> bool:
    """Whether a file is one that this reader reads, by its name."""
    return path.suffix in SUFFIXES or path.name in LISTS


def is_of(path: PurePath, split: str) -> bool:
    """Whether a table is of a split, by its own name or by that of a folder; ``path`` below the source."""
    stem = path.stem
    own = path.name not in LISTS and (stem == split or stem.startswith((f"{split}-", f"{split}_", f"{split}.")))
    return own or split in path.parts[:-1]
