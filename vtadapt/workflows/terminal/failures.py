"""What the machine refuses, as one line: memory, disk, processes. Whatever else goes wrong is a defect of ours."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator

from vtadapt.errors import DiskFullError, VtadaptError, is_out_of_memory
from vtadapt.workflows.terminal.text import warn

_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (is killed by signal: \w+|exited unexpectedly)")
_IN_WORKER = re.compile(r"\ACaught (\w+) in DataLoader worker process \d+\.\nOriginal Traceback")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EIO, errno.EROFS, errno.ESTALE)


def explained(error: BaseException) -> VtadaptError | None:
    """``error`` as one that a user can act on, with how to go on where that was noted; None where it is a defect.

    Errors of our own come back as they are, but for those out of a process that loads data: torch puts that process's
    traceback into the message.
    """
    found = _explained(error)
    notes = getattr(error, "__notes__", [])
    if found is not None and notes:
        return type(found)(f"{found}; to go on: {notes[-1]}")
    return found


def _explained(error: BaseException) -> VtadaptError | None:
    text = str(error)
    if _IN_WORKER.match(text):
        last = text.rstrip().splitlines()[-1].partition(": ")[2]
        if isinstance(error, VtadaptError):
            return type(error)(last)
        if is_out_of_memory(error):
            return _memory(last)
    if isinstance(error, VtadaptError):
        return error
    if is_out_of_memory(error):
        return _memory(text)
    if isinstance(error, RuntimeError) and (found := _WORKER.search(text)):
        return VtadaptError(
            f"a process that loads data ended (process {found[1]} {found[2]}), mostly for want of memory: lower "
            "--set workers=N, --batch-size or --size"
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" while writing {error.filename}" if error.filename else ""
        return DiskFullError(f"{os.strerror(error.errno or 0)}{where}; free some space, or choose another folder")
    if isinstance(error, OSError) and error.errno in _LIMITS:
        where = f" ({error.filename})" if error.filename else ""
        return VtadaptError(f"the system refuses: {os.strerror(error.errno or 0)}{where}")
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return VtadaptError("the system gives no more threads; lower --workers or --jobs, or OMP_NUM_THREADS")
    return None


@contextlib.contextmanager
def quiet_threads() -> Iterator[None]:
    """Inside, a thread of a library that the machine refuses something ends in a line and not in a traceback."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if type(arguments.thread).__name__ == "_AsyncWriterThread":  # TensorBoard's, which tells its caller as well
            return
        known = None if arguments.exc_value is None else explained(arguments.exc_value)
        if known is None:
            before(arguments)
        else:
            warn(" ".join(str(known).split()))

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _memory(text: str) -> VtadaptError:
    reason = " ".join(text.split())[:120]
    return VtadaptError(
        f"not enough memory{f' ({reason})' if reason else ''}; lower --batch-size, --size, workers or --jobs"
    )
