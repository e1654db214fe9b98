"""Files and folders that appear whole or not at all, and disk errors as one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtadapt.errors import DataError

_MARK = ".partial"


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` (same folder, so that the rename is atomic) that no reader looks for."""
    return path.with_name(f".{path.name}.{os.getpid()}{_MARK}")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that killed runs left in ``folder``; call it only while holding the folder's lock."""
    for path in folder.glob(f".*{_MARK}"):
        if path.is_file():
            path.unlink(missing_ok=True)


def replace_file(temporary: Path, path: Path) -> None:
    """Make ``temporary`` durable and give it the name ``path``, replacing what was there in one step."""
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk (folders: where the system allows it)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Any) -> None:
    """Write JSON (UTF-8, keys in their order, no NaN) atomically."""
    temporary = temporary_name(path)
    try:
        with disk_error(path):
            text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
            # Names of files that are no UTF-8 come as surrogates; their escapes are JSON's, too.
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
            replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def disk_error(path: Path) -> Iterator[None]:
    """Turn errors of the disk while writing ``path`` into a DataError that says what to do."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # h5py reports some failed writes as RuntimeError, errno in its text
        text = " ".join(str(error).split())
        code = getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text or "errno = 28" in text:
            quota = " (your quota)" if code == errno.EDQUOT else ""
            message = f"no space left on the disk{quota} while writing {path}; free some, or choose another folder"
        elif code == errno.EFBIG:
            message = f"cannot write {path}: {os.strerror(code)}, for this disk or for a limit that is set (ulimit -f)"
        elif code in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT):
            message = f"cannot write {path}: {os.strerror(code)}; choose another folder"
        elif isinstance(error, OSError):
            message = f"cannot write {path}: {text}"
        else:
            raise
        raise DataError(message + " (what was there before is untouched)") from error


@contextlib.contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """Hold ``path`` as a lock file; the system lets go of it when the process ends, however it ends.

    Raises:
        DataError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # no such lock on this system: two runs at once are then the user's to avoid
        yield
        return
    with disk_error(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"another run is preparing the same data set ({path} is locked); wait for it") from error
        yield
    finally:
        os.close(handle)
