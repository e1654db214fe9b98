"""From what the user gives as ``--source`` to the one folder or file that a reader wants.

A folder is read as it is, and so is a single file that is no archive (``nyu_depth_v2_labeled.mat``). Archives, and
folders that hold nothing else, are unpacked into a cache (``source_cache``), several into one tree. A plain folder can
be given beside archives or other folders: its files are then linked into that tree (no copies; same disk only).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vtadapt.atomic import disk_error, folder_lock
from vtadapt.data.source.archive_checks import Limits, is_junk
from vtadapt.data.source.archive_kind import archive_kind, reading
from vtadapt.data.source.archives import content_of, contents
from vtadapt.errors import DataError, near_matches

OnSource = Callable[[str, int, int], None]

_PAPERWORK = re.compile(
    r"(readme|licen[cs]e|copying|terms|citation|changelog|checksums?|md5sums?|sha\d*sums?)([-_. ].*)?"
)
_TEXTS = ("", ".txt", ".rst", ".doc", ".docx")
_ALWAYS_PAPERWORK = (".md", ".pdf", ".html", ".htm", ".url", ".torrent", ".md5", ".sha1", ".sha256", ".sha512", ".sfv")
_UNFINISHED = (".part", ".crdownload", ".partial", ".aria2")
# Files that readers open to find samples: lists of names, so they are there in a skeleton.
_LISTS = {".txt": 16 << 20, ".csv": 16 << 20, ".tsv": 16 << 20, ".lst": 16 << 20, ".yaml": 1 << 20, ".yml": 1 << 20}
_LISTS |= {".json": 1 << 20, ".xml": 1 << 20}
_ALL_LISTS = 512 << 20


@dataclass(frozen=True)
class Part:
    """One thing to read: a plain folder, an archive, or a file that is none."""

    path: Path
    kind: Literal["folder", "archive", "file"]


@contextlib.contextmanager
def open_source(
    sources: Sequence[Path], cache: Path, *, limits: Limits | None = None, on_progress: OnSource | None = None
) -> Iterator[Path]:
    """The folder or file that a reader is given; archives are unpacked first, each only once.

    Args:
        sources: what the user named.
        cache: a folder for unpacked files, made if needed; it is locked while the context is open, and stays (see
            ``source_cache.discard``), so that a later run need not unpack again.
        limits: what archives may hold.
        on_progress: called with (name of the archive, done, total) while unpacking.

    Raises:
        DataError: a source is missing, empty, unreadable or of no use beside the others; an archive is damaged or
            unsafe; two sources hold different files of one name; the disk is full; another run uses the cache.
    """
    from vtadapt.data.source.cache import fill  # it imports from here

    parts = parts_of(sources)
    if len(parts) == 1 and parts[0].kind != "archive":
        yield parts[0].path
        return
    with disk_error(cache):
        cache.mkdir(parents=True, exist_ok=True)
    with folder_lock(cache / "lock"):
        yield fill(cache, parts, limits or Limits(), on_progress)


def names(sources: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """Relative path and bytes of every file in the sources; nothing is written. See ``open_source`` for the errors."""
    for part in parts_of(sources):
        yield from names_of(part)


def names_of(part: Part) -> Iterator[tuple[str, int]]:
    """Relative path (with "/") and bytes of every file of one part."""
    if part.kind == "archive":
        yield from ((place.path, place.size) for place, _ in contents(part.path))
    elif part.kind == "file":
        yield part.path.name, part.path.stat().st_size
    else:
        yield from ((name, path.stat().st_size) for name, path in files_below(part.path))


def skeleton(sources: Sequence[Path], folder: Path, *, on_progress: OnSource | None = None) -> Path:
    """A folder with the names of all files, for a dry run: enough for ``Reader.find``, not for loading.

    Lists (text, CSV, JSON and the like) have their content, all else is empty. A single folder or file comes back as it
    is. A compressed tar must be decompressed once for its names.

    Args:
        sources: as for ``open_source``.
        folder: an empty folder that the caller removes.
        on_progress: called with (name of the archive, done, total) bytes of the archive.

    Raises:
        DataError: as ``open_source``; names that two sources give different sizes count as different content.
    """
    parts = parts_of(sources)
    if len(parts) == 1 and parts[0].kind != "archive":
        return parts[0].path
    seen: dict[str, tuple[int, Part]] = {}
    left = _ALL_LISTS
    for part in parts:
        for name, size, content in _with_content(part, on_progress):
            if name in seen:
                if seen[name][0] != size and not is_paperwork(name):
                    raise mixed(part.path, seen[name][1].path, name)
                continue
            seen[name] = (size, part)
            path = folder / name
            wanted = size <= min(_LISTS.get(path.suffix.lower(), 0), left)
            left -= size if wanted else 0
            with disk_error(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.writelines(content() if wanted else ())
    return folder


def _with_content(part: Part, on_progress: OnSource | None) -> Iterator[tuple[str, int, Callable[[], Iterable[bytes]]]]:
    if part.kind != "archive":
        for name, path in files_below(part.path):
            yield name, path.stat().st_size, partial(_read, path)
        return
    tell = None if on_progress is None else lambda done, total: on_progress(part.path.name, done, total)
    for place, entry in contents(part.path, on_progress=tell):
        # The content of a hard link stands before it in the stream: such a list stays empty.
        content = partial(content_of, part.path, entry) if place.copy_of is None else tuple
        yield place.path, place.size, content


def _read(path: Path) -> list[bytes]:
    with reading(path):
        return [path.read_bytes()]


def mixed(one: Path, other: Path, name: str) -> DataError:
    """The error for two sources that hold different files of one name."""
    return DataError(
        f"{one} and {other}: both hold {name!r}, with different content (two versions, or another data set?); "
        "give only what belongs together"
    )


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


def called(found: Any, tree: Path, sources: Sequence[Path]) -> Any:
    """``found`` with the sources in its texts where they name the tree that these were unpacked into."""
    if isinstance(found, str):
        where = " + ".join(map(str, sources))
        return found.replace(f"{tree}{os.sep}", f"{where}: ").replace(str(tree), where)
    if isinstance(found, dict):
        return {key: called(value, tree, sources) for key, value in found.items()}
    return [called(value, tree, sources) for value in found] if isinstance(found, list) else found


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
