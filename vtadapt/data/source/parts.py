"""What the sources consist of: folders, archives and single files, and the names of all that is in them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vtadapt.data.source.archive_checks import is_junk
from vtadapt.data.source.archive_kind import archive_kind, reading
from vtadapt.data.source.archives import contents
from vtadapt.errors import DataError, near_matches

OnSource = Callable[[str, int, int], None]

_PAPERWORK = re.compile(
    r"(readme|licen[cs]e|copying|terms|citation|changelog|checksums?|md5sums?|sha\d*sums?)([-_. ].*)?"
)
_TEXTS = ("", ".txt", ".rst", ".doc", ".docx")
_ALWAYS_PAPERWORK = (".md", ".pdf", ".html", ".htm", ".url", ".torrent", ".md5", ".sha1", ".sha256", ".sha512", ".sfv")
_UNFINISHED = (".part", ".crdownload", ".partial", ".aria2")


@dataclass(frozen=True)
class Part:
    """One thing to read: a plain folder, an archive, or a file that is none."""

    path: Path
    kind: Literal["folder", "archive", "file"]


def parts_of(sources: Sequence[Path]) -> list[Part]:
    """What the sources are, each once, folders of archives replaced by these.

    Raises:
        DataError: see ``open_source``.
    """
    parts: dict[Path, Part] = {}
    for given in sources:
        path = Path(given).expanduser()
        with reading(path):
            is_folder = path.is_dir()
        for part in _folder_parts(path) if is_folder else [_file_part(path)]:
            parts.setdefault(part.path.resolve(), part)
    if not parts:
        raise DataError("no source given; wanted a folder, an archive or a file (--source PATH)")
    found = list(parts.values())
    if len(found) > 1 and (files := [part.path for part in found if part.kind == "file"]):
        raise DataError(f"{files[0]}: no archive, so it cannot be read together with other sources; give it alone")
    return found


def _file_part(path: Path) -> Part:
    if not path.exists():
        near = ""
        with contextlib.suppress(OSError):
            near = near_matches(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [])
        raise DataError(f"{path}: no such file or folder; wanted what was downloaded (--source PATH).{near}")
    if not path.is_file():
        raise DataError(f"{path}: neither a file nor a folder; wanted what was downloaded (--source PATH)")
    if path.name.lower().endswith(_UNFINISHED):
        raise DataError(f"{path}: an unfinished download; let it finish or remove it")
    return Part(path, "file" if archive_kind(path) is None else "archive")


def _folder_parts(folder: Path) -> list[Part]:
    """The folder itself, or its archives where it holds nothing else (readme, licence and checksums do not count)."""
    with reading(folder), os.scandir(folder) as found:
        entries = sorted((e for e in found if not e.name.startswith(".") and not is_junk(e.name)), key=lambda e: e.name)
    if not entries:
        raise DataError(f"{folder}: empty folder; wanted the data set's files or archives")
    if any(entry.is_dir() for entry in entries):
        return [Part(folder, "folder")]
    archives, problems = [], []
    for entry in entries:
        if is_paperwork(entry.name):
            continue
        try:
            part = _file_part(folder / entry.name)
        except DataError as problem:
            problems.append(problem)
            continue
        if part.kind == "file":
            return [Part(folder, "folder")]
        archives.append(part)
    if problems:  # all the rest are archives, so this one would be missed
        raise problems[0]
    return archives or [Part(folder, "folder")]


def is_paperwork(path: str) -> bool:
    """Whether a file only tells about a data set: readme, licence, checksums; several archives may have their own."""
    name = path.rpartition("/")[2].lower()
    suffix = os.path.splitext(name)[1]
    return suffix in _ALWAYS_PAPERWORK or (suffix in _TEXTS and _PAPERWORK.fullmatch(name) is not None)


def names_of(part: Part) -> Iterator[tuple[str, int]]:
    """Relative path (with "/") and bytes of every file of one part."""
    if part.kind == "archive":
        yield from ((place.path, place.size) for place, _ in contents(part.path))
    elif part.kind == "file":
        yield part.path.name, part.path.stat().st_size
    else:
        yield from ((name, path.stat().st_size) for name, path in files_below(part.path))


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative path (with "/") and path of all files below a folder, links followed, hidden ones and junk left out."""
    visited = set()

    def unreadable(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        state = os.stat(root)
        if (state.st_dev, state.st_ino) in visited:  # links in a circle
            folders.clear()
            continue
        visited.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not is_junk(name))
        base = Path(os.path.relpath(root, folder)).as_posix()
        for name in sorted(files):
            if not name.startswith(".") and not is_junk(name):
                yield name if base == "." else f"{base}/{name}", Path(root) / name


def mixed(one: Path, other: Path, name: str) -> DataError:
    """The error for two sources that hold different files of one name."""
    return DataError(
        f"{one} and {other}: both hold {name!r}, with different content (two versions, or another data set?); "
        "give only what belongs together"
    )
