"""Which samples ``prepare`` works on, and what tells whether their files have changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.data.prepare.inside import need_inside
from vtadapt.data.readers.base import need_files
from vtadapt.data.readers.files.names import is_data
from vtadapt.data.readers.table import Item, Reader
from vtadapt.errors import DataError

WRAPPINGS = 3  # folders around the one that is wanted


def find_splits(
    reader: Reader, source: Path | None, splits: Sequence[str], limit: int | None, skip_broken: bool
) -> dict[str, list[Item]]:
    """Samples of each split, at most ``limit``; optional splits that are absent are left out.

    Args:
        reader: knows the files.
        source: the user's folder; None for synthetic sets.
        splits: those wanted.
        limit: at most so many samples of each.
        skip_broken: let samples pass whose files are missing; loading them then says so.

    Raises:
        DataError: a split without samples, or a missing file (the first is named, all are counted).
    """
    found = {split: find_split(reader, source, split) for split in splits}
    for split, items in found.items():
        if not items and split not in reader.options.optional_splits:
            raise DataError(
                f"{source or reader.recipe.name}: no samples for split {split!r}; give it a larger share, "
                "leave it out with --splits, or list it in options.optional_splits of the recipe"
            )
    if not any(found.values()):
        raise DataError(f"{source}: no samples in any of the splits {', '.join(splits)}")
    reader.check(source, found)
    found = {split: items[:limit] for split, items in found.items() if items}
    if not skip_broken:
        paths = (path for items in found.values() for item in items for path in item.paths.values())
        need_files(paths, f"{reader.every_sample_has} (--skip-broken leaves such samples out)")
    return found


def find_split(reader: Reader, source: Path | None, split: str) -> list[Item]:
    """What ``reader.find`` gives, also where all files lie in one more folder, as archives often have it.

    Raises:
        DataError: of ``source`` itself, where neither it nor that folder is what the reader wants.
    """
    problem: DataError | None = None
    try:
        if items := _found(reader, source, split):
            return items
    except DataError as error:
        problem = error
    inner = source
    for _ in range(WRAPPINGS):
        if (inner := _only_folder(inner)) is None:
            break
        with contextlib.suppress(DataError):
            if items := _found(reader, inner, split):
                return items
    if problem is not None:
        raise problem
    return []  # an optional split that is nowhere


def _found(reader: Reader, source: Path | None, split: str) -> list[Item]:
    """What ``reader.find`` gives, none of it outside the source."""
    items = reader.find(source, split)
    if source is not None:
        need_inside(items, source)
    return items


def _only_folder(folder: Path | None) -> Path | None:
    """The one folder in ``folder``, if there is no other and no file but hidden ones and texts."""
    if folder is None or not folder.is_dir():
        return None
    entries = [path for path in folder.iterdir() if is_data(path.name)]
    folders = [path for path in entries if path.is_dir()]
    texts = all(path.is_dir() or path.suffix.lower() in ("", ".md", ".txt", ".pdf") for path in entries)
    return folders[0] if len(folders) == 1 and texts else None


def labelled_tasks(
    reader: Reader, found: Mapping[str, Sequence[Item]], tasks: Sequence[str], asked: bool
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Which of ``tasks`` any sample has a label of, and for the others where one was looked for.

    Args:
        reader: knows the samples.
        found: samples of each split.
        tasks: those to store.
        asked: whether the user named them; else those without a label are simply left out.

    Raises:
        DataError: no label of a task that was asked for, or of any task.
    """
    having: set[str] = set()
    for items in found.values():
        for item in items:
            if not having.issuperset(tasks):
                having |= reader.tasks_of(item)
    count = sum(map(len, found.values()))
    left_out = {task: looked_for(reader, found, task) for task in tasks if task not in having}
    if left_out and (asked or len(left_out) == len(tasks)):
        task, where = next(iter(left_out.items()))
        raise DataError(f"none of {count} samples has a label for {task!r}: {where}; leave it out with --tasks")
    return tuple(task for task in tasks if task in having), left_out


def looked_for(reader: Reader, found: Mapping[str, Sequence[Item]], task: str) -> str:
    """Where the labels of a task were looked for."""
    how = reader.recipe.tasks[task].derive
    if how is not None:
        return f"it is derived from {how.source!r}, of which there is none"
    for items in found.values():
        for item in items:
            if task in item.absent:
                return f"no such file as {item.absent[task]}"
    return "no files of it"


def absent_labels(items: Sequence[Item], tasks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per task how many samples lack its file, and the first file that was looked for."""
    result: dict[str, dict[str, Any]] = {}
    for item in items:
        for task, path in item.absent.items():
            if task in tasks:
                entry = result.setdefault(task, {"samples": 0, "first": str(path)})
                entry["samples"] += 1
    return result


def listing(items: Sequence[Item], source: Path | None) -> str:
    """Digest of the samples' names and of path below ``source``, size and time of change of their files."""
    digest = hashlib.sha256()
    for item in items:
        files = [(role, *_state(path, source)) for role, path in sorted(item.paths.items())]
        digest.update(json.dumps([item.name, item.seed, item.index, files]).encode())
    return digest.hexdigest()


def _state(path: Path, source: Path | None) -> tuple[str, int, int]:
    """Relative path, bytes and nanoseconds; (-1, 0) where there is no such file."""
    name = path.as_posix() if source is None else Path(os.path.relpath(path, source)).as_posix()
    try:
        state = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in a name from a list
        return name, -1, 0
    return name, state.st_size, state.st_mtime_ns
