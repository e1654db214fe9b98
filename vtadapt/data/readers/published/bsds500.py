"""BSDS500: images/SPLIT/ID.jpg and groundTruth/SPLIT/ID.mat with the boundaries that about five people drew.

A ``.mat`` (MATLAB v5) holds the cell array ``groundTruth``; each cell is a struct with ``Boundaries`` (H, W) 0/1, lines
one pixel wide, and ``Segmentation`` (H, W). The target is the share of the annotators who marked a pixel (Arbelaez,
Maire, Fowlkes, Malik: Contour detection and hierarchical image segmentation, PAMI 2011, publish the drawings apart).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions, need_folder, same_size
from vtadapt.data.readers.files.layout import names_in
from vtadapt.data.readers.files.names import is_data
from vtadapt.data.readers.raw.mat import read_mat
from vtadapt.errors import DataError

ROOTS = ("", "data", "BSDS500/data", "BSR/BSDS500/data")  # from the inner folder to the one that the archive makes
PICTURES = (".jpg", ".jpeg", ".png")
LARGEST = 1 << 20  # bytes; the published files have 30 000 to 80 000
TASK = "edges"


class Bsds500Options(ReaderOptions):
    """What becomes of the annotators' lines; with neither option the target is their mean, 0..1.

    ``threshold``: 1 where at least this share of the annotators marked the pixel, else 0. ``annotators``: 1 where at
    least so many of them did, else 0.
    """

    threshold: float | None = Field(None, gt=0, le=1)
    annotators: int | None = Field(None, ge=1, le=1000)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.threshold is not None and self.annotators is not None:
            raise ValueError("give either 'threshold' or 'annotators', not both")
        return self


class Bsds500(Reader):
    """Photographs of 321x481 or 481x321 pixels; the folder may be ``data`` of the archive or one above it."""

    Options = Bsds500Options
    every_sample_has = "groundTruth/SPLIT/ID.mat for each picture"

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture of ``images/SPLIT``; those without a ``.mat`` are kept without a label."""
        above = need_folder(source, self.recipe.source.layout)
        root = next((above / r for r in ROOTS if (above / r / "images").is_dir()), above)
        folder = root / "images" / split
        if not folder.is_dir() and split in self.options.optional_splits:
            return []
        need_folder(folder, f"pictures ID.jpg ({self.recipe.source.layout})")
        images = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and is_data(p.name))
        if not images:
            raise DataError(f"{folder}: no .jpg pictures; wanted {self.recipe.source.layout}")
        for one, other in zip(images, images[1:], strict=False):
            if one.stem == other.stem:
                raise DataError(f"{folder}: {one.name} and {other.name} have the same name; keep one of them")
        if TASK not in self.wanted:
            return [Item(p.stem, {"image": p}) for p in images]
        labels = need_folder(root / "groundTruth" / split, "annotations ID.mat")
        known = names_in(labels)
        return [_item(p, labels, known) for p in images]

    def load(self, item: Item) -> Arrays:
        """Picture and boundaries: float32 0..1, or uint8 0/1 where an option asks for it."""
        image = self.picture(item)
        if TASK not in item.paths:
            return {"image": image}
        path = item.paths[TASK]
        drawn = read_boundaries(path)
        same_size(path, drawn[0], image)
        return {"image": image, TASK: self._target(drawn, path)}

    def _target(self, drawn: NDArray[np.bool_], path: Path) -> NDArray[Any]:
        options = self.options
        if options.annotators is not None and options.annotators > len(drawn):
            raise DataError(
                f"{path}: boundaries of {len(drawn)} annotators, options.annotators wants {options.annotators} to "
                "agree; lower it, or use options.threshold"
            )
        counts = drawn.sum(axis=0)
        if options.annotators is not None:
            return (counts >= options.annotators).astype(np.uint8)
        if options.threshold is not None:
            return (counts >= options.threshold * len(drawn) - 1e-9).astype(np.uint8)
        return (counts / len(drawn)).astype(np.float32)


def _item(image: Path, labels: Path, known: set[str]) -> Item:
    path = labels / f"{image.stem}.mat"
    if path.name in known:
        return Item(image.stem, {"image": image, TASK: path})
    return Item(image.stem, {"image": image}, absent={TASK: path})


def read_boundaries(path: Path) -> NDArray[np.bool_]:
    """The boundaries of all annotators.

    Returns:
        (annotators, H, W) bool.

    Raises:
        DataError: not a whole MATLAB file of version 5, no ``groundTruth``, an annotator without ``Boundaries``, or
            values or sizes that cannot be; the message names the file.
    """
    cells = _ground_truth(path)
    drawn: list[NDArray[np.bool_]] = []
    for number, cell in enumerate(cells.ravel(), start=1):
        where = f"{path}: groundTruth{{{number}}}"
        fields = cell.dtype.names if isinstance(cell, np.ndarray) and cell.size == 1 else None
        if not fields or "Boundaries" not in fields:
            raise DataError(f"{where} has the fields {', '.join(fields or ()) or '(none)'}, wanted Boundaries")
        lines = cell["Boundaries"].ravel()[0]
        if not isinstance(lines, np.ndarray) or lines.ndim != 2 or lines.dtype.kind not in "buif" or not lines.size:
            found = f"{lines.dtype} {lines.shape}" if isinstance(lines, np.ndarray) else type(lines).__name__
            raise DataError(f"{where}.Boundaries is {found}, wanted numbers of shape (H, W)")
        if not np.isin(lines, (0, 1)).all():
            raise DataError(f"{where}.Boundaries has values from {lines.min()} to {lines.max()}, wanted 0 and 1")
        if drawn and lines.shape != drawn[0].shape:
            first = "x".join(map(str, drawn[0].shape))
            raise DataError(f"{where}.Boundaries has {lines.shape[0]}x{lines.shape[1]} pixels, the first has {first}")
        drawn.append(lines.astype(bool))
    return np.stack(drawn)


def _ground_truth(path: Path) -> NDArray[Any]:
    """The cell array ``groundTruth``, not empty; reading a MATLAB file runs none of its code."""
    wanted = "a cell array with one struct per annotator"
    cells = read_mat(path, "groundTruth", f"an annotation of BSDS500, {wanted}", LARGEST)
    if cells.dtype != object or not cells.size:
        raise DataError(f"{path}: groundTruth: {cells.dtype}, wanted {wanted}")
    return cells
