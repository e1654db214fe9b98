"""Cases run in a process that may die: it is told a kind and numbers, and says line by line what became of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import IO, Any

from tests.fuzz.kinds import KINDS
from vtadapt.errors import VtadaptError

MEMORY = 12 << 30  # bytes of address space; torch alone takes some
GOOD, REFUSED, FAULT = "good", "refused", "fault"


def random_of(kind: str, seed: int, number: int) -> Random:
    """The generator of one case: the same in every process and version of Python."""
    return Random(int.from_bytes(hashlib.sha256(f"{kind} {seed} {number}".encode()).digest()[:8], "big"))


def write_case(kind: str, seed: int, number: int, made: Any, folder: Path) -> None:
    """Write one case into an empty folder."""
    KINDS[kind].write(random_of(kind, seed, number), made, folder)


def try_case(kind: str, folder: Path) -> tuple[str, str]:
    """What became of a case: "good", "refused" or "fault", and what was said."""
    try:
        KINDS[kind].read(folder)
    except VtadaptError as error:
        text = str(error)
        if "\n" in text or not text.strip() or len(text) > 2000:
            return FAULT, f"not one short line: {text[:300]!r}"
        return REFUSED, text
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "vtadapt" in f.filename][-3:]
        text = " ".join(str(error).split())[:200]
        return FAULT, f"{type(error).__name__} at {' < '.join(reversed(own))}: {text}"
    return GOOD, ""


def serve(kind: str, seed: int, first: int, last: int, answers: IO[str]) -> None:
    """Run the cases ``first`` to ``last`` - 1; before each a line with its number, after it one with the result."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="vtadapt-fuzz-") as name:
        made_in = Path(name) / "made"
        made_in.mkdir()
        made = KINDS[kind].make(made_in)
        for number in range(first, last):
            folder = Path(name) / "case"
            folder.mkdir()
            write_case(kind, seed, number, made, folder)
            answers.write(f"{number}\n")
            answers.flush()
            what, said = try_case(kind, folder)
            answers.write(json.dumps([number, what, said]) + "\n")
            answers.flush()
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """``python -m tests.fuzz.worker KIND SEED FIRST LAST``; answers go to the standard output, all else nowhere."""
    kind, *numbers = sys.argv[1:]
    seed, first, last = map(int, numbers)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    import torch

    torch.set_num_threads(1)
    serve(kind, seed, first, last, answers)


if __name__ == "__main__":
    main()
