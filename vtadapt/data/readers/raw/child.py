"""Parsers written in C, run in a process of their own: a damaged file may kill it or keep it busy for ever.

One child serves a process. It starts on first use (0.3 s of CPU), reads one file after the other, ends with whoever
started it, and is started again after a death.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from vtadapt.errors import DataError

PATIENCE = 120.0  # seconds by the clock for one call: a disk may be slow
_LENGTH = struct.Struct("<Q")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from vtadapt.data.readers.raw.child import serve; serve()"
)
_lock = threading.Lock()
_child: _Child | None = None


class ParserError(Exception):
    """What a function raised in the child, or that it took the child with it; the text says which."""


def run_in_child(function: Callable[..., Any], *args: Any, seconds: float = 3.0) -> Any:
    """What ``function(*args)`` returns, worked out in the child.

    Args:
        function: at the top of a module that needs no setting up.
        args: can be pickled, as can the result.
        seconds: of CPU time that it may take.

    Raises:
        DataError: raised by the function.
        ParserError: it raised something else, died, or took longer.
    """
    global _child
    with _lock:
        if _child is not None and (_child.owner != os.getpid() or _child.process.poll() is not None):
            _child.drop()
            _child = None
        if _child is None:
            _child = _Child()
        try:
            kind, value = _child.ask((function, args, seconds))
        except BaseException:  # an interruption, too: an answer half read would be taken for the next one's
            _child.drop()
            _child = None
            raise
    if kind == "value":
        return value
    raise DataError(value) if kind == "data" else ParserError(value)


class _Child:
    """The process, and the pipes to it."""

    def __init__(self) -> None:
        self.owner = os.getpid()  # of a forked process it is not
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what C libraries print of damaged files
        )

    def ask(self, question: Any) -> tuple[str, Any]:
        """Send one question and wait for its answer; ParserError where none comes."""
        assert self.process.stdin is not None and self.process.stdout is not None, "both are pipes"
        clock = threading.Timer(PATIENCE, self.process.kill)
        clock.daemon = True
        clock.start()
        try:
            _send(self.process.stdin, question)
            answer = _receive(self.process.stdout)
        except OSError:
            answer = None
        finally:
            clock.cancel()
        if answer is None:
            raise ParserError(_reason(self.process.wait()))
        kind, value = answer
        return str(kind), value

    def drop(self) -> None:
        """End the process if it is this one's, and close the pipes."""
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
        else:
            self.process.returncode = 0  # another's to wait for
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None, "both are pipes"
                pipe.close()


def _reason(code: int) -> str:
    """Why a child died, by its exit code."""
    if code in (-getattr(signal, "SIGPROF", 0), -getattr(signal, "SIGKILL", 9)):
        return "its parser came to no end, or ran out of memory"
    name = signal.Signals(-code).name if -code in {int(known) for known in signal.Signals} else f"exit code {code}"
    return f"its parser crashed, {name}"


def _send(pipe: IO[bytes], value: Any) -> None:
    content = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next value; None where the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    content = pipe.read(size := _LENGTH.unpack(head)[0])
    return pickle.loads(content) if len(content) == size else None  # of our own process, not of a file


def serve() -> None:
    """Answer questions until nobody asks any more; what the child runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while (question := _receive(sys.stdin.buffer)) is not None:
        function, args, seconds = question
        _limit(seconds)
        try:
            answer = ("value", function(*args))
        except DataError as error:
            answer = ("data", str(error))
        except Exception as error:  # parsers do not say what broken files raise
            answer = ("error", " ".join(f"{type(error).__name__}: {error}".split()))
        _limit(0)
        _send(answers, answer)


def _limit(seconds: float) -> None:
    """End this process by a signal after so much CPU time, also within C; 0: not any more."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


@atexit.register
def _end() -> None:
    global _child
    if _child is not None:
        _child.drop()
        _child = None
