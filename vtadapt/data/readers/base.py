"""What every reader is: it finds the samples of a split, and loads one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from vtadapt.data.readers.files.names import PassedOver
from vtadapt.data.readers.item import Item
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.readers.raw.picture import is_there, turned
from vtadapt.data.readers.raw.rgb import read_picture
from vtadapt.data.recipe.recipe import Intrinsics, Recipe
from vtadapt.data.recipe.strict import Strict, explain
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks.class_ids import VOID, id_type

Arrays = dict[str, NDArray[Any]]


class ReaderOptions(Strict):
    """Base of the readers' options. ``optional_splits``: those that may be absent or empty."""

    optional_splits: tuple[str, ...] = ()


class Reader(ABC):
    """Knows the files of one format. Picklable, so that worker processes can load.

    Args:
        recipe: the data set; ``recipe.options`` are checked here.
        size: (height, width) asked for. Only a reader that renders needs it; files are resized afterwards.
        tasks: those that will be stored; the files of others (unless something is derived from them) are not asked
            for. None for all of the recipe.

    Raises:
        ConfigError: an option that the reader does not know or cannot use.
    """

    Options: ClassVar[type[ReaderOptions]] = ReaderOptions
    every_sample_has: ClassVar[str] = "its files"  # said where one of an item's files is missing

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Sequence[str] | None = None) -> None:
        self.recipe = recipe
        self.size = size
        chosen = set(recipe.tasks if tasks is None else tasks)
        sources = {how.source for t in chosen if (how := recipe.tasks[t].derive) is not None}
        self.wanted = frozenset(chosen | sources)
        self.decided: dict[str, Any] = {}  # what the files themselves told in ``check``; kept in the manifest
        self.passed_over = PassedOver()  # files that ``find`` did not take though they nearly match
        try:
            self.options: Any = self.Options.model_validate(recipe.options)
        except ValidationError as error:
            raise ConfigError(f"recipe {recipe.name!r}, options: {explain(error, self.Options)}") from error

    @abstractmethod
    def find(self, source: Path | None, split: str) -> list[Item]:
        """Samples of a split, in a fixed order, without opening them.

        Returns:
            Items, whose files need not be there: ``prepare`` refuses those that lack one, or leaves them out. Empty
            where the split is optional and absent.

        Raises:
            DataError: a folder or a list is missing; the message names it and what was expected.
        """

    def check(self, source: Path | None, found: Mapping[str, Sequence[Item]]) -> None:  # noqa: B027
        """Raise a DataError where what ``find`` gave for the splits is no use as a whole; most readers accept all."""

    def tasks_of(self, item: Item) -> set[str]:
        """Tasks that a sample has a label of, without opening its files; derived ones count where their source does."""
        given = {task for task in item.roles if task in self.wanted and task in self.recipe.tasks}
        derived = {t for t in self.wanted if (how := self.recipe.tasks[t].derive) is not None and how.source in given}
        return given | derived

    def camera(self, item: Item, size: tuple[int, int]) -> Intrinsics | None:
        """The camera of a sample, for an image of ``size`` (height, width) as :meth:`load` returns it.

        The recipe's, scaled; a reader whose files tell it for each sample, or that crops, says so here. None where no
        camera is known: normals and occlusion edges cannot be derived then.

        Raises:
            DataError: the image has another aspect ratio than the recipe's camera.
        """
        camera = self.recipe.intrinsics
        if camera is None:
            return None
        height, width = size
        if not camera.fits(height, width):
            found, wanted = f"{height}x{width}", f"{camera.height}x{camera.width}"
            where = item.paths.get("image", item.name)
            raise DataError(
                f"{where}: picture of {found}, the recipe's intrinsics are for {wanted} (another aspect ratio)"
            )
        return camera.resized(height, width)

    def picture(self, item: Item) -> NDArray[np.uint8]:
        """The picture of a sample, (H, W, 3) uint8 RGB, upright as its EXIF says.

        Raises:
            DataError: it is broken, or has labels and its size does not tell whether these were drawn on it upright.
        """
        path = item.paths["image"]
        stored, orientation = read_picture(path)
        image = turned(stored, orientation)
        if any(role in self.recipe.tasks for role in item.roles):
            self.need_clear_orientation(path, orientation, image.shape[:2], "save it upright, without that tag")
        return image

    @staticmethod
    def need_clear_orientation(path: Path, orientation: int, label: tuple[int, ...], advice: str) -> None:
        """Raise a DataError where a label may have been drawn on a picture as it is stored, or on the upright one.

        Turned by a quarter the two have other sizes, unless they are square, and a label of the wrong one is refused.

        Args:
            path: the picture.
            orientation: its own, 1..8.
            label: (height, width) of the label.
            advice: what the user can do.
        """
        if orientation in (2, 3, 4) or (orientation != 1 and label[0] == label[1]):
            found = f"orientation {orientation} in its EXIF"
            raise DataError(
                f"{path}: {found}: was its label drawn on the upright picture, or as it is stored? {advice}"
            )

    def class_ids(self, task: str, stored: NDArray[Any], path: Path) -> NDArray[np.generic]:
        """The numbers in a file of classes as ids of the recipe's label set.

        Args:
            task: the task of the recipe.
            stored: (H, W) integers read from ``path``.
            path: the file, for messages.

        Returns:
            (H, W) ids 0, 1, ... of the task's classes, void as 255.

        Raises:
            ConfigError: the recipe names no label set for the task.
            DataError: a number that the label set does not know.
        """
        known = self.recipe.label_set(task)
        if known is None:
            raise ConfigError(f"recipe {self.recipe.name!r}: task {task!r} needs a label_set out of label_sets")
        return known.convert(stored, str(path))

    def picture_and(self, item: Item, read: Mapping[str, Callable[[Path], NDArray[Any]]]) -> Arrays:
        """The picture of a sample, and what ``read`` gives for each task that it has a file of; all of one size.

        Raises:
            DataError: a file is broken, or has another size than the picture.
        """
        result: Arrays = {"image": self.picture(item)}
        result |= {task: of(item.paths[task]) for task, of in read.items() if task in item.paths}
        return same_sizes(item, result)

    def listed(self, path: Path, split: str) -> list[str]:
        """The names in the list of a split, one a line; none where the split is optional and has no list.

        Raises:
            DataError: there is no such list, or it is empty or has a name more than once.
        """
        if not path.is_file() and split in self.options.optional_splits:
            return []
        names = read_lines(path)
        if not names:
            raise DataError(f"{path}: lists no picture; wanted one name a line")
        need_once(path, names)
        return names

    @abstractmethod
    def load(self, item: Item) -> Arrays:
        """``image`` uint8 (H, W, 3) and those labels of ``self.wanted`` that the sample has, by task.

        They are as ``vtadapt.data.pack.labels`` stores them, at the size of the files.

        Raises:
            DataError: a file that is broken or not what was expected; the message names it.
        """


def need_folder(source: Path | None, wanted: str) -> Path:
    """``source`` if it is a folder, else a DataError that says what it should hold."""
    if source is None:
        raise DataError(f"no source folder given; wanted one with {wanted} (--source PATH)")
    if not source.is_dir():
        found = "a file" if source.exists() else "no such folder"
        raise DataError(f"{source}: {found}; wanted {'a folder' if source.exists() else 'one'} with {wanted}")
    return source


def need_files(paths: Iterable[Path], wanted: str) -> None:
    """Raise a DataError that names the first missing file and counts the others."""
    first, missing, count = None, 0, 0
    for path in paths:
        count += 1
        if not is_there(path):
            first, missing = first or path, missing + 1
    if first is not None:
        more = f" (and {missing - 1} more of {count})" if missing > 1 else ""
        raise DataError(f"{first}: no such file{more}; wanted {wanted}")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file without surrounding blanks and empty ones; DataError where it is no such file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; wanted a list, one name a line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({' '.join(str(error).split())[:120]})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def need_once(path: Path, names: Sequence[str]) -> None:
    """Raise a DataError where the list ``path`` has a name more than once."""
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"{path}: lists {twice!r} more than once; keep one of them")


def read_classes(path: Path, count: int, void: Sequence[int]) -> NDArray[Any]:
    """Class ids 0..count - 1 with the ids of ``void`` turned into 255; uint8, or uint16 for more than 255 classes.

    Raises:
        DataError: any other id; the message lists those found.
    """
    array = read_map(path)
    is_void = np.isin(array, list(void))
    if bad := np.unique(array[~is_void & ((array >= count) | (array < 0))]).tolist():
        wanted = f"0..{count - 1}" + (f" or {', '.join(map(str, void))} (void)" if void else "")
        raise DataError(f"{path}: label ids {', '.join(map(str, bad[:8]))}, wanted {wanted}")
    return np.where(is_void, VOID, array).astype(id_type(count))


def same_sizes(item: Item, arrays: Arrays) -> Arrays:
    """``arrays`` as they are; a DataError where one is not as large as the image."""
    for task, label in arrays.items():
        same_size(item.paths[task], label, arrays["image"])
    return arrays


def same_size(path: Path, label: NDArray[Any], image: NDArray[Any]) -> None:
    """Raise a DataError unless the label read from ``path`` is as large as its image."""
    if label.shape[:2] != image.shape[:2]:
        found, wanted = ("x".join(map(str, a.shape[:2])) for a in (label, image))
        raise DataError(f"{path}: label of {found} pixels, its image has {wanted} (height x width)")
