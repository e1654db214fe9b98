"""The photographs and videos that a command is given: found, named, and left out where they cannot be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.data.readers.raw.picture import is_there
from vtadapt.errors import DataError, UsageError, VtadaptError
from vtadapt.workflows.terminal.text import say

PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")


class BrokenImageError(DataError):
    """A photograph that cannot be read; others may be fine."""


class LargeImageError(BrokenImageError):
    """A photograph that the memory does not hold; smaller ones may be fine."""

    exit_code = VtadaptError.exit_code


class BrokenVideoError(DataError):
    """A file from which no frame can be read; others may be fine."""


def is_video(path: Path) -> bool:
    """Whether a file's name ends as that of a video does, or it is a camera."""
    return path.suffix.lower() in VIDEOS or camera_of(path) is not None


def camera_of(path: Path) -> int | None:
    """The camera that a bare number means, unless there is a file or a folder of that name; None for all else."""
    text = os.fspath(path)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 and not path.exists() else None


def named(path: Path) -> str:
    """What a file or a camera is called."""
    number = camera_of(path)
    return path.name if number is None else f"camera-{number}"


def listed(paths: Sequence[Path]) -> Iterator[Path]:
    """``paths``, and for "-" those that stdin lists, one a line (or with a zero byte after each, as find -print0 does).

    Raises:
        DataError: it lists none.
    """
    for path in paths:
        if os.fspath(path) != "-":
            yield path
            continue
        raw = getattr(sys.stdin, "buffer", None)
        text = sys.stdin.read() if raw is None else os.fsdecode(raw.read())
        lines = [line for line in (text.split("\0") if "\0" in text else text.splitlines()) if line.strip()]
        if not lines:
            raise DataError("no path on stdin, which - stands for; wanted one a line")
        yield from map(Path, lines)


def find_images(paths: Sequence[Path], suffixes: Sequence[str] = PHOTOGRAPHS) -> Iterator[Path]:
    """Yield the photographs meant by files and folders, those of a folder in order of their names.

    Args:
        paths: files of any name, or folders; "-" for what stdin lists; where videos are taken, numbers of cameras.
        suffixes: what is taken of a folder.

    Raises:
        DataError: nothing there, or a folder without any.
    """
    for path in listed(paths):
        if not os.path.isdir(path):
            if not is_there(path) and not (camera_of(path) is not None and set(VIDEOS) & set(suffixes)):
                wanted = "photographs or videos" if set(VIDEOS) & set(suffixes) else "photographs"
                raise DataError(f"no image or folder at {os.fspath(path)!r}; wanted {wanted}")
            yield path
            continue
        found = _in_folder(path, suffixes)
        if not found:
            raise DataError(f"no image in folder {os.fspath(path)!r}; wanted files ending in {', '.join(suffixes)}")
        yield from found


def _in_folder(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """What lies in a folder and is named like a photograph, sorted; also what then turns out to be no file."""
    try:
        with os.scandir(folder) as entries:
            # Names that begin with a dot are those of files that are being written.
            named = [entry for entry in entries if not entry.name.startswith(".")]
            return sorted(folder / e.name for e in named if Path(e.name).suffix.lower() in suffixes and not e.is_dir())
    except OSError as error:
        raise DataError(
            f"folder {os.fspath(folder)!r} cannot be read ({error.strerror}); look at its rights"
        ) from error


def unique_stems(files: Sequence[Path]) -> list[str]:
    """Names for the outputs: the stem, with a number where it is taken (a.jpg, a.png -> a, a-2)."""
    each = [Path(named(file)).stem for file in files]
    stems = {*each}
    taken: set[str] = set()
    names = []
    for stem in each:
        name, number = stem, 1
        while name in taken or (number > 1 and name in stems):
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names.append(name)
    return names


def check_out(files: Sequence[Path], out: Path) -> None:
    """Refuse to write among the photographs, over what bears the same name.

    Raises:
        UsageError: ``out`` is the folder of one of ``files``, under whatever name.
    """
    for folder, file in {file.parent: file for file in files if camera_of(file) is None}.items():
        if out.is_dir() and out.samefile(folder):
            raise UsageError(f"--out {out} is the folder of {file.name}; name another, so that nothing there is lost")


def leave_out(file: Path, error: VtadaptError) -> dict[str, Any]:
    """Tell on stderr that a file is left out; returns its {"image", "error"[, "code", where it is no fault of it]}."""
    reason = " ".join(str(error).split())
    say(f"left out: {reason}")
    code = {} if isinstance(error, DataError) else {"code": error.exit_code}
    return {"image": str(file), "error": reason, **code}


def failure_of(results: Sequence[Mapping[str, Any]]) -> VtadaptError | None:
    """The error of a command that left files out, in one line on them; None where there are none."""
    left_out = [entry for entry in results if "error" in entry]
    if not left_out:
        return None
    names = [Path(entry["image"]).name for entry in left_out]
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    read = not any("code" in entry for entry in left_out)
    why = "could not be read and were left out" if read else "could not be read or predicted and were left out"
    return (DataError if read else VtadaptError)(f"{len(names)} of {len(results)} files {why}: {shown}")
