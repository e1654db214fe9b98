"""The patterns that recipes of the folder reader name files by: checked once, then filled in and looked for.

``*``, ``?`` and ``[...]`` stand for part of a name, ``**`` for any number of folders. Suffixes match in either case,
and linked folders are followed. What nearly matches is counted, so that nothing vanishes without a word: hidden names,
other suffixes of pictures, names in letters of the other case, links in a circle, to nothing, or stored as text.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import translate
from pathlib import Path, PurePosixPath, PureWindowsPath
from string import Formatter

from vtadapt.data.readers.files.names import (
    PICTURES,
    PassedOver,
    folder_in_other_case,
    is_data,
    no_file,
    other_case,
    with_small_suffix,
)
from vtadapt.errors import ConfigError, DataError

WILD = re.compile(r"[*?\[]")


def check_pattern(pattern: str, known: tuple[str, ...]) -> str:
    """``pattern``, where it lies below the source and has no placeholders but those ``known``.

    Raises:
        ValueError: for pydantic, which adds the recipe's key.
    """
    wanted = " or ".join(f"{{{name}}}" for name in known) or "none"
    if not pattern.strip():
        raise ValueError("wanted a pattern below the source")
    if PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).drive:
        raise ValueError("wanted a pattern below the source, not an absolute path")
    if ".." in PurePosixPath(pattern).parts:
        raise ValueError("wanted a pattern below the source, without '..'")
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(pattern)]
    except ValueError as error:
        raise ValueError(f"{error}; the placeholders are {wanted}") from error
    for name, spec, conversion in fields:
        if name is not None and (name not in known or spec or conversion):
            raise ValueError(f"unknown placeholder {{{name}}}; wanted {wanted}")
    return pattern


def without_wildcards(pattern: str) -> str:
    """``pattern``, where its placeholders alone decide which file is meant: one file, which is not searched for.

    Raises:
        ValueError: for pydantic. Brackets are let through: names have them.
    """
    if wild := next((sign for sign in pattern if sign in "*?"), None):
        raise ValueError(f"wanted the name of one file, which '{wild}' cannot be part of; only placeholders vary")
    return pattern


def matching_files(root: Path, pattern: str, key: str, passed_over: PassedOver | None = None) -> list[Path]:
    """Files below ``root`` that match ``pattern``, sorted.

    Args:
        root: the source.
        pattern: see the module's page.
        key: the recipe's, for the message.
        passed_over: where what nearly matches is counted.

    Raises:
        ConfigError: a pattern that cannot be looked for.
        DataError: a folder that cannot be read.
    """
    parts = PurePosixPath(pattern).parts
    wrong = "" if parts else "it names no file"
    wrong = wrong or ("'**' must stand alone between slashes" if any("**" in p and p != "**" for p in parts) else "")
    wrong = wrong or ("it ends in '**'" if parts[-1] == "**" else "")
    if wrong:
        raise ConfigError(f"{key}: {pattern!r} is no pattern of files ({wrong})")
    return sorted(set(_Walk(PassedOver() if passed_over is None else passed_over).files(root, parts)))


def fixed_part(root: Path, pattern: str) -> Path:
    """The folder that every match lies in: the pattern's parts before the first wildcard."""
    folder = root
    for part in Path(pattern).parts[:-1]:
        if not _is_named(folder, part):
            break
        folder = folder / part
    return folder


def _is_named(folder: Path, part: str) -> bool:
    """Whether a part of a pattern is the name of one folder, which may have brackets in it."""
    return not WILD.search(part) or (not set(part) & set("*?") and (folder / part).is_dir())


class _Walk:
    """One walk along a pattern. Linked folders come last, so that each folder keeps its own name before a link's."""

    def __init__(self, passed_over: PassedOver) -> None:
        self.passed_over = passed_over
        self.links: list[tuple[Path, tuple[str, ...]]] = []
        self.seen: set[tuple[int, int, int]] = set()  # device, file number and parts left of each folder

    def files(self, root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """All matches."""
        yield from self._below(root, parts)
        while self.links:
            links, self.links = sorted(self.links), []
            for folder, rest in links:
                if rest[0] == "**" and _leads_back(folder):
                    self.passed_over.add("linked folders that lead back to a folder they lie in", folder)
                    continue
                yield from self._below(folder, rest, linked=True)

    def _below(self, folder: Path, parts: tuple[str, ...], linked: bool = False) -> Iterator[Path]:
        part, rest = parts[0], parts[1:]
        if rest and _is_named(folder, part):
            yield from self._named(folder, part, rest)
            return
        try:
            state = os.stat(folder)
            place = (state.st_dev, state.st_ino, len(parts))
            if place in self.seen:
                if linked:
                    self.passed_over.add("linked folders that are read under another name", folder)
                return
            self.seen.add(place)
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{folder}: cannot be read ({error.strerror})") from error
        if part == "**":
            yield from self._below(folder, rest)
        for entry in entries:
            yield from self._entry(folder, entry, parts)

    def _named(self, folder: Path, name: str, rest: tuple[str, ...]) -> Iterator[Path]:
        """Below a folder that the pattern names without a wildcard."""
        if (folder / name).is_dir():
            yield from self._below(folder / name, rest)
        elif (other := other_case(folder / name)) is not None:
            self.passed_over.add(folder_in_other_case(name), other)

    def _entry(self, folder: Path, entry: os.DirEntry[str], parts: tuple[str, ...]) -> Iterator[Path]:
        part, rest = parts[0], parts[1:]
        path = folder / entry.name
        is_folder, is_file = _is(entry.is_dir), _is(entry.is_file)
        matches = (part == "**" or _fits(entry.name, part)) and (is_folder or not rest)
        if not is_data(entry.name) and not part.startswith("."):
            if matches and is_folder == bool(rest):
                self.passed_over.add("hidden files and folders", path)
        elif rest and is_file and _is_stored_link(path):
            self.passed_over.add("links that were stored as text files", path)
        elif rest and matches:
            below = parts if part == "**" else rest
            if entry.is_symlink():
                self.links.append((path, below))
            else:
                yield from self._below(path, below)
        elif matches and is_file:
            yield path
        elif not is_folder and not rest:
            if not is_file and matches:
                self.passed_over.add(no_file(path), path)
            elif not matches:
                self._near(path, part)

    def _near(self, path: Path, part: str) -> None:
        """Count a file that would match in letters of the other case, or with another suffix of pictures."""
        stem, dot, _ = part.rpartition(".")
        if _fits(path.name.lower(), part.lower()):
            self.passed_over.add("files whose names match in letters of another case", path)
        elif dot and path.suffix.lower() in PICTURES and _fits(path.stem, stem):
            self.passed_over.add(f"pictures with another suffix than {part!r}", path)


def _leads_back(link: Path) -> bool:
    """Whether a link points to a folder that it lies in: what is below it has a shorter path, or is not asked for."""
    return Path(os.path.realpath(link.parent)).is_relative_to(os.path.realpath(link))


def _is(test: Callable[[], bool]) -> bool:
    """What a directory entry says of itself; False for a link to itself."""
    try:
        return test()
    except OSError:
        return False


def _is_stored_link(path: Path) -> bool:
    """Whether a file is what git makes of a linked folder where links are not allowed: a text that says where."""
    try:
        if path.suffix or path.stat().st_size > 1000:
            return False
        target = path.read_text(encoding="utf-8").strip()
        return bool(target) and "\n" not in target and (path.parent / target).is_dir()
    except (OSError, ValueError):
        return False


def _fits(name: str, part: str) -> bool:
    """Whether a name matches one part of a pattern, its suffix in letters of either case."""
    return _regex(part).match(name) is not None or (
        _regex(with_small_suffix(part)).match(with_small_suffix(name)) is not None
    )


@functools.lru_cache(256)
def _regex(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))
