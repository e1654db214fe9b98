"""From what the user gives as ``--source`` to the one folder or file that a reader wants.

A folder is read as it is, and so is a single file that is no archive (``nyu_depth_v2_labeled.mat``). Archives, and
folders that hold nothing else, are unpacked into a cache (``cache``), several into one tree. A plain folder can
be given beside archives or other folders: its files are then linked into that tree (no copies; same disk only).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error
from vtadapt.data.source.archive_checks import Limits
from vtadapt.data.source.archive_kind import reading
from vtadapt.data.source.archives import content_of, contents
from vtadapt.data.source.cache import fill
from vtadapt.data.source.links import need_no_way_out
from vtadapt.data.source.parts import OnSource, Part, files_below, is_paperwork, mixed, names_of, parts_of
from vtadapt.lock import folder_lock

# Files that readers open to find samples, lists of names and annotations: they are there in a skeleton.
_LISTS = {".txt": 16 << 20, ".csv": 16 << 20, ".tsv": 16 << 20, ".lst": 16 << 20, ".yaml": 1 << 20, ".yml": 1 << 20}
_LISTS |= {".json": 512 << 20, ".xml": 512 << 20}
_ALL_LISTS = 1 << 30


@contextlib.contextmanager
def open_source(
    sources: Sequence[Path],
    cache: Path,
    *,
    limits: Limits | None = None,
    on_progress: OnSource | None = None,
    follow_links: bool = False,
) -> Iterator[Path]:
    """The folder or file that a reader is given; archives are unpacked first, each only once.

    Args:
        sources: what the user named.
        cache: a folder for unpacked files, made if needed; it is locked while the context is open, and stays (see
            ``cache.discard``), so that a later run need not unpack again.
        limits: what archives may hold.
        on_progress: called with (name of the archive, done, total) while unpacking.
        follow_links: read what links in folders lead to outside of them, too.

    Raises:
        DataError: a source is missing, empty, unreadable or of no use beside the others; an archive is damaged or
            unsafe; two sources hold different files of one name; the disk is full; another run uses the cache; a link
            leads out of a folder.
    """
    if not follow_links:
        need_no_way_out(sources)
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


def skeleton(
    sources: Sequence[Path], folder: Path, *, on_progress: OnSource | None = None, follow_links: bool = False
) -> Path:
    """A folder with the names of all files, for a dry run: enough for ``Reader.find``, not for loading.

    Lists (text, CSV, JSON and the like) have their content, all else is empty. A single folder or file comes back as it
    is. A compressed tar must be decompressed once for its names.

    Args:
        sources: as for ``open_source``.
        folder: an empty folder that the caller removes.
        on_progress: called with (name of the archive, done, total) bytes of the archive.
        follow_links: as for ``open_source``.

    Raises:
        DataError: as ``open_source``; names that two sources give different sizes count as different content.
    """
    if not follow_links:
        need_no_way_out(sources)
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


def called(found: Any, tree: Path, sources: Sequence[Path]) -> Any:
    """``found`` with the sources in its texts where they name the tree that these were unpacked into."""
    if isinstance(found, str):
        where = " + ".join(map(str, sources))
        return found.replace(f"{tree}{os.sep}", f"{where}: ").replace(str(tree), where)
    if isinstance(found, dict):
        return {key: called(value, tree, sources) for key, value in found.items()}
    return [called(value, tree, sources) for value in found] if isinstance(found, list) else found
