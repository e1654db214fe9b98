"""Many cases of one kind: workers are started, watched and replaced, and what failed is counted and kept."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import write_case

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 8.0  # seconds for one case, by the clock
START = 600.0  # seconds for a worker to start and to make what cases start from
BATCH = 2000  # cases of one worker; memory that a library loses goes with it
LATEST = 40  # characters of what tells one fault from another


@dataclass
class Result:
    """What became of the cases of a kind.

    Attributes:
        done: number of cases, from 0 on.
        good: read without a word.
        refused: by a documented error.
        faults: number of the case, and what went wrong.
    """

    done: int = 0
    good: int = 0
    refused: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


def run(
    kind: str,
    seed: int,
    count: int,
    result: Result | None = None,
    on_progress: Callable[[Result], None] = lambda _: None,
    patience: float = PATIENCE,
) -> Result:
    """Run the cases up to ``count``; those that ``result`` says are done are not run again.

    Args:
        kind: of ``KINDS``.
        seed: of all cases.
        count: how many there are to be.
        result: of an earlier part of the same.
        on_progress: called now and then.
        patience: seconds that a case may take.
    """
    result = result or Result()
    while result.done < count:
        first, last = result.done, min(count, result.done + BATCH)
        command = [sys.executable, "-m", "tests.fuzz.worker", kind, *map(str, (seed, first, last))]
        with tempfile.TemporaryFile() as said:
            worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said)
            assert worker.stdout is not None
            try:
                _watch(worker, worker.stdout, result, on_progress, patience)
            finally:
                worker.kill()
                worker.wait()
                worker.stdout.close()
            if result.done == first:
                said.seek(0)
                raise RuntimeError(f"the worker of {kind} does not start:\n{said.read().decode()[-2000:]}")
    return result


def _watch(
    worker: subprocess.Popen[bytes],
    answers: IO[bytes],
    result: Result,
    on_progress: Callable[[Result], None],
    patience: float,
) -> None:
    """Take in a worker's answers until it ends, dies or keeps one case too long."""
    begun: int | None = None
    buffer, until = b"", time.monotonic() + START
    while True:
        ready, _, _ = select.select([answers], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            if begun is not None:
                _fault(result, begun, f"hang: over {patience:g} s")
            return
        data = os.read(answers.fileno(), 1 << 16)
        if not data:
            if begun is not None:
                _fault(result, begun, f"crash: the process ended with {worker.wait()}")
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if isinstance(answer, int):
                begun, until = answer, time.monotonic() + patience
                continue
            _take(result, *answer)
            begun, until = None, time.monotonic() + START
            if result.done % 200 == 0:
                on_progress(result)


def _take(result: Result, number: int, what: str, said: str) -> None:
    if what == "fault":
        _fault(result, number, said)
        return
    result.good += what == "good"
    result.refused += what == "refused"
    result.done = number + 1


def _fault(result: Result, number: int, said: str) -> None:
    result.faults.append((number, said))
    result.done = number + 1


def keep(kind: str, seed: int, number: int, folder: Path) -> Path:
    """Write a case again, to be looked at: the folder that holds it."""
    place = folder / f"{kind}-{seed}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="vtadapt-fuzz-") as made:
        write_case(kind, seed, number, KINDS[kind].make(Path(made)), place)
        for path in place.iterdir():  # a link to what was made would lead nowhere
            if path.is_symlink():
                target = path.resolve()
                path.unlink()
                shutil.copytree(target, path)
    return place
