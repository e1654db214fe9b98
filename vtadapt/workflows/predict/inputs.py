"""The photographs and videos that a command is given: found, named, and left out where they cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.errors import DataError, UsageError
from vtadapt.workflows.terminal.text import say

PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")


class BrokenImageError(DataError):
    """A photograph that cannot be read; others may be fine."""


class BrokenVideoError(DataError):
    """A file from which no frame can be read; others may be fine."""


def is_video(path: Path) -> bool:
    """Whether a file's name ends as that of a video does."""
    return path.suffix.lower() in VIDEOS


def find_images(paths: Sequence[Path], suffixes: Sequence[str] = PHOTOGRAPHS) -> Iterator[Path]:
    """Yield the photographs meant by files and folders, those of a folder in order of their names.

    Args:
        paths: files of any name, or folders.
        suffixes: what is taken of a folder.

    Raises:
        DataError: nothing there, or a folder without any.
    """
    for path in paths:
        if not path.is_dir():
            if not path.is_file():
                wanted = "photographs or videos" if set(VIDEOS) & set(suffixes) else "photographs"
                raise DataError(f"no image or folder at {os.fspath(path)!r}; wanted {wanted}")
            yield path
            continue
        # Names that begin with a dot are those of files that are being written.
        named = (p for p in path.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
        found = sorted(p for p in named if p.is_file())
        if not found:
            raise DataError(f"no image in folder {os.fspath(path)!r}; wanted files ending in {', '.join(suffixes)}")
        yield from found


def unique_stems(files: Sequence[Path]) -> list[str]:
    """Names for the outputs: the stem, with a number where it is taken (a.jpg, a.png -> a, a-2)."""
    stems = {file.stem for file in files}
    taken: set[str] = set()
    names = []
    for file in files:
        name, number = file.stem, 1
        while name in taken or (number > 1 and name in stems):
            number += 1
            name = f"{file.stem}-{number}"
        taken.add(name)
        names.append(name)
    return names


def check_out(files: Sequence[Path], out: Path) -> None:
    """Refuse to write among the photographs, over what bears the same name.

    Raises:
        UsageError: ``out`` is the folder of one of ``files``, under whatever name.
    """
    for folder, file in {file.parent: file for file in files}.items():
        if out.is_dir() and out.samefile(folder):
            raise UsageError(f"--out {out} is the folder of {file.name}; name another, so that nothing there is lost")


def leave_out(file: Path, error: DataError) -> dict[str, str]:
    """Tell on stderr that a file is left out; returns its {"image", "error"}."""
    reason = " ".join(str(error).split())
    say(f"left out: {reason}")
    return {"image": str(file), "error": reason}


def failure_of(results: Sequence[Mapping[str, Any]]) -> str | None:
    """One line on the files that could not be read; None where all could."""
    names = [Path(entry["image"]).name for entry in results if "error" in entry]
    if not names:
        return None
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    return f"{len(names)} of {len(results)} files could not be read and were left out: {shown}"
