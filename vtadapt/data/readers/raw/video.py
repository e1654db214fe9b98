"""The frames of a video file, decoded in a process that may die: FFmpeg is C, and a damaged file may crash it.

Only files that hold their pictures themselves are opened. FFmpeg looks at the content and not at the name, and some of
what it reads are texts that name other files or addresses, whose pictures it would show.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.readers.raw.child import ParserError, run_in_child

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,ogg"
"""FFmpeg's names of the containers that are opened; concat, hls and image sequences lead to other files."""
OPTIONS = f"protocol_whitelist;file|format_whitelist;{FORMATS}"
SECONDS = 20.0  # of CPU time for one step; a frame of 8K takes half a second
MAX_PIXELS = 1 << 27  # of a frame: 8K has 2^25


class VideoFile:
    """What of OpenCV's ``VideoCapture`` reading a file from its start needs; one is open at a time in a process.

    Where the decoder crashes, comes to no end or meets too large a frame, there are no more frames; ``problem`` says
    what happened.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        # Of a name such as concat:x.avi FFmpeg would take what is before the colon for a protocol.
        self.path, self.number, self.problem = os.path.abspath(path), 0, ""

    def grab(self) -> bool:
        """Go to the next frame; False where there is none."""
        self.number += 1
        return bool(self._ask(_grab, self.number))

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Whether that frame can be decoded, and its pixels, (H, W, 3) BGR."""
        found = self._ask(_retrieve, self.number)
        return found is not None, found

    def get(self, key: int) -> float:
        """A property of the file by OpenCV's number; 0 where it is not known."""
        return float(self._ask(_get, self.number, key) or 0.0)

    def release(self) -> None:
        """Close the file."""
        with contextlib.suppress(ParserError):
            run_in_child(_close, seconds=SECONDS)

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        if self.problem:
            return None
        try:
            return run_in_child(function, self.path, *args, seconds=SECONDS)
        except ParserError as error:
            self.problem = str(error)
            return None


_open: tuple[str, int, Any] | None = None  # in the child: path, number of the frame it is at, capture


def _at(path: str, number: int) -> Any:
    """The capture of a file that is at a frame; None where the process that was there has died."""
    global _open
    if _open is None or _open[0] != path:
        if number:
            return None
        _close()
        import cv2

        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = OPTIONS
        cv2.setNumThreads(1)
        # What FFmpeg cannot read no other can, and others open what a name stands for, such as a row of pictures.
        known = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
        _open = (path, 0, cv2.VideoCapture(path, cv2.CAP_FFMPEG if known else cv2.CAP_ANY))
    return _open[2] if _open[1] == number else None


def _grab(path: str, number: int) -> bool:
    global _open
    capture = _at(path, number - 1)
    if capture is None or not capture.grab():
        return False
    _open = (path, number, capture)
    return True


def _retrieve(path: str, number: int) -> NDArray[np.uint8] | None:
    import cv2

    if (capture := _at(path, number)) is None:
        return None
    width, height = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        raise ValueError(f"frames of {height:g} x {width:g}, wanted at most {MAX_PIXELS} pixels")
    read, frame = capture.retrieve()
    return frame if read else None


def _get(path: str, number: int, key: int) -> float:
    capture = _at(path, number)
    return 0.0 if capture is None else float(capture.get(key))


def _close() -> None:
    global _open
    if _open is not None:
        _open[2].release()
        _open = None
