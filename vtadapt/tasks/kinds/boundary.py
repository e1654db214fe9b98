"""A probability per pixel that a boundary (or a region such as what is salient) is there.

On disk (H, W): uint8 0 and 1 with 255 where it is missing, or float16 0..1 with NaN. Target: float32 (1, H, W) in 0..1,
-1 where it is missing. Decoded: the sigmoid of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vtadapt.digits import amount, percent
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks.colour.draw import Picture
from vtadapt.tasks.colour.void import hide
from vtadapt.tasks.kinds.base import Key, Kind, Range
from vtadapt.tasks.label_check import LabelCheck
from vtadapt.tasks.labels import Storage
from vtadapt.tasks.losses import at_least_float32, log_finite
from vtadapt.tasks.metrics import edge_f
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.nearest import nearest, nearest_pixels
from vtadapt.tasks.spec import AnyTask, Declared
from vtadapt.tasks.trivial.base import Everywhere, Trivial
from vtadapt.tasks.trivial.edges import SURE, Canny, RandomStrengths

if TYPE_CHECKING:
    from torch import Tensor

HARD, SOFT = Storage("uint8", 255), Storage("float16", float("nan"))
MISSING = -1.0  # in a target
POSITIVE_WEIGHT = 0.95
MANY = 0.5  # share of boundary pixels from which on lines and ground look swapped
FAINT = 0.05  # a set whose strongest boundary is weaker was rather scaled by another number than its own


def _is_soft(dtype: np.dtype[Any]) -> bool:
    return np.issubdtype(dtype, np.floating)


def weighted_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of -(0.95 g log p + 0.05 (1 - g) log(1 - p)), p = sigmoid(logits); soft targets g in 0..1 are fine.

    Edge pixels are rare, so the positive side weighs 0.95 (the setting of the ASTMT line of work).
    """
    from torch.nn.functional import logsigmoid

    return -(
        POSITIVE_WEIGHT * target * logsigmoid(logits) + (1 - POSITIVE_WEIGHT) * (1 - target) * logsigmoid(-logits)
    ).mean()


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy, both sides weighing 1: for regions such as saliency."""
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy_with_logits(logits, target)


def probability_l1(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of |sigmoid(logits) - g|."""
    return (logits.sigmoid() - target).abs().mean()


class BoundaryMeter(Meter):
    """Edge metrics; missing pixels are left out of all of them.

    ``odsf/d0.011``: optimal-data-set-scale F with one-to-one matching within 0.011 x diagonal (see ``edge_f``): counts
    are pooled over the set for each threshold, and the best threshold of the set is taken. Ground truth is an edge
    where it is >= 0.5. ``f1/t0.5``: pixelwise F1 of prediction >= 0.5, pooled, without thinning or matching.
    ``l1/pixel``: mean |p - g|.

    Options, named in the ODS key when they are not the default: ``max_dist``; ``thresholds``, a number or a list
    (``+t99``); ``thin_prediction`` and ``thin_target`` (``+thickp``, ``+thickg``). ``match=False`` leaves ODS out: the
    default for tasks with another headline (saliency: matching outlines of regions means little and is slow).
    """

    def __init__(
        self,
        task: AnyTask,
        max_dist: float = edge_f.MAX_DIST,
        thresholds: int | Sequence[float] = 19,
        thin_prediction: bool = True,
        thin_target: bool = True,
        match: bool | None = None,
    ) -> None:
        """See the class for the options; ConfigError for a tolerance or a threshold outside (0, 1)."""
        self.thresholds = edge_f.default_thresholds(thresholds) if isinstance(thresholds, int) else tuple(thresholds)
        if not 0 < max_dist < 1:
            raise ConfigError(f"max_dist is a share of the image diagonal between 0 and 1, found {max_dist}.")
        if not self.thresholds or not all(0 < t < 1 for t in self.thresholds):
            raise ConfigError(f"thresholds must lie between 0 and 1, at least one; found {thresholds}.")
        self.max_dist, self.thin_prediction, self.thin_target = max_dist, thin_prediction, thin_target
        self.match = task.headline.startswith("odsf/") if match is None else match
        default = self.thresholds == edge_f.default_thresholds()
        self.key = f"odsf/d{max_dist:g}" + ("" if default else f"+t{len(self.thresholds)}")
        self.key += ("" if thin_prediction else "+thickp") + ("" if thin_target else "+thickg")
        super().__init__(task)

    @property
    @override
    def headline(self) -> str:
        """The ODS key with its options, or the task's own headline when that is another metric."""
        return self.key if self.task.headline.startswith("odsf/") else self.task.headline

    @override
    def threshold(self) -> float | None:
        """The one that ODS chose for the set, None before any match; 0.5, that of F1, for tasks without ODS."""
        if not self.match:
            return 0.5
        f = edge_f.f_measure(self._state["matches"].numpy())
        return self.thresholds[int(f.argmax())] if f.max() > 0 else None

    @override
    def _zeros(self) -> dict[str, Tensor]:
        import torch

        return {
            "matches": torch.zeros(len(self.thresholds), 3, dtype=torch.int64),  # matched, predicted, ground truth
            "f1": torch.zeros(1, 3, dtype=torch.int64),
            "l1": torch.zeros(1, dtype=torch.float64),
        }

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        import torch

        p, g = prediction[:, 0], target[:, 0].float()  # (B, H, W)
        self._state["l1"] += (p[valid].double() - g[valid].double()).abs().sum()
        edge_p, edge_g = (p >= 0.5) & valid, (g >= edge_f.TARGET_THRESHOLD) & valid
        self._state["f1"] += torch.stack([(edge_p & edge_g).sum(), edge_p.sum(), edge_g.sum()])
        if self.match:
            for probability, edges, mask in zip(p.numpy(), edge_g.numpy(), valid.numpy(), strict=True):
                self._state["matches"] += torch.from_numpy(self._match(probability, edges, mask))

    def _match(self, probability: np.ndarray, edges: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return edge_f.count_matches(
            probability, edges, mask, self.thresholds, self.max_dist, self.thin_prediction, self.thin_target
        )

    @override
    def _values(self) -> dict[str, float]:
        values = {
            "f1/t0.5": float(edge_f.f_measure(self._state["f1"].numpy())[0]),
            "l1/pixel": float(self._state["l1"]) / self.counts()["pixels"],
        }
        if not self.match:
            return values
        return {self.key: float(edge_f.f_measure(self._state["matches"].numpy()).max())} | values


class BoundaryCheck(LabelCheck):
    """Boundaries: values 0..1, and how many pixels are one."""

    wants = "outside 0..1"

    @override
    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        if _is_soft(array.dtype):
            return np.asarray((array < 0) | (array > 1))  # False for NaN, which is missing
        return np.asarray((array > 1) & (array != HARD.missing))

    @override
    def findings(self) -> tuple[list[str], list[str]]:
        """Also where nothing, next to nothing, or nearly everything, is a boundary."""
        problems, warnings = super().findings()
        if self.count and self.high == 0:
            warnings.append(f"{self.name}: not one boundary pixel")
        elif self.count and self.high < FAINT:
            problems.append(
                f"{self.name}: the strongest boundary is {amount(self.high, 2)} of 0..1: which number is a whole one?"
            )
        elif self.count and self.total > MANY * self.count:
            share = percent(self.total / self.count)
            warnings.append(f"{self.name}: {share} of the labelled pixels are boundary: are 0 and 1 swapped?")
        return problems, warnings


class Boundary(Kind):
    """See the module's page."""

    losses = {"weighted_bce": weighted_bce, "bce": bce, "l1": probability_l1}
    default_loss = "weighted_bce"
    metrics = {"odsf": True, "f1": True, "l1": False}
    default_headline = "odsf/d0.011"
    meter = BoundaryMeter
    label_check = BoundaryCheck
    file_form = "strengths"
    yes_or_no = True
    weight = 20.0
    presets = {"saliency": {"loss": "bce", "headline": "f1/t0.5"}}  # a region, not a line

    @override
    def storage(self, task: Declared, dtype: np.dtype[Any] | None = None) -> Storage:
        return SOFT if dtype is not None and _is_soft(dtype) else HARD

    @override
    def check_label(self, task: Declared, array: NDArray[Any], where: str) -> NDArray[Any]:
        soft = _is_soft(array.dtype)
        low, high = (np.nanmin(array), np.nanmax(array)) if not soft or not np.isnan(array).all() else (0, 0)
        inside = low >= 0 and (high <= 1 if soft else bool(np.isin(array, (0, 1, HARD.missing)).all()))
        if not inside:
            wanted = "0..1, NaN = missing" if soft else f"0, 1 or {HARD.missing} = missing"
            raise DataError(f"{where}: boundary values from {low} to {high}, wanted {wanted}")
        return array

    @override
    def resized_label(self, label: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Nearest; where it shrinks, the strongest of the pixels that fall together, so that thin lines stay whole."""
        near = nearest_pixels(label, size)
        if size[0] > label.shape[0] or size[1] > label.shape[1]:
            return near
        strength = np.nan_to_num(label) if _is_soft(label.dtype) else np.where(label == 1, label, 0)
        # Each pixel of the result is the maximum of the block of rows and columns that it covers.
        tops = np.arange(size[0]) * label.shape[0] // size[0]
        lefts = np.arange(size[1]) * label.shape[1] // size[1]
        strongest = np.maximum.reduceat(np.maximum.reduceat(strength, tops, axis=0), lefts, axis=1)
        return np.where(strongest > 0, strongest, near).astype(label.dtype)

    @override
    def missing(self, task: Declared) -> float:
        return MISSING

    @override
    def to_target(self, task: AnyTask, array: NDArray[Any]) -> Tensor:
        data = super().to_target(task, array)
        return data.masked_fill_(data.isnan() if _is_soft(array.dtype) else data == HARD.missing, MISSING)

    @override
    def resize(self, target: Tensor, size: Sequence[int]) -> Tensor:
        """As :meth:`resized_label`: missing where the nearest pixel was and no boundary falls there."""
        import torch

        near = nearest(target, size)
        if size[0] >= target.shape[-2] and size[1] >= target.shape[-1]:
            return near
        strongest = torch.nn.functional.adaptive_max_pool2d(target, (size[0], size[1]))
        return strongest.where(strongest > near.clamp(min=0), near)

    @override
    def check_values(self, task: AnyTask, target: Tensor) -> None:
        if (target > 1).any():
            raise DataError(
                f"Task {task.name!r}: targets must be 0..1 ({MISSING:g} = missing), found {float(target.max()):g}."
            )

    @override
    def valid(self, task: AnyTask, target: Tensor) -> Tensor:
        return (target >= 0).all(1)  # False for -1 and for NaN

    @override
    def decode(self, task: AnyTask, logits: Tensor) -> Tensor:
        return at_least_float32(logits).sigmoid()

    @override
    def raw(self, task: AnyTask, prediction: NDArray[Any]) -> NDArray[Any]:
        return prediction.astype(np.uint8) if prediction.dtype == np.bool_ else prediction

    @override
    def for_blending(self, task: AnyTask, logits: Tensor) -> Tensor:
        return self.decode(task, logits)

    @override
    def from_blended(self, task: AnyTask, mean: Tensor) -> Tensor:
        return log_finite(mean) - log_finite(1 - mean)

    @override
    def trivials(self, task: AnyTask) -> Mapping[str, Trivial]:
        """No boundary at all, nothing else, by chance, and Canny's."""
        higher = self.higher_is_better(task.headline)
        return {
            "nowhere": Everywhere(task, -SURE),
            "everywhere": Everywhere(task, SURE),
            "random": RandomStrengths(),
            "canny": Canny(lambda: self.meter(task, thresholds=1), higher),
        }

    @override
    def value_range(self, task: AnyTask, x: NDArray[Any]) -> Range | None:
        return None

    @override
    def colour(self, task: AnyTask, x: NDArray[Any], value_range: Range | None) -> Picture:
        """Dark lines on white."""
        values, valid = self.plane(task, x)
        grey = np.rint(255 * (1 - np.clip(np.where(valid, values, 0.0), 0.0, 1.0))).astype(np.uint8)
        return hide(np.repeat(grey[..., None], 3, axis=2), ~valid)

    @override
    def key(self, task: AnyTask, samples: Sequence[NDArray[Any]], limits: Range | None) -> Key:
        return Key("dark = boundary", smooth=True)


KIND = Boundary()
