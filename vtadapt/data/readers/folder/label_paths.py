"""Which files hold the labels of a picture: one for each picture, or entries of one that is of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vtadapt.data.readers.base import Item
from vtadapt.data.readers.files.links import RealPaths
from vtadapt.data.readers.files.names import Listings, PassedOver, folder_in_other_case, no_file
from vtadapt.data.readers.folder.annotated import assigned, beside, entry_number, many
from vtadapt.data.readers.folder.labels import Labelling
from vtadapt.data.readers.folder.options import FolderOptions
from vtadapt.data.readers.folder.roles import picture_as_label
from vtadapt.errors import DataError

ASIDE = ": "  # in the role of a further file of a task's labels, which so is no task's name


class LabelPaths:
    """The label files of the pictures of a split.

    Args:
        root: the source.
        split: its name.
        options: of the recipe.
        labellings: what is said of the labels of each task that is wanted.
        passed_over: where what nearly matches is counted.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        options: FolderOptions,
        labellings: Mapping[str, Labelling],
        passed_over: PassedOver,
    ) -> None:
        self.root, self.split, self.options = root, split, options
        self.labellings, self.passed_over = labellings, passed_over
        self._listings, self._real = Listings(), RealPaths()
        self._pictures: dict[str, Path] = {}
        self._shared: dict[str, tuple[Path, Path | None, dict[Path, int]]] = {}

    def meet(self, pictures: list[Path]) -> None:
        """Take note of all pictures of the split, of which files with the annotations of many are then read.

        Raises:
            DataError: such a file is broken, or does not tell which of two pictures it means.
        """
        self._pictures = {self._real.of(path): path for path in reversed(pictures)}
        for task, given in self.labellings.items():
            if many(given):
                path = self.root / given.how.files.format(split=self.split)
                found = self._listings.find(path)
                found = found if found is not None and found.is_file() else None
                self._shared[task] = (path, found, {} if found is None else assigned(found, given, pictures))

    def listed(self, task: str) -> set[Path]:
        """The pictures that the annotations of the split name.

        Raises:
            DataError: there is no such file.
        """
        path, found, entries = self._shared[task]
        if found is None:
            raise DataError(f"{path}: no such file, wanted the annotations of split {self.split!r}")
        return set(entries)

    def item(self, name: str, image: Path) -> Item:
        """The sample of a picture, with those label files that are there."""
        paths: dict[str, Path] = {"image": image}
        absent: dict[str, Path] = {}
        for task in self.labellings:
            one = self._of_many if task in self._shared else self._own
            one(task, name, image, (paths, absent))
        return Item(name, paths, absent=absent)

    def _of_many(self, task: str, name: str, image: Path, into: tuple[dict[str, Path], dict[str, Path]]) -> None:
        del name
        path, found, entries = self._shared[task]
        if found is None or image not in entries:
            into[1][task] = path
            return
        into[0][task] = found
        for i, other in enumerate(beside(found, self.labellings[task], entries[image])):
            into[0][f"{task}{ASIDE}{i}"] = other

    def _own(self, task: str, name: str, image: Path, into: tuple[dict[str, Path], dict[str, Path]]) -> None:
        how = self.labellings[task].how
        path = self.root / how.files.format(path=name, stem=image.stem, name=image.name, split=self.split)
        found = self._listings.find(path)
        inside = how.format == "labelme" and found == image
        if found is not None and not inside and (itself := self._pictures.get(self._real.of(found))) is not None:
            raise picture_as_label(self.root, (found, image, itself), task, self.options)
        if found is not None and found.is_file():
            into[0][task] = found
            return
        into[1][task] = path
        if found is not None:
            self.passed_over.add(no_file(found), found)
        elif (near := self._listings.near(path)) is not None and near != image:
            self.passed_over.add(f"labels of {task} with another suffix or in letters of another case", near)
        elif (other := self._listings.near_folder(path)) is not None:
            self.passed_over.add(folder_in_other_case(other[0]), other[1])


def need_one_picture_each(items: Iterable[Item], given: Labelling) -> dict[Path, set[int]]:
    """Raise a DataError where an entry of a file of many pictures' annotations is of two; else those used, by file.

    Args:
        items: of all splits.
        given: what is said of the task's labels.
    """
    owners: dict[tuple[Path, int], Path] = {}
    used: dict[Path, set[int]] = {}
    for item in items:
        file, image = item.paths.get(given.task), item.paths["image"]
        if file is None or (which := entry_number(file, given, image)) is None:
            continue
        used.setdefault(file, set()).add(which)
        if owners.setdefault((file, which), image) != image:
            raise DataError(
                f"{file}: an entry of it may be of {owners[file, which]} or of {image}; name it there with its folder"
            )
    return used
