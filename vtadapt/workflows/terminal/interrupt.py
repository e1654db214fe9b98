"""Ctrl-C and SIGTERM: what is under way is brought to an end that can be gone on from, and the user is told how."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from vtadapt.errors import DiskFullError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN = 0.05  # seconds after which a signal that came while a module was loaded is looked at again
MOST = 1200  # such looks: who imports a program that works all its life stays in there


class Ended(KeyboardInterrupt):
    """The process was asked to end, by Ctrl-C or by another process; ``exit_code`` is the shell's 128 + signal."""

    def __init__(self, number: int) -> None:
        """``number``: of the signal."""
        super().__init__()
        self.exit_code = 128 + number


_looks = itertools.count()


def _end(number: int, frame: FrameType | None) -> None:
    global _looks
    if not _importing(frame) or next(_looks) >= MOST:
        _looks = itertools.count()
        raise Ended(number)
    # Libraries in C++ do not bear an exception while they are loaded: the process would abort with a traceback.
    later = threading.Timer(AGAIN, _send_again, [number])
    later.daemon = True
    later.start()


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded."""
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load" and "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    if signal.getsignal(number) in (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler):
        return  # nobody is there any more who would understand it
    if hasattr(signal, "pthread_kill"):  # also ends what the thread waits for
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside, every signal that asks the process to end raises :class:`Ended`, so that ``finally`` is kept.

    One that was ignored before, as SIGHUP is under nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = (signal.SIG_DFL, signal.default_int_handler)
    before: dict[int, Any] = {s: signal.getsignal(s) for s in SIGNALS if signal.getsignal(s) in taken}
    for number in before:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold signals back until the end of the block: a training step is taken whole or not at all."""
    came: list[int] = []
    try:
        with _recorded(came):
            yield
    finally:
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


@contextlib.contextmanager
def _recorded(came: list[int]) -> Iterator[None]:
    """Put the numbers of signals that come inside into a list, and do nothing else with them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = [s for s in SIGNALS if signal.getsignal(s) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in held}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Signals:
    """Signals that reach one of several processes end all of them after the same step.

    A process that is interrupted alone would leave the others waiting for it, and at another step.
    """

    def __init__(self, together: Callable[[int], int] | None = None) -> None:
        """``together``: the largest of a number that all processes call it with; None for a single process."""
        self.together = together
        self._came: list[int] = []

    def watched(self, steps: Iterable[Any]) -> Iterator[Any]:
        """Go through what a step is made of each; of several processes, nothing else ends one while it is at this."""
        with contextlib.nullcontext() if self.together is None else _recorded(self._came):
            yield from steps

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back until the end of a step, in all processes.

        Raises:
            Ended: at its end, where one came to any of them.
        """
        if self.together is None:
            with uninterrupted():
                yield
            return
        yield
        number = self.together(self._came[0] if self._came else 0)
        if number:
            raise Ended(number)


@contextlib.contextmanager
def going_on(how: str) -> Iterator[None]:
    """Where the block is interrupted, or ended by what the machine refuses, let the user be told ``how`` to go on.

    Of nested ones the outermost counts.
    """
    try:
        yield
    except (KeyboardInterrupt, MemoryError, OSError, RuntimeError, DiskFullError) as end:
        end.add_note(how)
        raise


def told(end: KeyboardInterrupt) -> str:
    """The line about an interruption, with how to go on where that is known."""
    notes = getattr(end, "__notes__", [])
    return f"interrupted; to go on: {notes[-1] if notes else 'the same command again; no file is half written'}"
