"""A prediction drawn over its photograph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARE = 0.55  # of the colours, where they cover all; the rest is the photograph
LINE = (255, 64, 32)  # of lines over a photograph, which few photographs have


def overlay(rgb: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours (H, W, 3) mixed with the photograph (H, W, 3)."""
    return _mixed(rgb, colours, np.float32(SHARE))


def overlay_lines(rgb: NDArray[np.uint8], strength: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lines over the photograph (H, W, 3), as opaque as their strength (H, W) of 0..1."""
    colours = np.broadcast_to(np.array(LINE, np.uint8), rgb.shape)
    return _mixed(rgb, colours, strength.astype(np.float32).clip(0, 1)[..., None])


def _mixed(
    under: NDArray[np.uint8], over: NDArray[np.uint8], share: NDArray[np.float32] | np.float32
) -> NDArray[np.uint8]:
    below, above = under.astype(np.float32), over.astype(np.float32)
    return np.rint(below + (above - below) * share).astype(np.uint8)
