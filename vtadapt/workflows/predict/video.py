"""Predictions for videos, frame by frame: a video of the frames beside one cell per task, with flat memory."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from vtadapt.atomic import disk_error, make_folder, replace_file, temporary_name
from vtadapt.errors import UsageError, VtadaptError
from vtadapt.tasks import Task
from vtadapt.viz.video_strips import frame_strips
from vtadapt.workflows.evaluate.cells import legends
from vtadapt.workflows.predict.image import Predictor
from vtadapt.workflows.predict.inputs import VIDEOS, BrokenVideoError
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.text import warn

CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))  # what is tried, in this order; every OpenCV writes the second
WIDTH = 2560  # pixels across a frame of the result at most
RATE = 25.0  # frames a second, where a file does not say
SLOWEST = 0.05  # frames a second; formats cannot tell much slower rates
STEADY = 0.9  # weight that the past keeps in a range of values, so that colours do not flicker


@dataclass(frozen=True)
class VideoOptions:
    """Which frames are predicted: every ``every``-th, and at most ``limit`` (None for all)."""

    every: int = 1
    limit: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.every < 1 or (self.limit is not None and self.limit < 1):
            raise UsageError(f"every {self.every}, limit {self.limit}; wanted numbers from 1")


def predict_video(
    predictor: Predictor, path: Path, out: Path, options: VideoOptions, *, quiet: bool = False
) -> dict[str, Any]:
    """Write ``out`` with the suffix of its format: per frame image | one cell per task, names above, classes below.

    Only the frame at hand is kept. Cells are as large as the frames, or smaller to stay within 2560 pixels across.

    Args:
        predictor: the run, and at which size it works, as for photographs.
        path: the video.
        out: path of the result without a suffix.
        options: which frames.
        quiet: no progress.

    Returns:
        {"image", "panel", "size": [H, W], "run_size": [H, W], "tiles", "frames", "frames_per_second" (of the result),
        "seconds", "images_per_second"}.

    Raises:
        BrokenVideoError: no frame can be read.
        VtadaptError: the result cannot be written.
    """
    capture = _open(path)
    started = time.perf_counter()
    try:
        first = next(frames := read_frames(capture, options), None)
        if first is None:
            raise BrokenVideoError(f"{path}: broken or empty video (no frame can be read); wanted one with pictures")
        rate = max(_rate(capture) / options.every, SLOWEST)
        announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        total = min(-(-announced // options.every), options.limit or announced)
        with Writer(out, rate) as writer, Progress(total, 0, path.name, quiet) as bar:
            draw = Drawing(predictor.loaded.tasks, first.shape[0], first.shape[1])
            frame: np.ndarray | None = first
            while frame is not None:
                predicted = predictor(frame, draw.cell)
                writer.add(draw(frame, predicted.maps))
                speed = writer.count / (time.perf_counter() - started)
                bar.update(writer.count, {"images/s": speed})
                frame = next(frames, None)
    finally:
        capture.release()
    if writer.count < total:
        warn(f"{path} ends after {writer.count} of {total} frames (cut short?)")
    seconds = time.perf_counter() - started
    found = {"image": str(path), "panel": str(writer.path), "size": list(first.shape[:2]), **predicted.plan.report}
    timing = {"seconds": round(seconds, 3), "images_per_second": round(writer.count / seconds, 2)}
    return {**found, "frames": writer.count, "frames_per_second": round(rate, 3), **timing}


def _open(path: Path) -> cv2.VideoCapture:
    """Open a video; what goes wrong is told here in one line, not by the libraries below in many."""
    if not path.is_file():
        raise BrokenVideoError(f"no video at {os.fspath(path)!r}; wanted a file ({', '.join(VIDEOS)})")
    # What FFmpeg cannot read no other can, but some would complain.
    backend = cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends() else cv2.CAP_ANY
    with _silence():
        return cv2.VideoCapture(os.fspath(path), backend)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """OpenCV and FFmpeg print nothing."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _rate(capture: cv2.VideoCapture) -> float:
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if math.isfinite(rate) and 0 < rate <= 1000 else RATE


def read_frames(capture: cv2.VideoCapture, options: VideoOptions) -> Iterator[np.ndarray]:
    """Yield the chosen frames, (H, W, 3) uint8 RGB, one at a time; ends where the file does."""
    number = given = 0
    while options.limit is None or given < options.limit:
        if not capture.grab():
            return
        if number % options.every == 0:
            read, bgr = capture.retrieve()
            if not read:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            given += 1
        number += 1


class Drawing:
    """Frames of the result: cells side by side between a strip of names and one of classes, which never change."""

    def __init__(self, tasks: Mapping[str, Task], height: int, width: int) -> None:
        """Lay out for frames of ``height`` x ``width``; ``cell`` is what that is scaled to."""
        self.tasks = tasks
        across = (1 + len(tasks)) * width
        factor = min(1.0, WIDTH / across)
        self.cell = max(1, round(height * factor)), max(1, round(width * factor))
        names = ["image", *tasks]
        self.above, self.below = frame_strips(names, legends(tasks), self.cell[1])
        self.ranges: dict[str, tuple[float, float]] = {}

    def __call__(self, frame: np.ndarray, predictions: Mapping[str, Tensor]) -> np.ndarray:
        """Return the page of one frame (H, W, 3) and its predictions at the size of a cell; its sides are even."""
        h, w = self.cell
        image = frame if frame.shape[:2] == (h, w) else cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA)
        cells = [image, *(self._colour(name, task, predictions[name]) for name, task in self.tasks.items())]
        page = np.concatenate([self.above, np.concatenate(cells, axis=1), self.below], axis=0)
        odd = page.shape[0] % 2, page.shape[1] % 2  # codecs keep colours per 2 x 2 pixels
        return np.pad(page, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")

    def _colour(self, name: str, task: Task, prediction: Tensor) -> np.ndarray:
        found = task.value_range(prediction)
        if found is not None:
            old = self.ranges.get(name, found)
            steady = [STEADY * a + (1 - STEADY) * b for a, b in zip(old, found, strict=True)]
            self.ranges[name] = steady[0], steady[1]
        return task.colour(prediction, self.ranges.get(name))


class Writer:
    """A video that appears under its name when it is whole; the format is the first of ``CODECS`` that works."""

    def __init__(self, stem: Path, rate: float) -> None:
        """Write to ``stem`` with a suffix, at ``rate`` frames a second."""
        self.stem, self.rate, self.count = stem, rate, 0
        self.path = stem
        self._temporary: Path | None = None
        self._video: cv2.VideoWriter | None = None

    def __enter__(self) -> Writer:
        """Nothing is opened before the first frame tells the size."""
        return self

    def add(self, page: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 RGB, all of one size.

        Raises:
            VtadaptError: no format can be written here.
        """
        if self._video is None:
            self._video = self._start(page.shape[0], page.shape[1])
        self._video.write(cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
        self.count += 1

    def _start(self, height: int, width: int) -> cv2.VideoWriter:
        with disk_error(self.stem):
            make_folder(self.stem.parent)
        for suffix, codec in CODECS:
            self.path = self.stem.with_name(self.stem.name + suffix)
            # The writer goes by the suffix, so that the temporary name keeps it.
            self._temporary = temporary_name(self.stem, suffix)
            kind = cv2.VideoWriter.fourcc(*codec)
            with _silence():
                video = cv2.VideoWriter(os.fspath(self._temporary), kind, self.rate, (width, height))
            if video.isOpened():
                return video
            self._temporary.unlink(missing_ok=True)
        raise VtadaptError(f"{self.stem}: no video can be written ({width} x {height}); name another folder with --out")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give the file its name, or remove what there is of it after an error."""
        if self._video is not None:
            self._video.release()
        if self._temporary is None:
            return
        try:
            if kind is None:
                self._check(self._temporary)
                with disk_error(self.path):
                    replace_file(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _check(self, written: Path) -> None:
        """OpenCV says nothing when a disk is full: read back how many frames there are."""
        capture = cv2.VideoCapture(os.fspath(written))
        found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if found < self.count:
            raise VtadaptError(f"{self.path}: only {found} of {self.count} frames were written; is the disk full?")
