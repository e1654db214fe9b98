"""A folder that one process at a time works in, and who that is.

Where the system has locks (``flock``) it lets go of them when a process ends, however that ended; they count. The file
says besides who holds it: for messages, to notice that its last owner was killed, and in place of locks where a disk
has none.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from vtadapt.atomic import disk_error, lives
from vtadapt.digits import amount
from vtadapt.errors import DataError, VtadaptError

try:
    import fcntl
except ImportError:  # Windows: what the file says counts
    fcntl = None  # type: ignore[assignment]

Refusal = Callable[[str], VtadaptError]
"""Makes the error for a folder that is held, of words on who holds it."""

GRACE = 2.0  # seconds in which children of a process that was killed may still end
DAY = 24 * 3600.0  # after which what another machine holds, which cannot be asked, is taken for left
BYTES = 1000  # of what a file says at most
_held: set[int] = set()


class Owner(NamedTuple):
    """Who holds a lock, or held it when it ended.

    Attributes:
        pid: number of its process.
        host: its machine.
        began: seconds since 1970 at which it took the lock.
        ticks: when the process began, in the system's own unit, since numbers of processes repeat; 0 where unknown.
    """

    pid: int
    host: str
    began: float
    ticks: int = 0

    @classmethod
    def this_process(cls) -> Owner:
        """Ourselves, from now on."""
        return cls(os.getpid(), socket.gethostname(), round(time.time(), 1), _ticks(os.getpid()))

    @classmethod
    def parse(cls, text: bytes) -> Owner | None:
        """Read what :meth:`text` wrote; None for anything else: whoever let go left nothing."""
        try:
            found = json.loads(text)
            return cls(int(found["pid"]), str(found["host"]), float(found["began"]), int(found["ticks"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def text(self) -> bytes:
        """For the file."""
        return json.dumps(self._asdict()).encode() + b"\n"

    @property
    def here(self) -> bool:
        """Whether it is of this machine."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether it still works, as far as that can be told: of another machine only its age is known."""
        if not self.here:
            return time.time() - self.began < DAY
        return lives(self.pid) and (not self.ticks or _ticks(self.pid) in (self.ticks, 0))

    def words(self) -> str:
        """For messages: number, machine, beginning and age."""
        with contextlib.suppress(ValueError, OSError, OverflowError):
            when = datetime.fromtimestamp(self.began).astimezone().isoformat(" ", "minutes")
            return f"process {self.pid} on {self.host}, since {when}, {_age(time.time() - self.began)}"
        return f"process {self.pid} on {self.host}"


def _age(seconds: float) -> str:
    for name, length in (("day", DAY), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            return f"{amount(seconds / length, 2)} {name}s ago"
    return f"{max(0, round(seconds))} seconds ago"


def _ticks(pid: int) -> int:
    """When a process began (Linux: field 22 of its ``stat``); 0 where that is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return 0


def preparing(path: Path) -> Refusal:
    """What a second run that prepares the same data set is told."""
    return lambda who: DataError(f"another run is preparing the same data set ({path} is locked by {who}); wait for it")


@contextlib.contextmanager
def folder_lock(path: Path, busy: Refusal | None = None, tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold ``path`` as a lock file; it is let go of when the process ends, however it ends.

    Args:
        path: the file; it stays when the lock is let go of, as removing it would let two processes lock two files of
            one name.
        busy: the error for a lock that another process holds; None: a data set is being prepared.
        tell: called with a line where the one before was left by a process that ended without letting go.

    Raises:
        VtadaptError: ``busy``, where another process holds it.
    """
    busy = busy or preparing(path)
    with disk_error(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(handle)
    taken = False
    try:
        left = _take(handle, path, busy)
        if left is not None and tell is not None:
            tell(f"note: {path} was held by {left.words()}, which ended without letting go: taken over")
        taken = True
        # A disk that is full refuses no lock: without its owner's name it is one all the same.
        with contextlib.suppress(OSError):
            _write(handle, Owner.this_process().text())
        yield
    finally:
        if handle in _held:  # else this is a child made by forking, which has closed it
            _held.discard(handle)
            if taken:
                with contextlib.suppress(OSError):
                    _write(handle, b"")
                    if fcntl is not None:  # also for children that have not closed it yet
                        fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def refuse_held(path: Path, busy: Refusal) -> None:
    """Raise ``busy`` where another process holds the lock file ``path`` now; nothing is held, made or written."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # not there: nobody holds it
        return
    try:
        _take(handle, path, busy, shared=True)  # such looks do not hinder one another
    finally:
        os.close(handle)


def _take(handle: int, path: Path, busy: Refusal, shared: bool = False) -> Owner | None:
    """Take the lock; returns who held it and ended without letting go."""
    end = time.monotonic() + GRACE
    while True:
        locked = _try(handle, path, shared)
        owner = Owner.parse(os.pread(handle, BYTES, 0) if hasattr(os, "pread") else path.read_bytes())
        if locked or (locked is None and (owner is None or not owner.lives)):
            return owner
        # Not waited for: a person should hear at once that somebody else is at it. But of one that was killed there may
        # be children for a moment.
        if owner is None or owner.lives or time.monotonic() > end:
            raise busy("another process" if owner is None else owner.words())
        time.sleep(0.05)


def _try(handle: int, path: Path, shared: bool) -> bool | None:
    """Whether the system gives the lock; None where it has none for this disk."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTSUP):
            return None
        with disk_error(path):
            raise
    return True


def _write(handle: int, text: bytes) -> None:
    os.lseek(handle, 0, os.SEEK_SET)
    os.ftruncate(handle, 0)
    os.write(handle, text)


def _let_go_in_child() -> None:
    """A child made by forking has the parent's files open, and would hold its locks beyond the parent's end."""
    for handle in list(_held):
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
