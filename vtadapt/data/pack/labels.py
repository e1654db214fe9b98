"""Labels on their way into a pack and out of it: the stored form, as each kind has it, and counts over a split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.recipe.task import RecipeTask
from vtadapt.tasks.class_ids import VOID
from vtadapt.tasks.labels import Storage


def storage(task: RecipeTask, dtype: np.dtype[Any] | None = None) -> Storage:
    """Storage of a task's label; ``dtype`` of the data chooses where its kind has several forms."""
    return task.behaviour.storage(task, dtype)


def valid_mask(array: NDArray[Any], task: RecipeTask) -> NDArray[np.bool_]:
    """(H, W) mask of the pixels of a stored label that are not missing."""
    return task.behaviour.known(task, array)


def conform(array: NDArray[Any], task: RecipeTask, where: str) -> NDArray[Any]:
    """The label of one sample, as a reader or derivation gives it, in its stored form, checked.

    Raises:
        DataError: a shape or values that the task's labels cannot have; it begins with ``where``.
    """
    return task.behaviour.conform(task, array, where)


@dataclass
class LabelStats:
    """Running counts of one task over a split: samples, valid pixels, range, and pixels per class."""

    samples: int = 0
    pixels: int = 0
    valid: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(VOID + 1, np.int64))

    def add(self, array: NDArray[Any], task: RecipeTask) -> None:
        """Count one stored label."""
        mask = valid_mask(array, task)
        self.samples += 1
        self.pixels += mask.size
        self.valid += int(mask.sum())
        counts = task.behaviour.histogram(task, array)
        self.histogram = counts if self.samples == 1 else self.histogram + counts
        if mask.any():
            values = array[mask]
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))

    def merge(self, other: LabelStats) -> None:
        """Add the counts of another part of the split."""
        self.samples += other.samples
        self.pixels += other.pixels
        self.valid += other.valid
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if other.samples:
            empty = self.samples == other.samples
            self.histogram = other.histogram if empty else self.histogram + other.histogram

    def dump(self) -> dict[str, Any]:
        """The counts as JSON can hold them; see :meth:`parse`."""
        counts = {str(i): int(self.histogram[i]) for i in np.flatnonzero(self.histogram)}
        known = self.valid > 0
        low, high = (self.low, self.high) if known else (None, None)
        return {"samples": self.samples, "pixels": self.pixels, "valid": self.valid, "low": low, "high": high} | {
            "length": len(self.histogram),
            "histogram": counts,
        }

    @classmethod
    def parse(cls, saved: dict[str, Any]) -> LabelStats:
        """The counts that :meth:`dump` gave."""
        histogram = np.zeros(saved["length"], np.int64)
        for i, count in saved["histogram"].items():
            histogram[int(i)] = count
        low = float("inf") if saved["low"] is None else saved["low"]
        high = float("-inf") if saved["high"] is None else saved["high"]
        return cls(saved["samples"], saved["pixels"], saved["valid"], low, high, histogram)

    def summary(self, task: RecipeTask) -> dict[str, Any]:
        """What the manifest keeps: plain numbers, no NaN or infinity."""
        known = self.valid > 0
        result: dict[str, Any] = {
            "samples": self.samples,
            "valid_share": round(self.valid / self.pixels, 6) if self.pixels else 0.0,
            "min": self.low if known else None,
            "max": self.high if known else None,
            "units": task.units,
        }
        return result | task.behaviour.summary(task, self.histogram)
