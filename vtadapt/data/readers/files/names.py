"""Which names are data at all, and which only nearly match what is looked for."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from vtadapt.data.source.archive_checks import is_junk
from vtadapt.errors import DataError

_LEFT_BY_PROGRAMS = frozenset(
    {"desktop.ini", "ehthumbs.db", "@eadir", "lost+found", "__pycache__", "$recycle.bin", "system volume information"}
)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif", ".gif")


def is_data(name: str) -> bool:
    """Whether a file or folder of that name may be data: hidden ones and what file managers leave behind are not."""
    return not name.startswith(".") and not is_junk(name) and name.lower() not in _LEFT_BY_PROGRAMS


def with_small_suffix(name: str) -> str:
    """``name`` with its suffix in small letters: ``IMG.JPG`` and ``IMG.jpg`` are one kind of file."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{suffix.lower()}" if dot and stem else name


def plain(name: str) -> str:
    """``name`` with its suffix in small letters and each letter in one piece: macOS takes "ü" apart."""
    return unicodedata.normalize("NFC", with_small_suffix(name))


def no_file(path: Path) -> str:
    """What something is that is there and no file, for counting it."""
    if path.is_dir():
        return "folders where a file is wanted"
    return "links to nothing" if path.is_symlink() else "neither files nor folders"


def folder_in_other_case(name: str) -> str:
    """What is counted where folder ``name`` is wanted and only one in letters of another case is there."""
    return f"folders named like {name!r} in letters of another case"


class PassedOver:
    """Files and folders that are not used though they nearly match: how many, and the first, for each reason."""

    def __init__(self) -> None:
        self.paths: dict[str, dict[Path, None]] = {}

    def add(self, reason: str, path: Path) -> None:
        """Count a path once, however often it is met."""
        self.paths.setdefault(reason, {})[path] = None

    def forget(self, used: Iterable[Path]) -> None:
        """Take those out that turned out to be of use."""
        for found in self.paths.values():
            for path in set(found).intersection(used):
                del found[path]

    def lines(self) -> list[str]:
        """One line per reason."""
        return [f"{len(paths)} {why}, the first: {next(iter(paths))}" for why, paths in self.paths.items() if paths]


def why_absent(looked_for: Iterable[Path], passed_over: PassedOver) -> str:
    """Why files may not be there, for the end of a message: a folder that is not there, or what nearly matched."""
    for path in looked_for:
        folder = path.parent
        while not folder.is_dir() and not folder.is_symlink() and folder.parent != folder:
            path, folder = folder, folder.parent
        if path != folder and not path.parent.is_dir():
            return f"; {path.parent} is a link to nothing"
        if not os.path.lexists(path) and not path.suffix:
            near = other_case(path)
            return f"; there is no {path}" + (f", but {near}; write it as it is" if near else "")
        break
    return "".join(f"; {line}" for line in passed_over.lines()[:1])


def other_case(path: Path) -> Path | None:
    """What lies where ``path`` would, and is named like it in letters of another case."""
    with contextlib.suppress(OSError):
        return next(
            (path.with_name(n) for n in sorted(os.listdir(path.parent)) if _same_but_for_case(n, path.name)), None
        )
    return None


def _same_but_for_case(name: str, other: str) -> bool:
    return name != other and _key(name) == _key(other)


class Listings:
    """Names in folders, each listed once; for looking files up whose suffix may be in letters of either case."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[str]]] = {}
        self._absent: dict[Path, tuple[str, Path] | None] = {}

    def find(self, path: Path) -> Path | None:
        """The file at ``path``, or the one that is named so but for the case of its suffix; None where there is none.

        Raises:
            DataError: there are two such files.
        """
        alike = self._alike(path)
        if path.name in alike:
            return path
        fits = [name for name in alike if plain(name) == plain(path.name)]
        if len(fits) > 1:
            raise DataError(f"{path}: may be {fits[0]} or {fits[1]}, which differ only in case; keep one of them")
        return path.with_name(fits[0]) if fits else None

    def near(self, path: Path) -> Path | None:
        """A file of that name but for its suffix, or for the case of its letters."""
        alike = self._alike(path)
        return path.with_name(alike[0]) if alike else None

    def near_folder(self, path: Path) -> tuple[str, Path] | None:
        """The name of the first folder of ``path`` that is not there, and what differs from it only in case."""
        folder = path.parent
        if folder not in self._absent:
            first = folder
            while not first.parent.is_dir() and first.parent != first:
                first = first.parent
            there = None if folder.is_dir() else other_case(first)
            self._absent[folder] = None if there is None else (first.name, there)
        return self._absent[folder]

    def _alike(self, path: Path) -> list[str]:
        folder = path.parent
        if folder not in self._folders:
            names: dict[str, list[str]] = {}
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for name in sorted(os.listdir(folder)):
                    if is_data(name):
                        names.setdefault(_key(os.path.splitext(name)[0]), []).append(name)
            self._folders[folder] = names
        return self._folders[folder].get(_key(path.stem), [])


def _key(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).lower()
