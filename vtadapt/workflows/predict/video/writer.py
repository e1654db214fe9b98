"""Video files that appear whole or not at all, in the best format that this OpenCV can write."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from vtadapt.atomic import disk_error, make_folder, replace_file, temporary_name
from vtadapt.errors import VtadaptError
from vtadapt.workflows.predict.video.frames import silence

CODECS = ((".mp4", "avc1"), (".mp4", "mp4v"), (".avi", "MJPG"))
"""What is tried, in this order: H.264, which browsers play; MPEG-4, where OpenCV lacks an encoder for that; and what
every OpenCV writes."""


class Writer:
    """A video that appears under its name when it is whole; the format is the first of ``CODECS`` that works."""

    def __init__(self, stem: Path, rate: float) -> None:
        """Write to ``stem`` with a suffix, at ``rate`` frames a second."""
        self.stem, self.rate, self.count = stem, rate, 0
        self.path, self.codec = stem, ""
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
            with silence():
                video = cv2.VideoWriter(os.fspath(self._temporary), kind, self.rate, (width, height))
            if video.isOpened():
                self.codec = codec
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
        with silence():
            capture = cv2.VideoCapture(os.fspath(written))
        found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if found < self.count:
            raise VtadaptError(f"{self.path}: only {found} of {self.count} frames were written; is the disk full?")
