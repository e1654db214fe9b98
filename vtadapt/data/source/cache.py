"""One tree from several archives, built so that a killed run loses no more than the archive it was at.

Below the cache: ``files`` is the tree, ``unpacking`` the archive at work, ``state.json`` what is finished. An archive
is unpacked into ``unpacking``, compared with the tree, noted as moving, moved (by renaming) and noted as done. So a run
that is killed leaves either a half ``unpacking``, which is removed, or one that is whole and half moved, which is moved
on. The cache holds just the sources of its last run: other sources, or a tree with a file too few, start it afresh.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error, remove_leftovers, write_json
from vtadapt.data.source.archive_checks import Limits
from vtadapt.data.source.archive_kind import reading
from vtadapt.data.source.archives import unpack
from vtadapt.data.source.parts import OnSource, Part, files_below, is_paperwork, mixed, names_of
from vtadapt.errors import DataError
from vtadapt.strict_json import read_checked

TREE, UNPACKING, STATE, LOCK = "files", "unpacking", "state.json", "lock"
FORMAT = 1
EDGE = 1 << 20

Identity = dict[str, Any]


@dataclass
class _State:
    """What the tree holds: whole parts, with files and bytes of all; ``moving`` counts in them."""

    done: list[Identity] = field(default_factory=list)
    moving: Identity | None = None
    files: int = 0
    bytes: int = 0
    format: int = FORMAT


def fill(cache: Path, parts: Sequence[Part], limits: Limits, on_progress: OnSource | None) -> Path:
    """Bring the cache up to date with ``parts`` and return its tree; call it only while holding the cache's lock."""
    identities = [identity(part) for part in parts]
    with disk_error(cache):
        remove_leftovers(cache, alone=True)
    state = _take_up(cache, identities)
    for number, (part, own) in enumerate(zip(parts, identities, strict=True)):
        if own in state.done:
            continue
        new = cache / UNPACKING
        if part.kind == "archive":
            tell = None if on_progress is None else _named(on_progress, part.path.name)
            unpack(part.path, new, limits=limits, on_progress=tell)
        else:
            _link(part.path, new)
        try:
            files, size = _compare(cache, parts, number)
        except DataError:
            shutil.rmtree(new, ignore_errors=True)
            raise
        state.files, state.bytes, state.moving = state.files + files, state.bytes + size, own
        write_json(cache / STATE, asdict(state), checked=True)
        _finish_move(cache, state)
    return cache / TREE


def discard(cache: Path) -> None:
    """Remove a cache and all that is in it; files that were only linked stay where they are."""
    shutil.rmtree(cache, ignore_errors=True)


def identity(part: Part) -> Identity:
    """What tells whether a part is the same as in an earlier run.

    Archives: name, bytes, time of change, and SHA-256 of the first and last MiB; folders: that of their listing.
    """
    digest = hashlib.sha256()
    if part.kind == "folder":
        for name, path in files_below(part.path):
            state = path.stat()
            digest.update(json.dumps([name, state.st_size, state.st_mtime_ns]).encode())
        return {"name": part.path.resolve().name, "listing": digest.hexdigest()}
    with reading(part.path), part.path.open("rb") as file:
        state = os.fstat(file.fileno())
        digest.update(file.read(EDGE))
        file.seek(max(0, state.st_size - EDGE))
        digest.update(file.read(EDGE))
    return {
        "name": part.path.name,
        "bytes": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "edges": digest.hexdigest(),
    }


def _named(on_progress: OnSource, name: str) -> Any:
    return lambda done, total: on_progress(name, done, total)


def _take_up(cache: Path, identities: Sequence[Identity]) -> _State:
    """The state that a former run left, its move finished; an empty cache where it is of no use."""
    try:
        state = _State(**read_checked(cache / STATE))
        known = [*state.done, *([state.moving] if state.moving else [])]
        usable = state.format == FORMAT and all(one in identities for one in known)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        state, usable = _State(), False
    if usable and state.moving:
        _finish_move(cache, state)
    if usable and known and _count(cache / TREE) != (state.files, state.bytes):
        usable = False
    with disk_error(cache):
        for path in cache.iterdir():
            if path.name != LOCK and not (usable and path.name in (TREE, STATE)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return state if usable else _State()


def _count(tree: Path) -> tuple[int, int]:
    """Files and bytes below a folder; (0, 0) where there is none."""
    sizes = [os.path.getsize(os.path.join(root, name)) for root, _, files in os.walk(tree) for name in files]
    return len(sizes), sum(sizes)


def _finish_move(cache: Path, state: _State) -> None:
    """Move what is left in ``unpacking`` into the tree, and note it."""
    new, tree = cache / UNPACKING, cache / TREE
    with disk_error(tree):
        if new.exists() and not tree.exists():
            new.rename(tree)
        for root, _, files in os.walk(new):
            place = tree / os.path.relpath(root, new)
            place.mkdir(parents=True, exist_ok=True)
            for name in files:
                if (place / name).exists():  # compared before: the same
                    os.unlink(os.path.join(root, name))
                else:
                    os.rename(os.path.join(root, name), place / name)
        if new.exists():
            shutil.rmtree(new)
    assert state.moving is not None
    state.done, state.moving = [*state.done, state.moving], None
    write_json(cache / STATE, asdict(state), checked=True)


def _compare(cache: Path, parts: Sequence[Part], number: int) -> tuple[int, int]:
    """Files and bytes that the part in ``unpacking`` adds to the tree.

    Raises:
        DataError: it has another file, or a folder in place of a file, of a name that the tree has.
    """
    new, tree = cache / UNPACKING, cache / TREE
    filecmp.clear_cache()  # it goes by size and time, which archives set as they like
    files = size = 0
    for root, folders, names in os.walk(new):
        base = Path(os.path.relpath(root, new))
        for name in folders:
            if (tree / base / name).is_file():
                raise _conflict(parts, number, (base / name).as_posix())
        for name in names:
            path, place = Path(root) / name, tree / base / name
            if not place.exists():
                files, size = files + 1, size + path.stat().st_size
                continue
            relative = (base / name).as_posix()
            # Cityscapes' archives, for one, each bring a README of their own: the first stays.
            same = place.is_file() and (is_paperwork(relative) or filecmp.cmp(path, place, shallow=False))
            if not same:
                raise _conflict(parts, number, relative)
    return files, size


def _conflict(parts: Sequence[Part], number: int, name: str) -> DataError:
    """Name the part that brought the file which is there already."""
    for part in parts[:number]:
        if any(one == name or one.startswith(f"{name}/") for one, _ in names_of(part)):
            return mixed(parts[number].path, part.path, name)
    return mixed(parts[number].path, parts[0].path, name)


def _link(folder: Path, target: Path) -> None:
    """Give all files below ``folder`` a second name below ``target``: they take no space and are never written to."""
    try:
        for name, path in files_below(folder):
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(os.path.realpath(path), place)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise DataError(
            f"{folder}: cannot be joined with the other sources ({os.strerror(error.errno or 0)}: {error.filename}); "
            "put all files into one folder and give that"
        ) from error
