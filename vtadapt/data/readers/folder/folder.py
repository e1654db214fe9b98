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
        normals: {files: "normals/{path}.png"}          # 2 v / 255 - 1; [128, 128, 128] = missing
      split: {fractions: {train: 0.9, val: 0.1}, seed: 0}  # or {lists: "{split}.txt"}, one image name a line

``{path}`` is the picture's path without suffix below the pattern's fixed part, ``{stem}`` its name without suffix. A
sample may lack any label, and a split all labels of a task, as long as some sample of the set has some label. Labels
are pictures that keep their numbers (PNG, TIFF, BMP, PGM), ``.npy``, ``.npz`` and ``.mat`` arrays (read without
pickle), whose content tells what they are; or annotations, whose ``format`` the recipe says. Patterns are relative to
the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vtadapt.data.readers.annotations.formats.labelme import embedded_picture
from vtadapt.data.readers.base import Arrays, Item, Reader, need_folder, same_size
from vtadapt.data.readers.files.links import RealPaths
from vtadapt.data.readers.files.names import Listings, why_absent
from vtadapt.data.readers.files.patterns import fixed_part, matching_files
from vtadapt.data.readers.files.said import need_fit
from vtadapt.data.readers.files.strengths import Marks, decide_over, readable
from vtadapt.data.readers.folder.annotated import (
    Picture,
    many,
    read_annotations,
    without_picture,
)
from vtadapt.data.readers.folder.consistency import check_labels
from vtadapt.data.readers.folder.label_paths import LabelPaths, need_one_picture_each
from vtadapt.data.readers.folder.labels import Labelling, read_label, read_marks
from vtadapt.data.readers.folder.options import FolderOptions, Splitting, is_excluded
from vtadapt.data.readers.folder.roles import need_one_split, need_own_labels
from vtadapt.data.readers.folder.splitting import read_list, share
from vtadapt.data.readers.raw.picture import turned
from vtadapt.data.readers.raw.rgb import read_picture
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, DataError

SUFFIX_OF_LABELME = ".json"  # of files that hold their picture themselves


class Folder(Reader):
    """See the module's page."""

    Options = FolderOptions

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(recipe, size, tasks)
        check_labels(recipe, self.options)

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per picture of the split, with those label files that exist."""
        root = need_folder(source, f"pictures {self.options.image}")
        pattern = self.options.image.format(split=self.options.named(split))
        images = matching_files(root, pattern, f"recipe {self.recipe.name!r}, options.image", self.passed_over)
        images = [path for path in images if not is_excluded(path.relative_to(root), self.options.exclude)]
        if not images and split in self.options.optional_splits:
            return []
        if not images:
            near = "".join(f"; {line}" for line in self.passed_over.lines()[:1])
            raise DataError(f"{root}: no pictures match {pattern!r} (option 'image' of the recipe){near}")
        fixed = fixed_part(root, pattern)
        names: dict[str, Path] = {}
        for path in images:
            name = path.relative_to(fixed).with_suffix("").as_posix()
            if name in names:
                other = names[name].name
                raise DataError(
                    f"{path}: differs from {other} only in its suffix; their labels could not be told apart"
                )
            names[name] = path
        labellings = {task: self._labelling(task) for task in self.options.labels if task in self.wanted}
        if (how := self.options.split) is not None and how.annotations is not None:
            labellings.setdefault(how.annotations, self._labelling(how.annotations))
        labels = LabelPaths(root, self.options.named(split), self.options, labellings, self.passed_over)
        labels.meet(images)
        return [labels.item(name, names[name]) for name in self._chosen(root, split, names, labels)]

    def check(self, source: Path | None, found: Mapping[str, Sequence[Item]]) -> None:
        """At least one picture must have a label, and each label one picture; the scales of boundaries are decided."""
        labelled = any(len(item.roles) > 1 for items in found.values() for item in items)
        if self.wanted.intersection(self.options.labels) and not labelled:
            task, how = next(iter(self.options.labels.items()))
            count = sum(map(len, found.values()))
            absent = next((item.absent for items in found.values() for item in items), {})
            raise DataError(
                f"{source}: none of {count} pictures has a label of any task; wanted {how.files!r} for {task!r} "
                f"(options.labels.{task}.files){why_absent(absent.values(), self.passed_over)}"
            )
        real = RealPaths()
        if not self.options.splits_share:
            need_one_split(found, real)
        need_own_labels(found, self.options.labels, real)
        for item in (item for items in found.values() for item in items):
            self.passed_over.forget(item.paths.values())
        self._check_shared(found)
        for task in self.options.labels:
            self._decide_scale(task, [item for items in found.values() for item in items if task in item.roles])

    def load(self, item: Item) -> Arrays:
        """Picture and the labels that exist, upright."""
        path = item.paths["image"]
        inside = path.suffix.lower() == SUFFIX_OF_LABELME
        stored, orientation = read_picture(path, embedded_picture(path) if inside else None)
        ignore = self.options.exif == "ignore"
        image = stored if ignore else turned(stored, orientation)
        result: Arrays = {"image": image}
        for task in (task for task in self.options.labels if task in item.paths):
            given = self._labelling(task)
            if given.how.format is not None:
                picture = Picture(path, (stored.shape[0], stored.shape[1]), orientation)
                result[task] = read_annotations(item.paths[task], given, picture, self.options.exif)
                continue
            label, own = read_label(item.paths[task], given)
            if not ignore:
                label = self._upright(label, (own, orientation), item, task)
            same_size(item.paths[task], label, image)
            result[task] = label
        return result

    def _check_shared(self, found: Mapping[str, Sequence[Item]]) -> None:
        """Each entry of annotations must be of one picture; those of pictures that are not there are counted."""
        items = [item for of_split in found.values() for item in of_split]
        for task in self.options.labels:
            given = self._labelling(task)
            if not many(given):
                continue
            used = need_one_picture_each(items, given)
            if set(found) == set(self.recipe.splits):
                for file, entries in used.items():
                    for name in without_picture(file, given, entries):
                        self.passed_over.add(f"annotations in {file.name} of pictures that are in no split", Path(name))

    def _upright(self, label: NDArray[Any], tags: tuple[int, int], item: Item, task: str) -> NDArray[Any]:
        """The label as its picture lies, which was turned upright.

        Args:
            label: as it is stored.
            tags: orientation of the label's file and of the picture's.
            item: the sample.
            task: whose label it is.
        """
        own, picture = tags
        path, image = item.paths[task], item.paths["image"]
        if own == picture == 1:
            return label
        if own not in (1, picture) or (own != 1 and self.recipe.tasks[task].behaviour.file_form == "vectors"):
            raise DataError(
                f"{path}: orientation {own} in its EXIF, {picture} in that of its picture {image.name}; "
                "save both without it, or write 'exif: ignore' in options"
            )
        if own == picture:
            return turned(label, own)
        if self.options.exif is None:
            self.need_clear_orientation(
                image, picture, label.shape[:2], "write 'exif: turn' or 'exif: ignore' in options"
            )
        return label

    def _labelling(self, task: str) -> Labelling:
        scales = self.decided.get(f"{task}.scale", {})
        return Labelling(task, self.recipe.tasks[task], self.options.labels[task], self.recipe.label_set(task), scales)

    def _decide_scale(self, task: str, items: Sequence[Item]) -> None:
        """See which number is a whole boundary; where the recipe says it, whether it can be meant."""
        self.decided.pop(f"{task}.scale", None)
        if self.recipe.tasks[task].behaviour.file_form != "strengths":
            return
        given = self._labelling(task)

        def read(item: Item) -> Marks:
            return read_marks(item.paths[task], given)

        if given.said.threshold is not None or given.said.scale is not None:
            need_fit(readable(items, read), given.said)
        elif scales := decide_over(items, read, given.where):
            self.decided[f"{task}.scale"] = scales

    def _chosen(self, root: Path, split: str, names: dict[str, Path], labels: LabelPaths) -> list[str]:
        """Names of the split's samples."""
        how: Splitting | None = self.options.split
        if how is None:
            return list(names)
        if how.annotations is not None:
            listed_there = labels.listed(how.annotations)
            return [name for name, path in names.items() if path in listed_there]
        if how.lists is not None:
            path = root / how.lists.format(split=self.options.named(split))
            there = Listings().find(path)
            if there is None and split in self.options.optional_splits:
                return []
            if there is None:
                raise DataError(f"{path}: no such list of the pictures of split {split!r}")
            listed = read_list(there, root, names)
            if not listed and split not in self.options.optional_splits:
                raise DataError(
                    f"{there}: an empty list of pictures; fill it, or write 'optional_splits: [{split}]' in options"
                )
            return listed
        fractions = how.fractions or {}
        if split not in fractions and split in self.options.optional_splits:
            return []
        if split not in fractions:
            raise ConfigError(f"recipe {self.recipe.name!r}: options.split.fractions has no split {split!r}")
        return share(list(names), fractions, split, how.seed)
