"""What is counted of each kind of label while a pack is read again; ``CHECKS`` maps the name of a kind to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.check.labels import LabelCheck, LogHistogram, Tally, labelled
from vtadapt.data.check.normals import facing_away
from vtadapt.data.pack.labels import UNIT_TOLERANCE
from vtadapt.data.recipe.label_sets import RESERVED
from vtadapt.data.recipe.recipe import VOID, Intrinsics

PLAUSIBLE = (0.05, 200.0)  # metres: a median distance outside is in other units
SATURATED = 0.01  # share of the labelled pixels that hold the largest value: rather a code than a measurement
AWAY, AWAY_FLIPPED = 0.05, 0.5  # share of vectors that no camera could see: suspicious, and flipped for sure
MANY_EDGES = 0.5  # share of boundary pixels from which on lines and ground look swapped


class ClassesCheck(LabelCheck):
    """Class ids: pixels and images of each class."""

    wants = "with ids that are no class"

    def __post_init__(self) -> None:
        self.histogram = np.zeros(max(VOID, len(self.task.classes)) + 1, np.int64)
        self.images = np.zeros(len(self.histogram), np.int64)

    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """(H, W) mask of pixels with values that must not be."""
        signed = np.issubdtype(array.dtype, np.signedinteger)
        return np.asarray(((array >= len(self.task.classes)) & (array != VOID)) | ((array < 0) & signed))

    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Intrinsics) -> None:
        del name, camera  # the mean of ids means nothing
        counts = np.bincount(labelled(array, mask).ravel(), minlength=len(self.histogram))
        self.histogram += counts
        self.images += counts > 0

    def report(self) -> dict[str, Any]:
        """Also pixels and images of each class."""
        classes = self.task.classes
        return super().report() | {
            "pixels_per_class": {c: int(self.histogram[i]) for i, c in enumerate(classes)},
            "images_per_class": {c: int(self.images[i]) for i, c in enumerate(classes)},
        }

    def findings(self) -> tuple[list[str], list[str]]:
        """Also where there is but one class."""
        problems, warnings = super().findings()
        seen = np.flatnonzero(self.histogram)
        if len(seen) == 1 < len(self.task.classes) and self.samples > 1:
            warnings.append(f"{self.name}: every labelled pixel is {self.task.classes[seen[0]]!r}")
        return problems, warnings

    def disagreements(self, said: dict[str, Any]) -> list[str]:
        """Also the manifest's pixels per class."""
        lines, own = super().disagreements(said), self.report()["pixels_per_class"]
        told = {c: n for c, n in said.get("pixels_per_class", own).items() if c != RESERVED}
        other = [c for c in self.task.classes if c != RESERVED and told.get(c) != own[c]]
        if other and not self.wrong.samples:
            first = f"{own[other[0]]} of {other[0]!r}, the manifest says {told.get(other[0])}"
            lines.append(f"{self.name}: the pixels of {len(other)} classes differ, first: {first}")
        return lines


class RegressionCheck(LabelCheck):
    """Numbers: percentiles, and what speaks against metres."""

    def __post_init__(self) -> None:
        self.wants = "not finite or negative" if self.task.distance else "infinite"
        self.bins = LogHistogram()
        self.at_high, self.largest = Tally(), -np.inf

    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """(H, W) mask of pixels with values that must not be."""
        wrong = ~np.isfinite(array) | (array < 0) if self.task.distance else np.isinf(array)
        return np.asarray(wrong.any(axis=-1) if array.ndim == 3 else wrong)

    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Intrinsics) -> None:
        super()._count(name, array, mask, camera)
        values = labelled(array, mask)
        self.bins.add(values)
        if values.max() > self.largest:
            self.at_high, self.largest = Tally(), values.max()
        self.at_high.add(name, int((values == self.largest).sum()))

    def report(self) -> dict[str, Any]:
        """Also percentiles, to the 2.3 % of the histogram's bins."""
        if not self.count:
            return super().report()
        shares = {"p1": 0.01, "median": 0.5, "p99": 0.99}
        found = {k: min(max(self.bins.percentile(v), self.low), self.high) for k, v in shares.items()}
        return super().report() | found | {"share_at_max": self.at_high.pixels / self.count}

    def findings(self) -> tuple[list[str], list[str]]:
        """Also units that look wrong, a code taken for a value, and one value everywhere."""
        problems, warnings = super().findings()
        if not self.count:
            return problems, warnings
        units = f" {self.task.units}".rstrip()
        if self.low == self.high:
            warnings.append(f"{self.name}: every value is {self.low:g}{units}")
        elif self._saturated():
            share = f"{100 * self.at_high.pixels / self.count:.2g} % of the labelled pixels"
            warnings.append(f"{self.name}: {share} hold the largest value, {self.high:g}{units}: a code for missing?")
        median = float(self.report()["median"])
        if self.task.distance and not PLAUSIBLE[0] <= median <= PLAUSIBLE[1]:
            guess = "millimetres or centimetres?" if median > PLAUSIBLE[1] else "divided twice, or inverse depth?"
            problems.append(f"{self.name}: median {median:.3g} m, wanted {PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g}: {guess}")
        return problems, warnings

    def _saturated(self) -> bool:
        """Whether the largest value is frequent, in several samples, and far above the others: a wall is not."""
        pixels, rest = self.at_high.pixels, self.count - self.at_high.pixels
        frequent = self.at_high.samples > 1 and pixels > SATURATED * self.count
        return frequent and rest > 0 and self.high > 2 * (self.total - self.high * pixels) / rest


class VectorsCheck(LabelCheck):
    """Unit vectors: length, and whether they face the camera."""

    wants = "not finite or not of length 1"

    def __post_init__(self) -> None:
        self.behind = self.away = self.vectors = 0
        self.sums = np.zeros(3)

    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """(H, W) mask of pixels with values that must not be."""
        with np.errstate(invalid="ignore", over="ignore"):
            length = np.sqrt(np.einsum("hwc,hwc->hw", array, array, dtype=np.float32))
        off = ~(np.abs(length - 1) <= UNIT_TOLERANCE)  # also where it is not a number
        return np.asarray(off & (length != 0))

    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Intrinsics) -> None:
        del name  # the mean of all components would mean nothing
        vectors = array if mask.all() else np.where(mask[..., None], array, np.float32(0))
        self.sums += [vectors[..., axis].sum(dtype=np.float64) for axis in range(3)]
        self.vectors += int(mask.sum())
        self.behind += int(np.count_nonzero(vectors[..., 2] > 0))
        self.away += int(np.count_nonzero(facing_away(vectors, camera)))

    def report(self) -> dict[str, Any]:
        """Also the mean of each axis, the share of vectors with z > 0, and of those that no camera could see."""
        if not self.vectors:
            return super().report()
        return super().report() | {
            "mean_xyz": [round(float(s), 4) for s in self.sums / self.vectors],
            "z_positive_share": self.behind / self.vectors,
            "away_share": self.away / self.vectors,
        }

    def findings(self) -> tuple[list[str], list[str]]:
        """Also vectors that face away from the camera."""
        problems, warnings = super().findings()
        share = self.away / max(self.vectors, 1)
        text = f"{self.name}: {100 * share:.2g} % of the vectors face away from the camera"
        if share > AWAY_FLIPPED:
            problems.append(f"{text}: axis z looks flipped (a surface that is seen has z < 0)")
        elif share > AWAY:
            warnings.append(f"{text}, wanted about 0: is an axis flipped?")
        return problems, warnings


class BoundaryCheck(LabelCheck):
    """Boundaries: values 0..1, and how many pixels are one."""

    wants = "outside 0..1"

    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """(H, W) mask of pixels with values that must not be."""
        if np.issubdtype(array.dtype, np.floating):
            return np.asarray((array < 0) | (array > 1))  # False for NaN, which is missing
        return np.asarray((array > 1) & (array != VOID))

    def findings(self) -> tuple[list[str], list[str]]:
        """Also where nothing, or nearly everything, is a boundary."""
        problems, warnings = super().findings()
        if self.count and self.high == 0:
            warnings.append(f"{self.name}: not one boundary pixel")
        elif self.count and self.total > MANY_EDGES * self.count:
            share = f"{100 * self.total / self.count:.2g} %"
            warnings.append(f"{self.name}: {share} of the labelled pixels are boundary: are 0 and 1 swapped?")
        return problems, warnings


CHECKS: dict[str, type[LabelCheck]] = {
    "classes": ClassesCheck,
    "regression": RegressionCheck,
    "unit_vector": VectorsCheck,
    "boundary": BoundaryCheck,
}
"""Kind of a task -> what is counted of it."""
