"""Whether each file has one role only: the picture of one split, or the label of one picture for one task.

Two names of a file are one file, be it through linked folders or linked files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import Path

from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.readers.base import Item
from vtadapt.data.readers.files.links import RealPaths, named_by_content
from vtadapt.data.readers.folder.label_files import LabelFiles
from vtadapt.data.readers.folder.options import FolderOptions, is_excluded
from vtadapt.errors import DataError

Found = Mapping[str, Sequence[Item]]


def need_one_split(found: Found, real: RealPaths) -> None:
    """Raise a DataError where a picture is in two splits: what is tested on would be trained on."""
    owners: dict[str, tuple[str, Path]] = {}
    for split, items in found.items():
        for path in (item.paths["image"] for item in items):
            other, first = owners.setdefault(real.of(path), (split, path))
            if other != split:
                again = "" if first == path else f", as {first}"
                advice = "take it out of one, or write 'splits_share: true' in options"
                raise DataError(f"{path}: in split {other!r}{again} and in split {split!r}; {advice}")


def need_own_labels(found: Found, labels: Mapping[str, LabelFiles], real: RealPaths) -> None:
    """Raise a DataError where pictures share a label, or tasks a file that they read in the same way."""
    owners: dict[tuple[str, str], tuple[Path, Path]] = {}
    every = [item for items in found.values() for item in items]
    pictures = {real.of(item.paths["image"]): item.paths["image"] for item in every}
    for item in every:
        image = item.paths["image"]
        tasks: dict[str, list[str]] = {}
        for task in (task for task in labels if task in item.paths):
            path = item.paths[task]
            file = real.of(path)
            form = labels[task].format
            if form is not None and (FORMATS[form].many or path == image):
                continue
            if file in pictures:
                raise DataError(f"{path}: the label {task!r} of {image}, and itself the picture {pictures[file]}")
            if named_by_content(file) and path.is_symlink():
                continue
            owner, first = owners.setdefault((task, file), (image, path))
            if owner != image and real.of(owner) != real.of(image):
                same = "" if first == path else f" ({first} is the same file)"
                both = f"{owner} and {image} share it as their label of {task}{same}"
                raise DataError(f"{path}: {both}; use {{path}} in options.labels.{task}.files, or rename one")
            _need_another_reading(path, task, tasks.setdefault(file, []), labels)
            tasks[file].append(task)


def _need_another_reading(path: Path, task: str, others: Sequence[str], labels: Mapping[str, LabelFiles]) -> None:
    how = labels[task]
    for other in others:
        if labels[other].model_copy(update={"files": how.files}) == how:
            raise DataError(
                f"{path}: the label of tasks {other!r} and {task!r} ({labels[other].files!r}, {how.files!r}), read in "
                "the same way; give each task its own files, or say in what they differ ('ids', 'threshold', ...)"
            )


def picture_as_label(root: Path, paths: tuple[Path, Path, Path], task: str, options: FolderOptions) -> DataError:
    """What is said of a label that is a picture of the set, with the pattern that leaves out such labels.

    Args:
        root: the source.
        paths: the label's, that of the picture whose label it is, and that by which it is a picture itself.
        task: whose label it is.
        options: of the recipe.
    """
    found, image, itself = paths
    pattern = escape(options.labels[task].files)
    for name in ("{path}", "{stem}", "{name}", "{split}"):
        pattern = pattern.replace(name, "*")
    advice = f"name files in options.labels.{task}.files that are no pictures, or replace the link by a file"
    for exclude in (pattern.rpartition("/")[2], pattern):
        if is_excluded(itself.relative_to(root), (exclude,)) and not is_excluded(image.relative_to(root), (exclude,)):
            advice = f"let it match pictures only, or write 'exclude: [\"{exclude}\"]' in options"
            break
    also = "" if itself == found else f" ({itself})"
    return DataError(
        f"{found}: the label {task!r} of {image.name}, and itself a picture that 'image' matches{also}; {advice}"
    )
