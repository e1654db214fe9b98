"""One trial of a comparison in a process of its own: ``python -m vtadapt.workflows.sweep.trial_process WHAT FOLDER``.

It ends when its standard input does, that is with the process that started it, however that ended: two processes must
not write into one run.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path

from vtadapt.atomic import write_json
from vtadapt.errors import VtadaptError
from vtadapt.workflows.run import files
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.terminal.failures import explained
from vtadapt.workflows.terminal.interrupt import ended_by_signals
from vtadapt.workflows.terminal.text import say

TRAIN, MEASURE = "train", "measure"
COST = "cost.json"


def run_trial(what: str, folder: Path) -> None:
    """Train (or go on training) the run in ``folder``, or measure what a step of it costs, in this process."""
    from vtadapt.workflows.train.plan import build_trainer
    from vtadapt.workflows.train.train import train

    settings = load(folder / files.SETTINGS)
    if what == TRAIN:
        train(settings, resume=folder, quiet=True, trivial=False)  # the sweep measures them once
        return
    write_json(folder / COST, build_trainer(settings, folder, quiet=True).measure(folder), checked=True)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Run a trial; returns the exit code, an error is the last line on stderr."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    what, folder = arguments
    import torch

    torch.set_num_threads(1)
    try:
        with ended_by_signals():
            run_trial(what, Path(folder))
    except KeyboardInterrupt as end:
        return getattr(end, "exit_code", 130)
    except Exception as error:
        if (known := explained(error)) is None:  # a defect: its traceback is in the log, its kind and text in the table
            traceback.print_exc()
            known = VtadaptError(f"{type(error).__name__}: {error}")
        say(" ".join(str(known).split()))
        return known.exit_code
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not exit: the thread above would be waited for while it holds the lock of stdin
