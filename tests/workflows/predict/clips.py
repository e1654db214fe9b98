"""Small videos, written and read again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vtadapt.workflows.predict.video.frames import VideoOptions, read_frames


def clip(path: Path, frames: int = 6, height: int = 24, width: int = 32, rate: float = 10) -> Path:
    """A video whose frames grow brighter by 20, MJPG, which every OpenCV writes."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((height, width, 3), min(20 * i, 255), np.uint8))
    writer.release()
    return path


def read(path: str | Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    frames = list(read_frames(capture, VideoOptions()))
    capture.release()
    return frames, rate
