"""What a training run costs: seconds in all and per step, and the most memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

WARM_UP = 3  # steps that are not counted where there are more: memory is first touched there, kernels are chosen


class Clock:
    """Seconds of a run over all its sessions, by a clock that nobody sets: resuming adds to what was there."""

    def __init__(self) -> None:
        """A session begins."""
        self.before = 0.0  # of earlier sessions, up to the checkpoint that this one goes on from
        self.started = time.perf_counter()

    @property
    def session(self) -> float:
        """Seconds of this session."""
        return time.perf_counter() - self.started

    @property
    def seconds(self) -> float:
        """Seconds of the run."""
        return self.before + self.session


class Stopwatch:
    """The mean time of the steps of this process: loading, TROA and the optimiser; no checkpoint, no evaluation."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.laps: list[float] = []
        self.started = 0.0

    def start(self) -> None:
        """A step begins."""
        self.started = time.perf_counter()

    def lap(self) -> None:
        """A step has ended."""
        self.laps.append(time.perf_counter() - self.started)

    @property
    def mean(self) -> float | None:
        """Seconds per step; None where no step was run."""
        laps = self.laps[WARM_UP:] or self.laps
        return round(sum(laps) / len(laps), 5) if laps else None


def peak_memory(device: torch.device) -> int | None:
    """Bytes that this process has held at most: on a GPU what torch has allocated there, else all of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:  # not getrusage, which on Linux begins with the peak of the process that started this one
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
