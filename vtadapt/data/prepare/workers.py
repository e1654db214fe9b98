"""Processes that prepare a data set beside the one that was started, and end with it, however that ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

SPAWN = multiprocessing.get_context("spawn")


@contextlib.contextmanager
def pool_of(workers: int, begin: Callable[..., None] | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``workers`` processes, each of which calls ``begin`` first.

    An interruption ends them at once: what they were at is of no use, and the user waits. After an error they finish
    what they are at.
    """
    pool = ProcessPoolExecutor(workers, SPAWN, _begin, (begin, arguments))
    try:
        yield pool
    except (KeyboardInterrupt, GeneratorExit):  # the second where it came to who goes through the results
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the first sees to the others
    _end_with_parent()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    """End this worker with the process that started it, even by kill -9; it would else write beside the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a worker"

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
