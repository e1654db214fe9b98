"""Any data of your own: pictures and labels found by patterns that a recipe gives.

Example of a recipe (save it as ``mine.yaml``; then ``vtadapt prepare-data ./mine.yaml --source PATH``)::

    name: mine
    title: My pictures
    licence: my own
    reader: folder
    splits: [train, val]
    tasks:
      semseg: {kind: classes, classes: [ground, plant, other], colours: [[120, 90, 60], [60, 160, 60], [90, 90, 90]]}
      depth: {kind: regression, units: m}   # metres: 0 = missing
      normals: {kind: unit_vector}
      edges: {kind: boundary, derived: true, derive: {method: class_boundaries, source: semseg}}
    options:
      image: "images/**/*.jpg"              # a {split} in it takes each split from a folder of its own
      labels:
        semseg: {files: "labels/{path}.png", void: [255]}
        depth: {files: "depth/{path}.png", factor: 0.001, missing: [0, 65535]}
        normals: {files: "normals/{path}.png"}          # v / 127.5 - 1; [128, 128, 128] = missing
      split: {fractions: {train: 0.9, val: 0.1}, seed: 0}  # or {lists: "{split}.txt"}, one image name a line

``{path}`` is the picture's path without suffix below the pattern's fixed part, ``{stem}`` its name without suffix. A
sample may lack any label, and a split all labels of a task, as long as some sample of the set has some label. Pictures,
``.png`` maps and ``.npy`` arrays (read without pickle) are understood; patterns are relative to the source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from vtadapt.data.readers.base import (
    Arrays,
    Item,
    Reader,
    ReaderOptions,
    Strict,
    decode,
    need_folder,
    need_once,
    read_classes,
    read_lines,
    read_rgb,
    same_size,
)
from vtadapt.data.readers.files.arrays import need_unit, read_numbers
from vtadapt.data.readers.files.patterns import check_pattern, fixed_part, matching_files
from vtadapt.data.recipe.recipe import Recipe, RecipeTask
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks.class_ids import VOID


class LabelFiles(Strict):
    """Where the labels of one task are, and how their numbers are to be read.

    ``files``: pattern with ``{path}``, ``{stem}`` or ``{split}``. ``void``: ids that mean "no class". ``ids``: class
    name (or null) of each id, where they are not 0, 1, 2, ...; ids it does not name are an error. ``factor``: metres
    (or other units) of one unit of the files. ``missing``: values of the files that mean no label. ``flip``: axes of
    normals that point the other way in the files. ``threshold``: boundaries are where the file's value is above it;
    without it whole numbers are divided by the largest of their type.
    """

    files: str
    void: tuple[int, ...] = ()
    ids: dict[int, str | None] | None = None
    factor: float = Field(1.0, gt=0)
    missing: tuple[float, ...] = ()
    flip: tuple[Annotated[str, Field(pattern="^[xyz]$")], ...] = ()
    threshold: float | None = None

    @field_validator("files")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return check_pattern(value, ("path", "stem", "split"))


class Splitting(Strict):
    """How pictures are divided: ``lists`` (a pattern with ``{split}``) or ``fractions`` with a ``seed``."""

    lists: str | None = None
    fractions: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    seed: int = 0

    @field_validator("lists")
    @classmethod
    def _known_placeholders(cls, value: str | None) -> str | None:
        return None if value is None else check_pattern(value, ("split",))

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.lists is None) == (self.fractions is None):
            raise ValueError("give either 'lists' or 'fractions'")
        if self.lists is not None and "{split}" not in self.lists:
            raise ValueError("'lists' needs a {split} in its pattern")
        if self.fractions is not None and sum(self.fractions.values()) > 1 + 1e-9:
            raise ValueError("the fractions add up to more than 1")
        return self


class FolderOptions(ReaderOptions):
    """``image``: pattern of the pictures below the source; ``labels``: by task; ``split``: not with ``{split}``."""

    image: str
    labels: dict[str, LabelFiles] = Field(default_factory=dict)
    split: Splitting | None = None

    @field_validator("image")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        return check_pattern(value, ("split",))

    @model_validator(mode="after")
    def _split_known(self) -> Self:
        if ("{split}" in self.image) == (self.split is not None):
            raise ValueError("put {split} into 'image' or give 'split' (not both)")
        return self


class Folder(Reader):
    """See the module's page."""

    Options = FolderOptions

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(recipe, size, tasks)
        for task, given in recipe.tasks.items():
            if (given.derive is None) != (task in self.options.labels):
                problem = "is derived, so it takes no files" if given.derive else "has no files in options.labels"
                raise ConfigError(f"recipe {recipe.name!r}: task {task!r} {problem}")
        if lost := [t for t in self.options.labels if t not in recipe.tasks]:
            raise ConfigError(f"recipe {recipe.name!r}: options.labels names {lost[0]!r}, which is no task here")

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture of the split, with those label files that exist."""
        root = need_folder(source, f"pictures {self.options.image}")
        pattern = self.options.image.format(split=split)
        images = matching_files(root, pattern, f"recipe {self.recipe.name!r}, options.image")
        if not images and split in self.options.optional_splits:
            return []
        if not images:
            raise DataError(f"{root}: no pictures match {pattern!r} (option 'image' of the recipe)")
        fixed = fixed_part(root, pattern)
        names = {p.relative_to(fixed).with_suffix("").as_posix(): p for p in images}
        if len(names) < len(images):
            raise DataError(f"{fixed}: two pictures differ only in their suffix; their labels could not be told apart")
        return [self._item(root, split, name, names[name]) for name in self._chosen(root, split, names)]

    def check(self, source: Path | None, found: Mapping[str, Sequence[Item]]) -> None:
        """At least one picture must have a label."""
        labelled = any(len(item.paths) > 1 for items in found.values() for item in items)
        if self.wanted.intersection(self.options.labels) and not labelled:
            task, how = next(iter(self.options.labels.items()))
            count = sum(map(len, found.values()))
            raise DataError(
                f"{source}: none of {count} pictures has a label of any task; "
                f"wanted {how.files!r} for {task!r} (options.labels.{task}.files)"
            )

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that exist."""
        image = read_rgb(item.paths["image"])
        result: Arrays = {"image": image}
        for task, how in self.options.labels.items():
            if task in item.paths:
                path, spec = item.paths[task], self.recipe.tasks[task]
                known = self.recipe.label_set(task)
                if known is not None and known.ids:
                    label = known.convert(read_numbers(path), str(path))
                else:
                    label = _READ[spec.behaviour.file_form](path, spec, how)
                same_size(path, label, image)
                result[task] = label
        return result

    def _item(self, root: Path, split: str, name: str, image: Path) -> Item:
        paths: dict[str, Path] = {"image": image}
        absent: dict[str, Path] = {}
        for task, how in self.options.labels.items():
            if task in self.wanted:
                path = root / how.files.format(path=name, stem=image.stem, split=split)
                (paths if path.is_file() else absent)[task] = path
        return Item(name, paths, absent=absent)

    def _chosen(self, root: Path, split: str, names: dict[str, Path]) -> list[str]:
        """Names of the split's samples."""
        how: Splitting | None = self.options.split
        if how is None:
            return list(names)
        if how.lists is not None:
            path = root / how.lists.format(split=split)
            if not path.is_file() and split in self.options.optional_splits:
                return []
            if not path.is_file():
                raise DataError(f"{path}: no such list of the pictures of split {split!r}")
            wanted = read_lines(path)
            listed = _listed(path, wanted, names)
            need_once(path, listed)
            return listed
        fractions = how.fractions or {}
        if split not in fractions and split in self.options.optional_splits:
            return []
        if split not in fractions:
            raise ConfigError(f"recipe {self.recipe.name!r}: options.split.fractions has no split {split!r}")
        order = np.random.default_rng(how.seed).permutation(len(names))
        ends = np.round(np.cumsum(list(fractions.values())) * len(names)).astype(int)
        which = list(fractions).index(split)
        chosen = order[ends[which - 1] if which else 0 : ends[which]]
        return sorted(list(names)[i] for i in chosen)


def _listed(path: Path, lines: Sequence[str], names: Mapping[str, Path]) -> list[str]:
    """The names of the pictures that the list ``path`` gives by name, or by file name with or without suffix."""
    meant: dict[str, set[str]] = {}
    for name, picture in names.items():
        for key in (picture.stem, picture.name):
            meant.setdefault(key, set()).add(name)
    meant |= {name: {name} for name in names}
    if lost := [line for line in lines if line not in meant]:
        raise DataError(f"{path}: {lost[0]!r} is none of the {len(names)} pictures ({len(lost)} such lines)")
    if unclear := [line for line in lines if len(meant[line]) > 1]:
        one, other = sorted(meant[unclear[0]])[:2]
        raise DataError(f"{path}: {unclear[0]!r} may be more than one picture, {one!r} or {other!r}; write it so")
    return [next(iter(meant[line])) for line in lines]


def _read_classes(path: Path, task: RecipeTask, how: LabelFiles) -> NDArray[Any]:
    if how.ids is None and path.suffix != ".npy":
        return read_classes(path, len(task.classes), how.void)
    array = read_numbers(path)
    ids = {i: task.classes[i] for i in range(len(task.classes))} if how.ids is None else how.ids
    result = np.full(array.shape, VOID, np.uint8)
    for raw in np.unique(array).tolist():
        if raw in how.void:
            continue
        if raw not in ids:
            raise DataError(f"{path}: label id {raw}, wanted one of {sorted(ids)[:20]} or of 'void' {list(how.void)}")
        name = ids[raw]
        if name is not None and name not in task.classes:
            raise ConfigError(f"option 'ids' names {name!r}, which is no class of the task")
        result[array == raw] = VOID if name is None else task.classes.index(name)
    return result


def _read_regression(path: Path, task: RecipeTask, how: LabelFiles) -> NDArray[Any]:
    raw = read_numbers(path)
    known = ~np.isin(raw, how.missing) & np.isfinite(raw)
    missing = 0.0 if task.distance else math.nan
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        return np.where(known, raw * np.float32(how.factor), missing).astype(np.float32)


def _read_normals(path: Path, task: RecipeTask, how: LabelFiles) -> NDArray[Any]:
    """Unit vectors from v/127.5 - 1 (8-bit pictures) or as they are (.npy); grey 128 and zeros are missing."""
    del task
    if path.suffix == ".npy":
        vectors = read_numbers(path).astype(np.float32)
    else:
        image = decode(path)
        if image.mode not in ("RGB", "RGBA"):
            raise DataError(f"{path}: picture of mode {image.mode}, wanted RGB normals")
        raw = np.asarray(image.convert("RGB"))
        vectors = raw.astype(np.float32) / 127.5 - 1
        vectors[(raw == 128).all(axis=-1) | (raw == 0).all(axis=-1)] = 0
    if vectors.ndim != 3 or vectors.shape[2] != 3:
        raise DataError(f"{path}: normals of shape {vectors.shape}, wanted (H, W, 3)")
    for axis in how.flip:
        vectors[..., "xyz".index(axis)] *= -1
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    need_unit(length, path)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0.1)


def _read_boundary(path: Path, task: RecipeTask, how: LabelFiles) -> NDArray[Any]:
    del task
    raw = read_numbers(path)
    known = ~np.isin(raw, how.missing)
    if how.threshold is not None:
        return np.where(known, raw > how.threshold, VOID).astype(np.uint8)
    whole = np.issubdtype(raw.dtype, np.integer)
    scale = float(np.iinfo(raw.dtype).max) if whole else 1.0
    return np.where(known, raw / scale, np.nan).astype(np.float32)


_READ: dict[str, Callable[[Path, RecipeTask, LabelFiles], NDArray[Any]]] = {
    "ids": _read_classes,
    "numbers": _read_regression,
    "vectors": _read_normals,
    "strengths": _read_boundary,
}
"""What a kind says of its files (``Kind.file_form``) -> how they are read."""
