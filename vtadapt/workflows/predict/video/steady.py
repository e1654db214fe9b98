"""Predictions that follow a video smoothly: what the network says of a frame, averaged with what it said before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from vtadapt.tasks import Task

CUT = 0.2  # mean difference of two small grey pictures of 0..1 from which on they are of two scenes
SMALL = (32, 32)


class Steady:
    """An exponential average over frames, of what each task says can be averaged (probabilities, metres, vectors).

        m_t = keep m_(t-1) + (1 - keep) p_t

    It begins anew where the scene is cut: where the mean difference of two frames, small and grey, is above 0.2.
    """

    def __init__(self, tasks: Mapping[str, Task], keep: float) -> None:
        """``keep``: weight of the past."""
        self.tasks, self.keep = tasks, keep
        self._past: dict[tuple[int, str], Tensor] = {}
        self._call = 0
        self._seen: np.ndarray | None = None

    def begin(self, frame: np.ndarray) -> None:
        """Tell that the next frame (H, W, 3) comes."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        if self._seen is None or float(np.abs(small - self._seen).mean()) > CUT:
            self._past.clear()
        self._call, self._seen = 0, small

    def __call__(self, logits: Mapping[str, Any]) -> dict[str, Tensor]:
        """Logits (B, C, H, W) of the frame, or of its next tiles -> logits that decode to the average."""
        found = {}
        for name, task in self.tasks.items():
            now = task.for_blending(logits[name].detach())
            past = self._past.get((self._call, name))
            if past is not None and past.shape == now.shape:
                now = self.keep * past + (1 - self.keep) * now
            self._past[self._call, name] = now
            found[name] = task.from_blended(now)
        self._call += 1
        return found
