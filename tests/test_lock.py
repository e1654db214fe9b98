"""One process at a time in a folder: who holds it is told, and what a killed one left is taken over with a line."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vtadapt import lock
from vtadapt.errors import ConfigError, DataError
from vtadapt.lock import DAY, Owner, folder_lock, refuse_held

HOLD = """
import sys, time
from pathlib import Path
from vtadapt.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def busy(who: str) -> ConfigError:
    return ConfigError(f"busy: {who}")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_owner_is_named_with_its_age(other: subprocess.Popen[str], tmp_path: Path) -> None:
    wanted = rf"busy: process {other.pid} on {re.escape(socket.gethostname())}, since .*, \d+ seconds ago"
    with pytest.raises(ConfigError, match=wanted), folder_lock(tmp_path / ".lock", busy):
        raise AssertionError
    with pytest.raises(ConfigError, match=wanted):
        refuse_held(tmp_path / ".lock", busy)
    with pytest.raises(DataError, match=f"preparing the same data set.*process {other.pid}.*wait for it"):
        folder_lock(tmp_path / ".lock").__enter__()
    assert other.stdin is not None
    other.stdin.close()
    other.wait(timeout=20)
    told: list[str] = []
    refuse_held(tmp_path / ".lock", busy)
    with folder_lock(tmp_path / ".lock", busy, told.append):
        pass
    assert told == []  # it let go


def test_a_killed_owner_is_noticed(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait(timeout=20)
    refuse_held(tmp_path / ".lock", busy)
    told: list[str] = []
    for _ in range(2):
        with folder_lock(tmp_path / ".lock", busy, told.append):
            pass
    assert len(told) == 1 and f"process {other.pid} on" in told[0] and "taken over" in told[0]


def test_an_error_lets_go_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path / ".lock"):
        raise ZeroDivisionError
    assert (tmp_path / ".lock").read_bytes() == b""


def test_looking_makes_nothing(tmp_path: Path) -> None:
    refuse_held(tmp_path / "none" / ".lock", busy)
    assert not list(tmp_path.iterdir())


FORKS = """
import os, sys, time
from pathlib import Path
from vtadapt.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    if not os.fork():
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_hold_what_its_killed_parent_held(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait(timeout=20)
        try:
            os.kill(child, 0)  # it still runs
            with folder_lock(tmp_path / ".lock", busy):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has no locks, as some of networks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)


def held_by(path: Path, **changes: object) -> None:
    path.write_bytes(Owner.this_process()._replace(**changes).text())


@pytest.mark.usefixtures("without_locks")
def test_without_locks_what_the_file_says_counts(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with folder_lock(path), pytest.raises(ConfigError, match=f"process {os.getpid()}"), folder_lock(path, busy):
        raise AssertionError
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    told: list[str] = []
    held_by(path, pid=ended.pid)  # no such process any more
    with folder_lock(path, busy, told.append):
        pass
    held_by(path, ticks=1)  # another process has the number now
    with folder_lock(path, busy, told.append):
        pass
    assert len(told) == 2
    held_by(path, host="elsewhere", began=time.time() - 0.9 * DAY)
    with pytest.raises(ConfigError, match=r"on elsewhere, since .*, 22 hours ago"):
        refuse_held(path, busy)
    held_by(path, host="elsewhere", began=time.time() - 1.1 * DAY)
    with folder_lock(path, busy, told.append):
        pass
    assert len(told) == 3


@pytest.mark.parametrize("content", [b"", b"x", b"[]", b'{"pid": "x"}', b"[" * 9000, b"\xff" * 40])
def test_whatever_a_lock_file_holds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".lock").write_bytes(content)
    told: list[str] = []
    with folder_lock(tmp_path / ".lock", busy, told.append):
        pass
    assert told == []
