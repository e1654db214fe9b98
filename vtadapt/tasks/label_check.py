"""What is counted of one task's labels while a pack is read again, one sample at a time, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vtadapt.digits import amount, percent
from vtadapt.tasks.spec import Camera, Declared

FEW = 0.02  # of the pixels labelled, below which it is said
SATURATED = 0.01  # share of the labelled pixels that hold the largest value: rather a code than a measurement


@dataclass
class Tally:
    """How many samples something was seen in, how many pixels, and the first of them."""

    samples: int = 0
    pixels: int = 0
    first: str = ""

    def add(self, name: str, pixels: int = 1) -> None:
        """Count a sample, unless ``pixels`` is 0."""
        if pixels:
            self.first = self.first or name
            self.samples += 1
            self.pixels += int(pixels)

    def __str__(self) -> str:
        return f"{self.samples} sample{'s' * (self.samples != 1)}, first: {self.first}"


class LogHistogram:
    """Counts of numbers in bins 2.3 % wide from 0.0001 to 1 000 000, of both signs; smaller ones count as 0."""

    LOWEST, DECADES, PER_DECADE = -4, 10, 100

    def __init__(self) -> None:
        self.reach = self.DECADES * self.PER_DECADE
        self.counts = np.zeros(2 * self.reach + 1, np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Count finite numbers of any shape."""
        flat = values.ravel().astype(np.float32)
        size = np.maximum(np.abs(flat), np.float32(1e-30))
        place = np.clip((np.log10(size) - self.LOWEST) * self.PER_DECADE + 1, 0, self.reach).astype(np.int32)
        np.negative(place, out=place, where=flat < 0)
        self.counts += np.bincount(place + self.reach, minlength=len(self.counts))

    def percentile(self, share: float) -> float:
        """The number below which ``share`` (0..1) of them lie, to the middle of its bin."""
        place = int(np.searchsorted(np.cumsum(self.counts), share * self.counts.sum())) - self.reach
        if place == 0:
            return 0.0
        return math.copysign(10 ** ((abs(place) - 0.5) / self.PER_DECADE + self.LOWEST), place)


def labelled(array: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """``array[mask]``, without a copy where that is all of it."""
    return array if mask.all() else array[mask]


@dataclass
class LabelCheck:
    """Running counts of one task in one split; kinds add to it.

    Attributes:
        name: of the task.
        task: what the recipe says of it.
        known: mask (H, W) of the pixels of a stored label that are not missing.
        samples: with a label.
        pixels: of them.
        valid: pixels that are not missing.
        wrong: samples with values that must not be.
        empty: samples that have a label without a single valid pixel.
    """

    name: str
    task: Declared
    known: Callable[[NDArray[Any]], NDArray[np.bool_]]
    samples: int = 0
    pixels: int = 0
    valid: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    squares: float = 0.0
    count: int = 0
    wrong: Tally = field(default_factory=Tally)
    empty: Tally = field(default_factory=Tally)
    wants = "infinite"  # what is wrong with the values that must not be

    def __post_init__(self) -> None:
        """The kinds begin their own counts here."""

    def add(self, name: str, array: NDArray[Any], camera: Camera) -> None:
        """Count the stored label (H, W[, C]) of sample ``name``, seen by ``camera``."""
        if array.dtype == np.float16:  # which numpy computes with slowly; every number stays the same
            array = array.astype(np.float32)
        wrong, mask = self.forbidden(array), self.known(array)
        self.samples += 1
        self.pixels += mask.size
        self.valid += int(mask.sum())
        self.wrong.add(name, int(wrong.sum()))
        self.empty.add(name, int(not mask.any()))
        mask &= ~wrong
        if mask.any():
            values = labelled(array, mask)
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self._count(name, array, mask, camera)

    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        """(H, W) mask of pixels with values that must not be: here infinite ones."""
        wrong = np.isinf(array)
        return np.asarray(wrong.any(axis=-1) if array.ndim == 3 else wrong)

    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Camera) -> None:
        del name, camera  # some kinds want them
        values = labelled(array, mask).astype(np.float64).ravel()
        self.total += float(values.sum())
        self.squares += float(values @ values)
        self.count += values.size

    def report(self) -> dict[str, Any]:
        """The counts as JSON can hold them; numbers that are not known are None."""
        known = math.isfinite(self.low)
        result: dict[str, Any] = {
            "samples": self.samples,
            "valid_share": round(self.valid / self.pixels, 6) if self.pixels else 0.0,
            "min": self.low if known else None,
            "max": self.high if known else None,
            "units": self.task.units,
            "wrong_samples": self.wrong.samples,
            "wrong_pixels": self.wrong.pixels,
            "empty_samples": self.empty.samples,
        }
        if self.count:
            mean = self.total / self.count
            deviation = math.sqrt(max(self.squares / self.count - mean * mean, 0.0))
            result |= {"mean": mean, "sd": deviation}
        return result

    def findings(self) -> tuple[list[str], list[str]]:
        """Problems and warnings, one line each, without the split's name."""
        problems, warnings = [], []
        if self.wrong.samples:
            problems.append(f"{self.name}: {self.wrong.pixels} pixels {self.wants} in {self.wrong}")
        if self.empty.samples == self.samples > 0:
            problems.append(f"{self.name}: not one labelled pixel in any of its {self.samples} labels")
        elif self.empty.samples:
            warnings.append(f"{self.name}: a label without one labelled pixel in {self.empty}")
        elif 0 < self.valid < FEW * self.pixels:
            warnings.append(f"{self.name}: only {percent(self.valid / self.pixels)} of the pixels are labelled")
        return problems, warnings

    def disagreements(self, said: dict[str, Any]) -> list[str]:
        """Where the manifest says something else than was counted."""
        lines = []
        own = self.report()
        for key in ("samples", "valid_share", "min", "max"):
            comparable = key == "samples" or not self.wrong.samples
            if key in said and comparable and not _same(said[key], own[key]):
                lines.append(f"{self.name}: {key} is {_short(own[key])}, the manifest says {_short(said[key])}")
        return lines


class NumbersCheck(LabelCheck):
    """Numbers of any kind: percentiles, and values that look like a code."""

    def __post_init__(self) -> None:
        self.bins = LogHistogram()
        self.at_high, self.largest = Tally(), -np.inf

    @override
    def _count(self, name: str, array: NDArray[Any], mask: NDArray[np.bool_], camera: Camera) -> None:
        super()._count(name, array, mask, camera)
        values = labelled(array, mask)
        self.bins.add(values)
        if values.max() > self.largest:
            self.at_high, self.largest = Tally(), values.max()
        self.at_high.add(name, int((values == self.largest).sum()))

    @override
    def report(self) -> dict[str, Any]:
        """Also percentiles, to the 2.3 % of the histogram's bins."""
        if not self.count:
            return super().report()
        shares = {"p1": 0.01, "median": 0.5, "p99": 0.99}
        found = {k: min(max(self.bins.percentile(v), self.low), self.high) for k, v in shares.items()}
        return super().report() | found | {"share_at_max": self.at_high.pixels / self.count}

    @override
    def findings(self) -> tuple[list[str], list[str]]:
        """Also a code taken for a value, and one value everywhere."""
        problems, warnings = super().findings()
        if not self.count:
            return problems, warnings
        units = f" {self.task.units}".rstrip()
        if self.low == self.high:
            warnings.append(f"{self.name}: every value is {self.low:g}{units}")
        elif self._saturated():
            share = f"{percent(self.at_high.pixels / self.count)} of the labelled pixels"
            warnings.append(f"{self.name}: {share} hold the largest value, {self.high:g}{units}: a code for missing?")
        return problems, warnings

    def _saturated(self) -> bool:
        """Whether the largest value is frequent, in several samples, and far above the others: a wall is not."""
        pixels, rest = self.at_high.pixels, self.count - self.at_high.pixels
        frequent = self.at_high.samples > 1 and pixels > SATURATED * self.count
        return frequent and rest > 0 and self.high > 2 * (self.total - self.high * pixels) / rest


def _same(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-5, abs_tol=2e-6)


def _short(value: float | None) -> str:
    return "nothing" if value is None else amount(value, 6)
