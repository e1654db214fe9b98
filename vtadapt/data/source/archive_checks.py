"""What an archive from elsewhere may hold: names that stay below the target, and sizes that fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vtadapt.data.source.archive_entries import Entry
from vtadapt.errors import DataError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DRIVE = re.compile("^[A-Za-z]:")
_JUNK = {"__macosx", ".ds_store", "thumbs.db"}
MAX_PART, MAX_PATH, MAX_DEPTH = 255, 2000, 64  # bytes of a name, of a path; folders above each other


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold; the defaults let every published data set pass.

    Attributes:
        total: bytes of all files; None: what is free on the target's disk, less ``reserve``.
        reserve: bytes that stay free.
        ratio: declared bytes per byte of the archive, looked at from ``free_ratio_bytes`` on: label maps compress well,
            but a bomb a thousand times and more.
        free_ratio_bytes: up to here any ratio is harmless.
        members: how many; their names are held in memory.
    """

    total: int | None = None
    reserve: int = 1 << 30
    ratio: float = 200.0
    free_ratio_bytes: int = 1 << 30
    members: int = 5_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an admitted entry goes: path below the target with "/", bytes, and for a hard link the file it repeats."""

    path: str
    size: int
    copy_of: str | None = None


def plain_path(name: str) -> str:
    """``name`` as a relative path of plain components, joined by "/"; "" for the archive's own root.

    Backslashes separate, too (Windows, and old zip programs), "." and empty components are dropped.

    Raises:
        ValueError: it is absolute, has a drive letter, ``..``, control characters or is too long; the text is short.
    """
    text = name.replace("\\", "/")
    if _CONTROL.search(text):
        raise ValueError("control characters in its name")
    if text.startswith("/"):
        raise ValueError("an absolute path")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    for part in parts:
        if not part.strip(" ."):  # "..", and what Windows takes for it
            raise ValueError("'..' in its path")
        if _DRIVE.match(part):
            raise ValueError("a drive letter in its path")
        if len(part.encode()) > MAX_PART:
            raise ValueError(f"a name of more than {MAX_PART} bytes")
    if len(parts) > MAX_DEPTH or len(text.encode()) > MAX_PATH:
        raise ValueError("a path too long or too deep")
    return "/".join(parts)


def is_junk(path: str) -> bool:
    """Whether a path is what file managers leave behind: ``__MACOSX``, ``.DS_Store``, ``Thumbs.db``, ``._NAME``."""
    parts = path.split("/")
    return parts[-1].startswith("._") or any(part.lower() in _JUNK for part in parts)


class Gate:
    """Admits the entries of one archive one after the other, or raises.

    Two names that differ only by case are two files; where the file system cannot tell them apart, writing fails.

    Args:
        archive: for messages.
        limits: see ``Limits``.
        free: bytes that all files together may have.
    """

    def __init__(self, archive: Path, limits: Limits, free: int | None = None) -> None:
        self.archive, self.limits = archive, limits
        self.allowed = limits.total if limits.total is not None else free
        self.packed = max(archive.stat().st_size, 1)
        self.files: dict[str, int] = {}
        self.folders: set[str] = set()
        self.total = self.members = self.skipped = 0

    def admit(self, entry: Entry) -> Place | None:
        """Where a file or hard link goes; None for folders and junk.

        Raises:
            DataError: anything that must not be unpacked; the message names archive and member.
        """
        try:
            path = plain_path(entry.name)
        except ValueError as error:
            raise self._refuse(entry, str(error)) from error
        if entry.refused:
            raise self._refuse(entry, entry.refused)
        self._count(entry.size)
        if is_junk(path):
            self.skipped += 1
            return None
        if entry.kind == "folder" or not path:
            if path in self.files:
                raise self._refuse(entry, "both a file and a folder")
            if path:
                self._add_folder(path, entry)
            return None
        return self._file(path, entry)

    def _file(self, path: str, entry: Entry) -> Place:
        if path in self.files:
            raise self._refuse(entry, "there twice")
        if path in self.folders:
            raise self._refuse(entry, "both a file and a folder")
        parent = path.rpartition("/")[0]
        if parent and parent not in self.folders:
            self._add_folder(parent, entry)
        size, source = entry.size, None
        if entry.kind == "hard link":
            try:
                source = plain_path(entry.link)
            except ValueError as error:
                raise self._refuse(entry, f"a link to {entry.link[:200]!r}, {error}") from error
            if source not in self.files:
                raise self._refuse(entry, f"a link to {entry.link[:200]!r}, which is no file before it in the archive")
            size = self.files[source]
            self._count(size, member=False)
        self.files[path] = size
        return Place(path, size, source)

    def _add_folder(self, path: str, entry: Entry) -> None:
        while path and path not in self.folders:
            if path in self.files:
                raise self._refuse(entry, f"below {path!r}, which is a file")
            self.folders.add(path)
            path = path.rpartition("/")[0]

    def _count(self, size: int, member: bool = True) -> None:
        self.members += member
        self.total += size
        if self.members > self.limits.members:
            raise DataError(
                f"{self.archive}: more than {self.limits.members} members; refused as a decompression bomb: "
                "unpack it yourself if you trust it"
            )
        if self.total > self.limits.free_ratio_bytes and self.total > self.limits.ratio * self.packed:
            raise DataError(
                f"{self.archive}: declares {self.total} bytes or more from {self.packed} "
                f"(over {self.limits.ratio:g} times); refused as a decompression bomb: "
                "unpack it yourself if you trust it"
            )
        if self.allowed is not None and self.total > self.allowed:
            raise DataError(
                f"{self.archive}: declares {self.total} bytes or more, there is room for {max(self.allowed, 0)} "
                f"({self.limits.reserve} stay free); free some space or choose another folder"
            )

    def _refuse(self, entry: Entry, why: str) -> DataError:
        advice = "make an archive without a password" if why == "encrypted" else "unpack it yourself if you trust it"
        return DataError(
            f"{self.archive}: member {entry.name[:200]!r} is refused ({why}); nothing of it is used: {advice}"
        )
