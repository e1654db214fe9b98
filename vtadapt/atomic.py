"""Files that appear whole or not at all, the one cleaner of what killed runs left, and disk errors as one line.

Whatever is being written has a temporary name beside its place: ``.NAME.HOST-PID.partial``. So the cleaner can tell
from a name alone whose file it is, and whether that process still lives.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtadapt.checked import with_checksum
from vtadapt.errors import DataError, DiskFullError, printable_json

# Process numbers mean nothing on another machine of a shared disk, and host names may hold what a file name cannot.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_LEFT = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)\.partial(\.\w+)?", re.DOTALL)
_STARTED = time.time()
_DAY = 24 * 3600.0
_looked_into: set[Path] = set()


def temporary_name(path: Path, suffix: str = "") -> Path:
    """A name beside ``path`` (same folder, so that the rename is atomic) that no reader looks for.

    ``suffix`` ends it, for writers that go by that.
    """
    return path.with_name(f".{path.name}{_mark()}{suffix}")


def _mark() -> str:
    return f".{_HOST}-{os.getpid()}.partial"  # asked for each time: a forked worker has another


def remove_leftovers(folder: Path, *, alone: bool = False) -> None:
    """Remove what has a temporary name in ``folder`` (not below it) and nobody writes to any more.

    Args:
        folder: may be missing.
        alone: the caller holds the lock of all who write here: whatever is there is a leftover. Else what a living
            process of this machine may be at work on stays, and for a day what came from another machine (a shared
            disk), whose processes cannot be asked.
    """
    # Cleaning is a courtesy: that it fails must not stop what was asked for.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # of another user, or another cleaner was faster
                if (found := _LEFT.fullmatch(entry.name)) and (alone or _abandoned(entry, found[1], int(found[2]))):
                    # A link is removed itself, never what it points to.
                    shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)


def _abandoned(entry: os.DirEntry[str], host: str, pid: int) -> bool:
    changed = entry.stat(follow_symlinks=False).st_mtime
    if host != _HOST:
        return changed < time.time() - _DAY
    if pid == os.getpid():  # in a container that starts again, numbers repeat
        return changed < _STARTED - 60
    return not lives(pid)


def lives(pid: int) -> bool:
    """Whether this machine has a process of that number."""
    if os.name == "nt":  # signal 0 would end it there
        return True
    try:
        # Signal 0 reaches nobody and only asks whether there is such a process.
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user
        return True
    return True


def need_writable(folder: Path) -> None:
    """Refuse, before long work, a folder that cannot be made or written to; nothing is made.

    Raises:
        DataError: the first of it and its parents that is there is no folder, or is closed to writing.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise DataError(f"cannot write to {folder}: {there} is no folder; choose another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {folder}: {there} is closed to writing; choose another")


def make_folder(folder: Path) -> None:
    """Make a folder to write files to, and remove leftovers there when this process comes to it for the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder not in _looked_into:
        _looked_into.add(folder)
        remove_leftovers(folder)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; at the end the file gets the name ``path`` in one step, or is removed on an error.

    The folder is made (see :func:`make_folder`).

    Raises:
        DataError: the disk refuses; what was there before is untouched.
    """
    temporary = temporary_name(path)
    try:
        with disk_error(path):
            make_folder(path.parent)
            mode = _usual_mode(temporary)
            yield temporary
            temporary.chmod(mode)  # some libraries keep what they write from all but its owner
            replace_file(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # its own error, such as a parent that is a file, has been told already
            temporary.unlink(missing_ok=True)


def _usual_mode(path: Path) -> int:
    """The mode of a file that is made there without further ado: as the user's mask and the folder's rules have it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        path.unlink()  # a writer that writes nothing must not leave an empty file


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder in the system's place for such; it goes at the end, or when a later run finds it of a killed one."""
    above = Path(tempfile.gettempdir())
    remove_leftovers(above)
    with tempfile.TemporaryDirectory(prefix=f".vtadapt-{purpose}.", suffix=_mark(), dir=above) as folder:
        yield Path(folder)


def replace_file(temporary: Path, path: Path) -> None:
    """Make ``temporary`` durable and give it the name ``path``, replacing what was there in one step."""
    # Before the rename: after a power cut a name whose content never reached the disk is an empty file.
    sync(temporary)
    os.replace(temporary, path)
    # The rename itself is an entry of the folder, and is lost with it until that is flushed.
    sync(path.parent)


def exchange_folder(made: Path, path: Path, previous: Path) -> None:
    """Give the finished folder ``made`` the name ``path``; what was there is removed.

    In between the old folder lies at ``previous``, where whoever is cut off in the middle finds it.

    Raises:
        DataError: the disk refuses.
    """
    with disk_error(path):
        remove(previous)
        if path.exists():
            path.rename(previous)
        made.rename(path)
        sync(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, where it is there."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk (folders: where the system allows it)."""
    if path.is_dir() and os.name == "nt":
        return
    # For reading, as a folder cannot be opened otherwise.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) as :func:`whole_file` does."""
    with whole_file(path) as temporary:
        # Names of files that are no UTF-8 come as surrogates; their escapes are JSON's, too.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path, content: Any, *, checked: bool = False) -> None:
    """Write JSON (keys in their order, no NaN) as :func:`whole_file` does.

    ``checked``: an object that is read again, which gets a checksum (see :mod:`vtadapt.checked`).
    """
    text = printable_json(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"
    write_text(path, with_checksum(text) if checked else text)


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
        full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or message.startswith("no space")
        raise (DiskFullError if full else DataError)(message + " (what was there before is untouched)") from error
