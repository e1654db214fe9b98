"""A folder that one process at a time works in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vtadapt.atomic import disk_error
from vtadapt.errors import DataError, VtadaptError


@contextlib.contextmanager
def folder_lock(path: Path, busy: VtadaptError | None = None) -> Iterator[None]:
    """Hold ``path`` as a lock file; the system lets go of it when the process ends, however it ends.

    Raises:
        VtadaptError: ``busy``, where another process holds it; without it, that a data set is being prepared.
    """
    try:
        import fcntl
    except ImportError:  # no such lock on this system: two runs at once are then the user's to avoid
        yield
        return
    with disk_error(path):
        # The file stays when the lock is let go: removing it would let two processes lock two files of one name.
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            # Not waited for: a person should hear at once that somebody else is at it.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            told = f"another run is preparing the same data set ({path} is locked); wait for it"
            raise busy or DataError(told) from error
        yield
    finally:
        os.close(handle)
