"""Are stored normals in our axes? Compared with normals that their depth gives, under every flip and swap of axes.

+x is right, +y down, +z away from the camera; a surface that is seen has n . ray < 0. Other conventions differ from
this by signs and by the order of the axes, 48 in all. The normals derived from the depth need no more than a rough
camera to tell which of them a file follows.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.prepare.derive import normals_from_depth
from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.tasks.nearest import nearest_pixels

AXES = "xyz"
GUESSED_VIEW = 60.0  # horizontal field of view in degrees where no camera is known: between a phone's and a Kinect's
LONGEST = 160  # normals are derived at so many pixels of the longer side at most: enough to compare, and quick
LEAST = 200  # pixels with both normals, below which nothing is said
# Another convention is believed where it is better by so many degrees, and no more than this share of what it is as
# stored. Sensors' noise and other methods' smoothing are as large under every convention, so they cannot reach both.
BETTER, SHARE = 10.0, 0.6
UNEXPLAINED = 35.0  # degrees: a disagreement that no flip or swap explains
LEAN = 0.15  # how far the lower third must face down, or the sides outward, to be suspicious


@dataclass(frozen=True)
class Convention:
    """One order and sign of axes: our component i is ``signs[i]`` times component ``order[i]`` of what is stored."""

    order: tuple[int, int, int]
    signs: tuple[int, int, int]

    @property
    def changes(self) -> int:
        """How far it is from ours: axes out of place and negated."""
        return sum(i != j for i, j in enumerate(self.order)) + self.signs.count(-1)

    @property
    def words(self) -> str:
        """What was done to the axes, such as ``y negated`` or ``x and y swapped, z negated``."""
        moved = [AXES[i] for i, j in enumerate(self.order) if i != j]
        negated = [AXES[i] for i, sign in enumerate(self.signs) if sign < 0]
        parts = [f"{_listed(moved)} {'swapped' if len(moved) == 2 else 'turned round'}"] if moved else []
        parts += [f"{_listed(negated)} negated"] if negated else []
        return ", ".join(parts) or "as stored"

    @property
    def looks(self) -> str:
        """What it would mean, as ``axis y looks flipped``."""
        moved = [AXES[i] for i, j in enumerate(self.order) if i != j]
        wrong = moved or [AXES[i] for i, sign in enumerate(self.signs) if sign < 0]
        plural = len(wrong) > 1
        what = ("swapped" if len(moved) == 2 else "in another order") if moved else "flipped"
        return f"{'axes' if plural else 'axis'} {_listed(wrong)} {'look' if plural else 'looks'} {what}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@functools.cache
def conventions() -> tuple[Convention, ...]:
    """All 48, ours first, then those nearest to it."""
    signs = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    found = [Convention((i, j, k), s) for i, j, k in itertools.permutations(range(3)) for s in signs]
    return tuple(sorted(found, key=lambda c: (c.changes, c.order, tuple(-s for s in c.signs))))


@dataclass(frozen=True, eq=False)
class Agreement:
    """Stored normals beside those of the depth: mean angle in degrees of each of :func:`conventions`, and pixels.

    ``derived`` are the normals of the depth, (h, w, 3) float32, zeros where there are none.
    """

    angles: NDArray[np.float64]
    pixels: int
    derived: NDArray[np.float32]


def agreement(normals: NDArray[Any], depth: NDArray[Any], camera: Intrinsics) -> Agreement:
    """Compare one sample's normals with its depth.

    Args:
        normals: (H, W, 3) as stored, zeros = missing.
        depth: (H, W) metres, 0 = missing.
        camera: of an image of H x W.
    """
    height, width = depth.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    known = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
    window = min(max(min(height, width) // 32, 2), 7)
    derived = normals_from_depth(known, camera, window, size)
    stored = np.nan_to_num(nearest_pixels(normals, size).astype(np.float64), posinf=0, neginf=0)
    both = (stored != 0).any(axis=-1) & (derived != 0).any(axis=-1)
    if not both.any():
        return Agreement(np.full(len(conventions()), np.nan), 0, derived)
    unit = stored[both] / np.linalg.norm(stored[both], axis=-1, keepdims=True)
    products = unit[:, :, None] * derived[both].astype(np.float64)[:, None, :]  # (N, component stored, component ours)
    angles = [_mean_angle(products, convention) for convention in conventions()]
    return Agreement(np.array(angles), int(both.sum()), derived)


def _mean_angle(products: NDArray[np.float64], convention: Convention) -> float:
    cosine = sum(convention.signs[i] * products[:, convention.order[i], i] for i in range(3))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def best_of(angles: NDArray[np.float64]) -> int:
    """Position in :func:`conventions` of the one that fits; of those within 2 degrees of the best the nearest to ours.

    0, ours, unless another is clearly better.
    """
    if not np.isfinite(angles).all():
        return 0
    best = int(np.flatnonzero(angles <= angles.min() + 2)[0])
    stored = float(angles[0])
    clear = angles[best] < min(stored - BETTER, SHARE * stored)
    return best if clear else 0


def guessed_camera(height: int, width: int) -> Intrinsics:
    """A camera with a horizontal field of view of 60 degrees, for an image of ``height`` x ``width``."""
    focal = width / 2 / math.tan(math.radians(GUESSED_VIEW / 2))
    return Intrinsics(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)


def camera_of(known: Intrinsics | None, height: int, width: int) -> Intrinsics:
    """The recipe's camera for an image of this size, or a guessed one."""
    return guessed_camera(height, width) if known is None else known.resized(height, width)


def leanings(normals: NDArray[Any]) -> tuple[float, float]:
    """How much less the left third faces left than the right third, and the lower third down than the upper.

    In a room or a street both are positive: floor below (facing up, y < 0), ceiling above, walls at the sides that
    face inward. NaN where a third has no vector.
    """
    height, width = normals.shape[:2]
    known = (normals != 0).any(axis=-1)

    def mean(part: tuple[slice, slice], axis: int) -> float:
        values = normals[part][..., axis][known[part]]
        return float(values.mean()) if values.size else math.nan

    low, high, every = slice(-(height // 3 or 1), None), slice(0, height // 3 or 1), slice(None)
    left, right = slice(0, width // 3 or 1), slice(-(width // 3 or 1), None)
    return mean((every, left), 0) - mean((every, right), 0), mean((high, every), 1) - mean((low, every), 1)


class NormalsCheck:
    """Gathers what is said of one task of vectors: the comparison with depth, over sampled samples."""

    def __init__(self, task: str, exact_camera: bool) -> None:
        self.task, self.exact_camera = task, exact_camera
        self.sums, self.pixels, self.samples = np.zeros(len(conventions())), 0, 0
        self.suspects: list[str] = []
        self.leans: list[tuple[float, float]] = []

    def add(self, name: str, normals: NDArray[Any], depth: NDArray[Any] | None, camera: Intrinsics) -> None:
        """Take one sample's normals, and its depth where it has some."""
        finite = np.nan_to_num(normals.astype(np.float32), posinf=0, neginf=0)
        self.leans.append(leanings(finite))
        if depth is None:
            return
        found = agreement(finite, depth, camera)
        if found.pixels < LEAST:
            return
        self.samples += 1
        self.pixels += found.pixels
        self.sums += found.angles * found.pixels
        if best_of(found.angles):
            self.suspects.append(name)

    def report(self) -> dict[str, Any]:
        """Mean angles in degrees as stored, under each flip and swap of two, and the convention that fits best."""
        lean = [_mean([pair[i] for pair in self.leans]) for i in (0, 1)]
        result: dict[str, Any] = {
            "samples": self.samples,
            "pixels": self.pixels,
            "camera": "recipe" if self.exact_camera else f"guessed ({GUESSED_VIEW:g} degrees)",
            "lean": dict(zip("xy", lean, strict=True)),
        }
        if not self.samples:
            return result
        angles = self.sums / self.pixels
        shown = [(i, c) for i, c in enumerate(conventions()) if i == 0 or _simple(c)]
        best = best_of(angles)
        return result | {
            "degrees": {c.words: round(float(angles[i]), 2) for i, c in shown},
            "fits": conventions()[best].words,
            "fits_degrees": round(float(angles[best]), 2),
            "suspects": list(self.suspects),
        }

    def findings(self) -> tuple[list[str], list[str]]:
        """Problems and warnings, one line each."""
        if not self.samples:
            return [], self._leaning()
        angles = self.sums / self.pixels
        best, stored = best_of(angles), float(angles[0])
        guess = "" if self.exact_camera else f"; the camera is guessed ({GUESSED_VIEW:g} degrees wide)"
        if best:
            chosen = conventions()[best]
            numbers = f"{stored:.1f} degrees as stored, {angles[best]:.1f} with {chosen.words}"
            line = f"{self.task}: {chosen.looks} (mean angle to the depth's normals {numbers}{guess})"
            return ([line], []) if self.exact_camera else ([], [line])
        warnings = []
        if stored > UNEXPLAINED:
            warnings.append(
                f"{self.task}: {stored:.1f} degrees off the depth's normals, which no flip or swap of axes explains "
                f"(another frame than the camera's, or another camera?{guess})"
            )
        elif self.suspects:
            warnings.append(
                f"{self.task}: {len(self.suspects)} of {self.samples} samples looked at have other axes than their "
                f"depth, first: {self.suspects[0]}"
            )
        return [], warnings

    def _leaning(self) -> list[str]:
        """Without depth: what a room or a street would not look like."""
        lines = []
        for axis, i, seen in (("x", 0, "the sides face outward"), ("y", 1, "the lower part faces down")):
            lean = _mean([pair[i] for pair in self.leans])
            if lean is not None and lean < -LEAN:
                lines.append(f"{self.task}: {seen} (mean {axis} differs by {-lean:.2f}): is axis {axis} flipped?")
        return lines


def _simple(convention: Convention) -> bool:
    """Whether it is a flip of one axis, or a swap of two."""
    moved = sum(i != j for i, j in enumerate(convention.order))
    return (moved, convention.signs.count(-1)) in ((0, 1), (2, 0))


def _mean(values: Sequence[float]) -> float | None:
    known = [v for v in values if math.isfinite(v)]
    return round(float(np.mean(known)), 3) if known else None
