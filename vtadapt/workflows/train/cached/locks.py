"""Locks on files, which the system lets go of when a process ends, however it ends; none where it has no such locks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which does not remove files that are open; runs that begin together may pass the limit
    fcntl = None  # type: ignore[assignment]


def share(file: FileIO) -> None:
    """Say that an open file is in use, until it is closed."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_SH)


@contextlib.contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Whether nobody shares a file, and keep it so."""
    with FileIO(path, "r+") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for the others who do the same, which takes them moments."""
    with FileIO(path, "a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
