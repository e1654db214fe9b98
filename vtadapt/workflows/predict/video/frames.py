"""The frames of a video file or of a camera, one at a time."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vtadapt.data.readers.raw.video import VideoFile
from vtadapt.errors import UsageError
from vtadapt.workflows.predict.inputs import VIDEOS, BrokenVideoError, camera_of

RATE = 25.0  # frames a second, where a file does not say
SLOWEST = 0.05  # frames a second; formats cannot tell much slower rates


@dataclass(frozen=True)
class VideoOptions:
    """Which frames are predicted, and how they hang together.

    Attributes:
        every: every so many-th frame.
        limit: at most so many; None for all, of a camera until it is ended.
        smooth: weight that the past keeps in what is predicted; 0 for each frame alone.
    """

    every: int = 1
    limit: int | None = None
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.every < 1 or (self.limit is not None and self.limit < 1):
            raise UsageError(f"every {self.every}, limit {self.limit}; wanted numbers from 1")
        if not 0 <= self.smooth < 1:
            raise UsageError(f"smooth {self.smooth}; wanted a number from 0 (each frame alone) to below 1, such as 0.8")


Capture = cv2.VideoCapture | VideoFile


def open_video(path: Path) -> Capture:
    """Open a video or a camera; what goes wrong is told here in one line, not by the libraries below in many.

    Raises:
        BrokenVideoError: no such file, or no such camera.
    """
    if (number := camera_of(path)) is not None:
        with silence():
            capture = cv2.VideoCapture(number)
        if not capture.isOpened():
            capture.release()
            raise BrokenVideoError(
                f"no camera {number} answers; wanted the number of one that no program uses, or a file"
            )
        return capture
    if not path.is_file():
        raise BrokenVideoError(f"no video at {os.fspath(path)!r}; wanted a file ({', '.join(VIDEOS)})")
    return VideoFile(path)


def no_frame(path: Path, capture: Capture) -> BrokenVideoError:
    """The error for a video of which no frame can be read."""
    why = f"; {capture.problem}" if isinstance(capture, VideoFile) and capture.problem else ""
    return BrokenVideoError(f"{path}: broken or empty video (no frame can be read{why}); wanted one with pictures")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """OpenCV and FFmpeg print nothing."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # FFmpeg reads its level once: where somebody has used it before us, it writes to the process's stderr all the same.
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        cv2.utils.logging.setLogLevel(level)


def rate_of(capture: Capture, every: int) -> float:
    """Frames a second of the result, where every so many-th frame is taken."""
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return max((rate if math.isfinite(rate) and 0 < rate <= 1000 else RATE) / every, SLOWEST)


def announced(capture: Capture, options: VideoOptions) -> int:
    """How many frames there will be, by what the file says; where it does not, as cameras, the limit, or 0."""
    found = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    said = int(found) if 0 < found < 2**53 else 0
    return min(-(-said // options.every), options.limit or said) if said else options.limit or 0


def read_frames(capture: Capture, options: VideoOptions) -> Iterator[np.ndarray]:
    """Yield the chosen frames, (H, W, 3) uint8 RGB, one at a time; ends where the file does."""
    number = given = 0
    while options.limit is None or given < options.limit:
        if not capture.grab():
            return
        if number % options.every == 0:
            read, bgr = capture.retrieve()
            if not read or bgr is None:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            given += 1
        number += 1
