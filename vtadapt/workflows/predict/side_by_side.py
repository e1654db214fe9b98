"""Photographs on their way: while the network works on one, the next are read and those before it drawn and written."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

MOST = 8  # threads that draw and write: more would only wait for the network
PIXELS = 16_000_000  # of all photographs in memory, about: another is read while they have fewer


class Begun(Protocol):
    """A photograph that was read."""

    @property
    def pixels(self) -> int:
        """How many it has."""


class Steps(Protocol):
    """What is done with a photograph; each step is given what the one before it returned."""

    def read(self, file: Path, out: Path) -> Any:
        """Read the file: a :class:`Begun`."""

    def predict(self, begun: Any) -> Any:
        """Run the network."""

    def write(self, predicted: Any) -> dict[str, Any]:
        """Draw and write; returns what is said of it."""


class StoppedError(Exception):
    """What waits for room is told when nobody wants it any more."""


class Room:
    """Counts the photographs in memory, and their pixels."""

    def __init__(self, most: int) -> None:
        """For ``most`` photographs of any size, or fewer large ones; one there always is room for."""
        self.most = most
        self._held: list[int] = []
        self._changed = threading.Condition()
        self._stopped = False

    def wait(self) -> None:
        """Until there is room for one more; raises StoppedError after :meth:`stop`."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._held) < self.most and sum(self._held) < PIXELS)
            if self._stopped:
                raise StoppedError

    def take(self, pixels: int) -> None:
        """A photograph came."""
        with self._changed:
            self._held.append(pixels)

    def give(self, pixels: int) -> None:
        """It went."""
        with self._changed:
            self._held.remove(pixels)
            self._changed.notify_all()

    def stop(self) -> None:
        """Let go who waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


Results = Generator["Future[dict[str, Any]]", None, None]


def side_by_side(steps: Steps, named: Sequence[tuple[Path, Path]], threads: int) -> Results:
    """Take photographs through all steps; yields their results, or what went wrong, in their order.

    The network runs in the thread of the caller, for one photograph at a time, and with all of torch's threads: what it
    computes is what it computes for a photograph alone, to the bit. One thread reads ahead, and ``threads`` draw and
    write. Where the caller ends early (an error, an interruption), what is drawn and written at that moment is
    finished, the rest is left, and no thread is at work afterwards: close the generator.

    Args:
        steps: see there; with one thread they follow one another in the thread of the caller.
        named: photographs, and paths of what is written of them.
        threads: as :func:`threads_for` says.
    """
    if threads == 1:
        yield from (_done(partial(_alone, steps, *each)) for each in named)
        return
    room, waiting = Room(2 * threads + 1), deque[Future[dict[str, Any]]]()
    with _threads(threads, room) as (reader, writers):
        ahead = deque(reader.submit(_read, steps, room, *each) for each in named)
        while ahead:  # each is let go at once: it holds its photograph
            waiting.append(_predicted(steps, ahead.popleft(), room, writers))
            while waiting and waiting[0].done():
                yield waiting.popleft()
        yield from waiting


@contextlib.contextmanager
def _threads(count: int, room: Room) -> Iterator[tuple[ThreadPoolExecutor, ThreadPoolExecutor]]:
    """One thread that reads and ``count`` that write, which leave torch's own threads to the network."""
    of_torch = torch.get_num_threads()
    reader = ThreadPoolExecutor(1)
    writers = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield reader, writers
    finally:
        room.stop()
        reader.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
        torch.set_num_threads(of_torch)


def _read(steps: Steps, room: Room, file: Path, out: Path) -> Any:
    room.wait()
    begun = steps.read(file, out)
    room.take(begun.pixels)
    return begun


def _predicted(steps: Steps, reading: Future[Any], room: Room, writers: ThreadPoolExecutor) -> Future[dict[str, Any]]:
    """Run the network for a photograph and hand it on; what goes wrong waits for its turn to be told."""
    try:
        begun = reading.result()
    except Exception as error:  # also of the reader's thread
        return _failed(error)
    pixels = begun.pixels
    try:
        writing = writers.submit(steps.write, steps.predict(begun))
    except Exception as error:
        room.give(pixels)
        return _failed(error)
    writing.add_done_callback(lambda _: room.give(pixels))
    return writing


def _alone(steps: Steps, file: Path, out: Path) -> dict[str, Any]:
    return steps.write(steps.predict(steps.read(file, out)))


def _done(work: Any) -> Future[dict[str, Any]]:
    try:
        found = work()
    except Exception as error:
        return _failed(error)
    future: Future[dict[str, Any]] = Future()
    future.set_result(found)
    return future


def _failed(error: Exception) -> Future[dict[str, Any]]:
    future: Future[dict[str, Any]] = Future()
    future.set_exception(error)
    return future


def threads_for(photographs: int) -> int:
    """How many threads draw and write: as many as torch has, which OMP_NUM_THREADS sets, and none without work."""
    return max(1, min(torch.get_num_threads(), photographs, MOST))
