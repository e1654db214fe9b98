"""Trivial predictors of boundaries: strengths by chance, and the edge detector of Canny (1986).

Saying "no boundary" everywhere is no floor of theirs: within the tolerance of the ODS score, noise alone finds a third
of the boundaries of a busy picture.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.trivial.base import Trivial

if TYPE_CHECKING:
    from torch import Tensor

SURE = 20.0
"""Logit of a boundary that is there, its negative that of one that is not."""


class RandomStrengths(Trivial):
    """Each pixel's strength is drawn apart: (1 - t)^3 / 2 of all pixels are stronger than t.

    So a threshold of ODS may take any share of the pixels that edges can have. Three draws, on 16 images: matching
    noise takes long, and over so many pixels chance evens out.
    """

    draws = 3
    measured_on = 16

    def predict(self, image: Tensor, draw: int) -> Tensor:
        """Seeded by the draw and by the image itself, so that neither order nor batch size counts."""
        import torch

        strengths = [self._strength(each, draw) for each in _bytes_of(image)]
        return torch.from_numpy(np.stack(strengths))[:, None].float().clamp(1e-6, 1 - 1e-6).logit()

    def _strength(self, image: NDArray[np.uint8], draw: int) -> NDArray[np.float64]:
        drawn = np.random.default_rng([draw, zlib.crc32(image.tobytes())]).random(image.shape[:2])
        return np.clip(1 - np.cbrt(2 * drawn), 0, 1)


class Canny(Trivial):
    """OpenCV's Canny on the grey image: blur, upper threshold as they suit the training labels, lower one 0.4 of it.

    Chosen is the pair whose edges have the best headline metric over 16 training images. Its edges are yes or no, so
    the threshold that ODS chooses changes nothing.
    """

    learns_from = 16
    ready = False
    BLURS = (0.0, 1.0, 2.0, 3.0)
    """Standard deviations in pixels."""
    UPPERS = (25, 50, 100, 150, 200, 300)
    """Of the gradient's length between grey values of 0..255, by Sobel's 3 x 3."""
    LOWER = 0.4

    def __init__(self, meter: Callable[[], Meter], higher_is_better: bool) -> None:
        """``meter`` makes an empty one whose headline, higher or lower, chooses."""
        self.sign = 1 if higher_is_better else -1
        self.meters = {pair: meter() for pair in itertools.product(self.BLURS, self.UPPERS)}
        self.chosen: tuple[float, int] | None = None

    def add(self, image: Tensor, target: Tensor) -> None:
        """Try every pair on a batch."""
        for pair, meter in self.meters.items():
            meter.update(self._logits(image, *pair), target)
        self.chosen = None
        self.ready = self.ready or any(meter.counts()["pixels"] for meter in self.meters.values())

    def predict(self, image: Tensor, draw: int) -> Tensor:  # noqa: ARG002
        """See the class."""
        if self.chosen is None:
            self.chosen = max(self.meters, key=lambda p: self.sign * self.meters[p].compute()[self.meters[p].headline])
        return self._logits(image, *self.chosen)

    def _logits(self, image: Tensor, blur: float, upper: int) -> Tensor:
        import torch

        edges = np.stack([_canny(each, blur, upper, self.LOWER * upper) for each in _bytes_of(image)])
        return torch.where(torch.from_numpy(edges)[:, None], SURE, -SURE)


def _bytes_of(image: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in 0..1 -> (B, H, W, 3) uint8."""
    pixels: NDArray[Any] = (image * 255).round().clamp(0, 255).permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(pixels.astype(np.uint8))


def _canny(image: NDArray[np.uint8], blur: float, upper: float, lower: float) -> NDArray[np.bool_]:
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if blur:
        grey = cv2.GaussianBlur(grey, (0, 0), blur)
    return np.asarray(cv2.Canny(grey, lower, upper, L2gradient=True) > 0)
