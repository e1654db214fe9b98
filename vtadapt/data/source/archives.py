"""Unpacking archives from elsewhere: nothing is written outside the target, and nothing before all names are checked.

zip, tar, tar.gz, tar.bz2 and tar.xz are told by their content. An archive is read twice: first all its entries are
judged (``archive_checks``: absolute paths, ``..``, links, devices, duplicates, encryption, declared sizes; a compressed
tar is decompressed for this, so that one that was cut short is found before anything is written), then they are
written, each no longer than declared. Files get plain permissions and the archive's time of change. Hard links to a
file that stands before them in the archive become copies of it; symbolic links are refused; archives inside the archive
stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vtadapt.atomic import disk_error
from vtadapt.data.source.archive_checks import Gate, Limits, Place
from vtadapt.data.source.archive_entries import CHUNK, Entry, opened
from vtadapt.data.source.archive_kind import archive_kind, reading
from vtadapt.errors import DataError

__all__ = ["Limits", "Unpacked", "archive_kind", "contents", "unpack"]

Done = Callable[[int, int], None]


@dataclass(frozen=True)
class Unpacked:
    """What was written: ``files``, ``bytes``; ``skipped`` entries are leftovers of file managers."""

    files: int
    bytes: int
    skipped: int


def contents(
    archive: Path, limits: Limits | None = None, *, free: int | None = None, on_progress: Done | None = None
) -> Iterator[tuple[Place, Entry]]:
    """The files of an archive in their order, each judged; nothing is written.

    Args:
        archive: the file.
        limits: see ``Limits``.
        free: bytes that the files may have where ``limits.total`` is None; None: any number.
        on_progress: called with (done, total) bytes of the archive.

    Raises:
        DataError: no archive, damaged, or with anything that must not be unpacked.
    """
    gate = Gate(archive, limits or Limits(), free)
    with opened(archive, need_archive(archive)) as (raw, entries):
        for entry in entries:
            if (place := gate.admit(entry)) is not None:
                yield place, entry
            if on_progress is not None:
                on_progress(min(raw.tell(), gate.packed), gate.packed)


def need_archive(path: Path) -> str:
    """The kind of an archive; DataError where it is none."""
    kind = archive_kind(path)
    if kind is None:
        raise DataError(f"{path}: no archive; wanted zip, tar, tar.gz, tar.bz2 or tar.xz")
    return kind


def unpack(archive: Path, target: Path, *, limits: Limits | None = None, on_progress: Done | None = None) -> Unpacked:
    """Write the files of ``archive`` below ``target``, a folder that is empty or not there yet.

    Args:
        archive: the file.
        target: left empty (or absent, as it was) if anything goes wrong.
        limits: see ``Limits``.
        on_progress: called with (done, total); both are bytes of the archive, counted once per reading.

    Raises:
        DataError: no archive, damaged (archive and member are named), with anything that must not be unpacked, or the
            disk is full.
    """
    limits = limits or Limits()
    was_there = target.exists()
    if was_there and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target}: not empty; archives are unpacked into a folder of their own")
    free = free_bytes(target) - limits.reserve
    twice = _Twice(archive, on_progress)
    if not sum(1 for _ in contents(archive, limits, free=free, on_progress=twice.first)):
        raise DataError(f"{archive}: holds no files; download it again")
    try:
        with disk_error(target):
            target.mkdir(parents=True, exist_ok=True)
        return _write_all(archive, target, Gate(archive, limits, free), twice.second)
    except BaseException:
        _clear(target, keep=was_there)
        raise


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not be there yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _write_all(archive: Path, target: Path, gate: Gate, on_progress: Done) -> Unpacked:
    """The second reading; the entries are judged again, so a file exchanged meanwhile does no harm."""
    files = size = 0
    made: set[str] = set()
    with opened(archive, need_archive(archive)) as (raw, entries):
        for entry in entries:
            if (place := gate.admit(entry)) is None:
                continue
            parent = place.path.rpartition("/")[0]
            path = target / place.path
            if parent not in made:
                with disk_error(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                made.add(parent)
            if place.copy_of is None:
                _write(archive, path, entry, lambda: on_progress(min(raw.tell(), gate.packed), gate.packed))
            else:
                with disk_error(path):
                    shutil.copyfile(target / place.copy_of, path)
            with contextlib.suppress(OSError, OverflowError, ValueError):  # a strange time is no reason to stop
                os.utime(path, (entry.mtime, entry.mtime))
            files, size = files + 1, size + place.size
            on_progress(min(raw.tell(), gate.packed), gate.packed)
    on_progress(gate.packed, gate.packed)
    return Unpacked(files, size, gate.skipped)


def _write(archive: Path, path: Path, entry: Entry, after_chunk: Callable[[], None]) -> None:
    """Write one file, which must not be there yet."""
    try:
        with disk_error(path), path.open("xb") as file:
            for chunk in content_of(archive, entry):
                file.write(chunk)
                after_chunk()
    except DataError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise DataError(
                f"{archive}: member {entry.name!r} has a name that this file system cannot tell from another's; "
                "unpack it elsewhere"
            ) from error
        raise


def content_of(archive: Path, entry: Entry) -> Iterator[bytes]:
    """The content of a file in pieces.

    Raises:
        DataError: damaged, or more or fewer bytes than declared.
    """
    with reading(archive, entry.name):
        file = entry.open()
    written = 0
    with file:
        while True:
            with reading(archive, entry.name):
                chunk = file.read(CHUNK)
            if not chunk:
                break
            written += len(chunk)
            if written > entry.size:
                raise DataError(
                    f"{archive}: member {entry.name[:200]!r} holds more than the {entry.size} bytes that it declares, "
                    "as in a decompression bomb; refused"
                )
            yield chunk
    if written < entry.size:
        raise DataError(
            f"{archive}: cut short or damaged at member {entry.name[:200]!r} ({written} of {entry.size} bytes); "
            "download it again"
        )


def _clear(target: Path, keep: bool) -> None:
    """Remove what was written."""
    if not keep:
        shutil.rmtree(target, ignore_errors=True)
        return
    for path in target.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class _Twice:
    """Progress of an archive that is read twice: the second reading counts from the middle on."""

    def __init__(self, archive: Path, on_progress: Done | None) -> None:
        self.report = on_progress
        self.one_reading = need_archive(archive) == "zip"  # the first only looks at its list

    def first(self, done: int, total: int) -> None:
        """While judging."""
        if self.report is not None and not self.one_reading:
            self.report(done, 2 * total)

    def second(self, done: int, total: int) -> None:
        """While writing."""
        if self.report is not None:
            self.report(*((done, total) if self.one_reading else (done + total, 2 * total)))
