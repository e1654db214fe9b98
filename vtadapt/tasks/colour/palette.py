"""Colours of classes that declare none: the same in every run, distinct to the eye however many classes there are."""

from __future__ import annotations

import functools

import numpy as np

from vtadapt.tasks.spec import Colour

# The first classes get these, chosen by eye for a calm picture; later ones are computed to differ from all before.
_CHOSEN = bytes.fromhex(
    "4269b2 ee9339 4c9e58 ca4347 995caa 61c3cc f0d05c de82b3 875a42 a3ca62 2c3e5c fabba0 1c7576 9eb0dc 802052 6e7426"
)
# Later colours keep away from these, too: black lines, white paper, a grey that reads as "nothing".
_TAKEN: tuple[Colour, ...] = ((0, 0, 0), (255, 255, 255), (128, 128, 128))


def class_palette(count: int) -> tuple[Colour, ...]:
    """Return ``count`` RGB colours, always the same; a longer palette starts with the shorter one.

    The first 16 are chosen by hand, each later one is the candidate farthest (CIE 1976 colour difference) from all
    colours before it, among those neither nearly black, nearly white nor neon. They are distinct up to 2500 classes,
    and start again after that. Raises ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"count must be at least 0, found {count}")
    chosen: tuple[Colour, ...] = tuple((r, g, b) for r, g, b in zip(*[iter(_CHOSEN)] * 3, strict=True))
    if count <= len(chosen):
        return chosen[:count]
    found = chosen + _farther(chosen, count - len(chosen))
    return tuple(found[i % len(found)] for i in range(count))


@functools.cache
def _farther(before: tuple[Colour, ...], count: int) -> tuple[Colour, ...]:
    """Return up to ``count`` more colours by farthest-point sampling of an RGB grid in CIE Lab."""
    levels = np.arange(8, 256, 16, dtype=np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(candidates)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    suitable = (lab[:, 0] >= 25) & (lab[:, 0] <= 88) & (chroma <= 72)  # not nearly black, nearly white or neon
    candidates, lab = candidates[suitable], lab[suitable]
    # Distances are whole numbers, so that rounding on another processor can change no choice.
    nearest = ((lab[:, None] - _lab(np.array([*before, *_TAKEN], dtype=np.uint8))[None]) ** 2).sum(-1).min(1)
    colours: list[Colour] = []
    while len(colours) < count and nearest.any():
        best = int(nearest.argmax())
        r, g, b = candidates[best].tolist()
        colours.append((r, g, b))
        nearest = np.minimum(nearest, ((lab - lab[best]) ** 2).sum(-1))
    return tuple(colours)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """Return (K, 3) uint8 RGB as CIE L*a*b* (L 0..100) rounded to integers, int64."""
    import cv2  # here, since a recipe knows tasks, too, and few have so many classes

    unit = rgb.astype(np.float32)[None] / np.float32(255)
    return np.rint(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB)[0]).astype(np.int64)
