"""How each kind of label is stored in a pack: element type, missing value, checks and statistics.

| kind | on disk | missing |
|---|---|---|
| classes | uint8 (H, W); uint16 for more than 255 classes | 255, which is never a class |
| regression, a distance | float32 (H, W) | 0 |
| regression, other | float32 (H, W) or (H, W, C) | NaN |
| unit_vector | float16 (H, W, 3) | (0, 0, 0) |
| boundary | uint8 (H, W) 0/1, or float16 (H, W) 0..1 | 255, or NaN |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.recipe.recipe import VOID, RecipeTask
from vtadapt.errors import DataError

UNIT_TOLERANCE = 0.02


@dataclass(frozen=True)
class Storage:
    """Element type of a stored label and the value that stands for "missing"."""

    dtype: str
    missing: float


def storage(task: RecipeTask, dtype: np.dtype[Any] | None = None) -> Storage:
    """Storage of a task's label; ``dtype`` of the data chooses between the two forms of a boundary."""
    if task.kind == "classes":
        return Storage("uint8" if len(task.classes) <= VOID else "uint16", VOID)
    if task.kind == "unit_vector":
        return Storage("float16", 0.0)
    if task.kind == "boundary":
        soft = dtype is not None and np.issubdtype(dtype, np.floating)
        return Storage("float16", float("nan")) if soft else Storage("uint8", VOID)
    return Storage("float32", 0.0 if task.distance else float("nan"))


def valid_mask(array: NDArray[Any], task: RecipeTask) -> NDArray[np.bool_]:
    """(H, W) mask of the pixels of a stored label that are not missing."""
    if task.kind == "unit_vector":
        return np.asarray((array != 0).any(axis=-1))
    missing = storage(task, array.dtype).missing
    known = ~np.isnan(array) if np.isnan(missing) else array != missing
    return np.asarray(known.all(axis=-1) if array.ndim == 3 else known)


def conform(array: NDArray[Any], task: RecipeTask, where: str) -> NDArray[Any]:
    """The label in its stored form, checked.

    Numbers that are not finite become missing; vectors are checked to be unit or zero.

    Args:
        array: label of one sample, as a reader or derivation gives it.
        task: what the recipe says of it.
        where: sample and task, for the message.

    Raises:
        DataError: wrong shape, ids that are no class, negative distances, vectors that are not unit.
    """
    channels = 3 if task.kind == "unit_vector" else task.channels or 1
    shape_ok = array.ndim == 2 if channels == 1 else array.ndim == 3 and array.shape[2] == channels
    if not shape_ok:
        wanted = "(H, W)" if channels == 1 else f"(H, W, {channels})"
        raise DataError(f"{where}: label of shape {array.shape}, wanted {wanted}")
    check = {"classes": _check_classes, "unit_vector": _check_unit, "boundary": _check_boundary}
    array = check.get(task.kind, _check_regression)(array, task, where)
    return np.ascontiguousarray(array, dtype=storage(task, array.dtype).dtype)


def check_ids(array: NDArray[Any], count: int, where: str) -> None:
    """Raise DataError unless every id is a class (0..count - 1) or 255."""
    wrong = (array >= count) & (array != VOID)
    if np.issubdtype(array.dtype, np.signedinteger):
        wrong |= array < 0
    if wrong.any():
        bad = [int(i) for i in np.unique(array[wrong])]
        raise DataError(f"{where}: label ids {_short(bad)}, wanted 0..{count - 1} or {VOID} (void)")


def _short(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def _check_classes(array: NDArray[Any], task: RecipeTask, where: str) -> NDArray[Any]:
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{where}: labels of type {array.dtype}, wanted whole numbers")
    check_ids(array, len(task.classes), where)
    return array


def _check_unit(array: NDArray[Any], task: RecipeTask, where: str) -> NDArray[Any]:
    del task
    array = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    length = np.sqrt(np.einsum("hwc,hwc->hw", array, array))
    wrong = (length > 0) & (np.abs(length - 1) > UNIT_TOLERANCE)
    if wrong.any():
        raise DataError(f"{where}: vectors of length {float(length[wrong][0]):.3f}, wanted 1, or 0 where missing")
    return array


def _check_boundary(array: NDArray[Any], task: RecipeTask, where: str) -> NDArray[Any]:
    del task
    soft = np.issubdtype(array.dtype, np.floating)
    low, high = (np.nanmin(array), np.nanmax(array)) if not soft or not np.isnan(array).all() else (0, 0)
    inside = low >= 0 and (high <= 1 if soft else bool(np.isin(array, (0, 1, VOID)).all()))
    if not inside:
        wanted = "0..1, NaN = missing" if soft else "0, 1 or 255 = missing"
        raise DataError(f"{where}: boundary values from {low} to {high}, wanted {wanted}")
    return array


def _check_regression(array: NDArray[Any], task: RecipeTask, where: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        array = array.astype(np.float32)
    array = np.where(np.isfinite(array), array, np.float32(0 if task.distance else np.nan))
    if task.distance and array.size and array.min() < 0:
        raise DataError(f"{where}: negative distance {float(array.min()):.3g}, wanted {task.units or 'metres'} >= 0")
    return array


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
        if task.kind == "classes":
            counts = np.bincount(array.ravel(), minlength=max(VOID, len(task.classes)) + 1)
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
        if task.kind == "classes":
            result["pixels_per_class"] = {c: int(self.histogram[i]) for i, c in enumerate(task.classes)}
        return result
