"""Training, evaluation, prediction and pictures in one process, again and again: memory, files and threads stay flat.

    OMP_NUM_THREADS=1 python benchmarks/soak.py --minutes 120

Every round trains a run on synthetic rooms, evaluates it, predicts photographs and a video, draws attention and writes
a report, and removes it. Prints a line a round; at the end the medians of the first and the last third of the rounds
(the first two rounds, in which libraries load, do not count). Exit code 1 where memory grew by more than 5 % and
20 MiB beside what safetensors loses (see LOST), or more handles, threads, children or temporary files are there than
at the beginning.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from vtadapt.workflows.attention.visualize import AttentionOptions, visualize_attention
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.report.report import ReportOptions, report
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.train import train

FIRST = 2  # rounds in which libraries load
LOST = 0.12
"""MiB a round that the library safetensors (0.8) loses: about 60 bytes for each tensor that it reads, here some 2 000.

tracemalloc finds nothing else that grows. Of a process that loads one run it is some 20 KiB.
"""


class Taken(NamedTuple):
    """What the process holds after a round.

    Attributes:
        mebibytes: of memory that lies in RAM.
        handles: open files and the like.
        threads: of Python.
        children: processes that this one has started.
        temporary: files and folders of ours in the system's place for them.
    """

    mebibytes: float
    handles: int
    threads: int
    children: int
    temporary: int


def taken(folder: Path) -> Taken:
    """What is held now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    ours = [*Path(tempfile.gettempdir()).glob(".vtadapt-*"), *folder.rglob(".*.partial*")]
    handles = len(os.listdir("/proc/self/fd"))
    children = sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))
    return Taken(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, handles, threading.active_count(), children, len(ours))


def inputs(folder: Path) -> list[Path]:
    """A photograph, a larger one, and a video."""
    random = np.random.default_rng(0)
    paths = [folder / "a.png", folder / "b.jpg"]
    for path, (height, width) in zip(paths, ((96, 128), (300, 400)), strict=True):
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    writer = cv2.VideoWriter(str(folder / "c.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in range(4):
        writer.write(np.full((48, 64, 3), 60 * level, np.uint8))
    writer.release()
    return [*paths, folder / "c.avi"]


def go_round(folder: Path, files: list[Path]) -> None:
    """One round; what it made is removed."""
    settings = TrainSettings(
        data="rooms",
        data_dir=folder / "data",
        run_dir=folder / "runs",
        steps=6,
        batch_size=2,
        size=(64, 64),
        val_images=2,
    )
    run = Path(train(settings, quiet=True)["run"])
    evaluate_run(run, EvalOptions(limit=4, trivial=False))
    predict(files, run, folder / "out", raw=True)
    visualize_attention(files[:1], run, folder / "out", AttentionOptions())
    report(run, options=ReportOptions(images=1), quiet=True)
    shutil.rmtree(folder / "runs")
    shutil.rmtree(folder / "out")


def main() -> None:
    """Go round until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, rounds, end = Path(name), list[Taken](), time.monotonic() + 60 * given.minutes
        files = inputs(folder)
        small = ["prepare-data", "rooms", "--size", "64x64", "--limit", "12", "--data-dir", str(folder / "data")]
        os.system(f"{sys.executable} -m vtadapt {' '.join(small)} --quiet > {os.devnull}")
        while time.monotonic() < end or len(rounds) < FIRST + 3:
            with contextlib.redirect_stderr(io.StringIO()):
                go_round(folder, files)
            rounds.append(taken(folder))
            print(
                f"round {len(rounds)}: " + ", ".join(f"{k} {v:.6g}" for k, v in rounds[-1]._asdict().items()),
                flush=True,
            )
    counted = rounds[FIRST:]
    third = max(1, len(counted) // 3)
    lost = LOST * (len(counted) - third)
    grew = False
    print(f"\n| of {len(rounds)} rounds | first third | last third |\n|---|---|---|")
    for key in Taken._fields:
        first, last = (median(getattr(one, key) for one in part) for part in (counted[:third], counted[-third:]))
        print(f"| {key} | {first:.6g} | {last:.6g} |")
        grew = grew or (last - lost > max(1.05 * first, first + 20) if key == "mebibytes" else last > first)
    sys.exit(grew)


if __name__ == "__main__":
    main()
