"""The ``.npy`` folders of MTAN and LibMTL: {train,val}/{image,label,depth,normal}/<i>.npy, for NYUv2 and Cityscapes.

``image`` (H, W, 3) floats 0..1; ``label`` (H, W), -1 = void, at times as floats; ``depth`` (H, W, 1), 0 = not measured:
metres for NYUv2, the scaled disparity for Cityscapes; ``normal`` (H, W, 3), zeros = missing. (The loaders in
lorenmt/mtan, im2im_pred/create_dataset.py, and median-research-group/LibMTL, examples/nyu and examples/cityscapes.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vtadapt.data.readers.base import Arrays, Item, Reader, same_size
from vtadapt.data.readers.files.arrays import metres, one_channel, read_float_rgb, read_vectors, unit_vectors
from vtadapt.data.readers.files.axes import NormalsOptions, check_axes, flip_of
from vtadapt.data.readers.files.layout import folder_with, names_in
from vtadapt.data.readers.raw.npy import read_npy
from vtadapt.data.recipe.label_sets import map_ids
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.recipe.strict import Stored
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks.class_ids import VOID


class MtanOptions(NormalsOptions):
    """``folders``: folder of the files of each label set or task, or several of which the first that is there counts.

    ``void``: number of the label files that is no class.
    """

    folders: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    void: Stored = -1


class Mtan(Reader):
    """One sample per ``image/<i>.npy``, in the order of the numbers; the folder may be one above the splits."""

    Options = MtanOptions
    every_sample_has = "SPLIT/image/<i>.npy"

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(recipe, size, tasks)
        for task, given in recipe.tasks.items():
            if given.derive is None and not self._candidates(task):
                raise ConfigError(
                    f"recipe {recipe.name!r}: options.folders names no folder for {given.label_set or task!r}"
                )

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture, with those label files that exist."""
        layout = self.recipe.source.layout
        if split in self.options.optional_splits and source is not None and not (source / split).is_dir():
            return []
        folder = folder_with(source, split, layout) / split
        images = sorted((name for name in names_in(folder / "image") if name.endswith(".npy")), key=_number)
        if not images:
            raise DataError(f"{folder / 'image'}: no .npy pictures; wanted {layout}")
        labels = {t: self._folder(folder, t) for t in self.recipe.tasks if t in self.wanted and self._candidates(t)}
        listings = {path: names_in(path) for path in labels.values()}
        items = []
        for name in images:
            paths: dict[str, Path] = {"image": folder / "image" / name}
            absent: dict[str, Path] = {}
            for task, path in labels.items():
                (paths if name in listings[path] else absent)[task] = path / name
            items.append(Item(name.removesuffix(".npy"), paths, absent=absent))
        return items

    def check(self, source: Path | None, found: Mapping[str, Sequence[Item]]) -> None:
        """See which way the normals face: nobody wrote down which way their axes point."""
        del source
        for task, given in self.recipe.tasks.items():
            if given.behaviour.file_form == "vectors" and task in self.wanted:
                check_axes(self, found, task, partial(self._labels, task))

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that exist."""
        image = read_float_rgb(item.paths["image"])
        result: Arrays = {"image": image}
        for task, path in item.paths.items():
            if task in self.recipe.tasks:
                result[task] = self._read(task, path)
                same_size(path, result[task], image)
        return result

    def _labels(self, task: str, item: Item) -> NDArray[Any]:
        return self._read(task, item.paths[task])

    def _read(self, task: str, path: Path) -> NDArray[Any]:
        given = self.recipe.tasks[task]
        if given.behaviour.file_form == "vectors":
            return unit_vectors(read_vectors(path), flip_of(self))
        array = read_npy(path)
        if given.behaviour.file_form == "ids":
            if len(given.classes) > VOID:
                raise ConfigError(f"recipe {self.recipe.name!r}: {len(given.classes)} classes, wanted at most {VOID}")
            ids = {self.options.void: VOID} | {i: i for i in range(len(given.classes))}
            return map_ids(_finite(one_channel(array, path), path), ids, str(path))
        if given.distance:
            return metres(array, path)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite: missing
            values = one_channel(array, path).astype(np.float32)
        return np.where(np.isfinite(values) & (values > 0), values, np.float32(np.nan))

    def _candidates(self, task: str) -> tuple[str, ...]:
        folders = self.options.folders
        return tuple(folders.get(self.recipe.tasks[task].label_set) or folders.get(task) or ())

    def _folder(self, split: Path, task: str) -> Path:
        """The first of the task's folders that is there, else the first."""
        candidates = [split / name for name in self._candidates(task)]
        return next((path for path in candidates if path.is_dir()), candidates[0])


def _finite(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{path}: label ids that are not finite numbers")
    return array


def _number(name: str) -> tuple[int, int, str]:
    """Order of file names: 2.npy before 10.npy, names that are no numbers last."""
    stem = name.removesuffix(".npy")
    return (0, int(stem), name) if stem.isascii() and stem.isdigit() else (1, 0, name)
