"""Where the folders of a data set lie below what the user gives: archives are unpacked in more than one way."""

from __future__ import annotations

import os
from pathlib import Path

from vtadapt.data.readers.base import need_folder
from vtadapt.data.readers.files.names import is_data
from vtadapt.errors import DataError


def folder_with(source: Path | None, marker: str, wanted: str) -> Path:
    """The folder that holds ``marker``: ``source``, one directly in it, or its parent if it is ``marker`` itself.

    Args:
        source: the user's folder.
        marker: name of a folder that every copy of the data set has.
        wanted: the layout, for the message.

    Raises:
        DataError: there is none, or several of the folders in ``source`` hold one.
    """
    root = need_folder(source, wanted)
    if (root / marker).is_dir():
        return root
    below = [folder for folder in folders_in(root) if (folder / marker).is_dir()]
    if len(below) > 1:
        raise DataError(f"{root}: both {below[0].name} and {below[1].name} hold a folder {marker}; give one of them")
    if below:
        return below[0]
    if root.resolve().name == marker:
        return root.resolve().parent
    raise DataError(f"{root}: no folder {marker}, here or one level below; wanted {wanted}")


def folders_in(root: Path) -> list[Path]:
    """The folders directly in ``root``, sorted by name."""
    with os.scandir(root) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and is_data(entry.name))


def names_in(folder: Path) -> set[str]:
    """Names of the files and folders in ``folder``, with one listing; empty where there is no such folder."""
    try:
        return {name for name in os.listdir(folder) if is_data(name)}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def sort_labels(labels: dict[str, Path], listings: dict[Path, set[str]]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Divide label files into those that are there and those that are not.

    Args:
        labels: path that each task's label should have.
        listings: names in each folder seen so far; folders not seen yet are listed once and noted here.

    Returns:
        (there, absent), both by task.
    """
    there: dict[str, Path] = {}
    absent: dict[str, Path] = {}
    for task, path in labels.items():
        if path.parent not in listings:
            listings[path.parent] = names_in(path.parent)
        (there if path.name in listings[path.parent] else absent)[task] = path
    return there, absent
