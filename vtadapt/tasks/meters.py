"""Meters of the kinds ``classes``, ``unit_vector`` and ``boundary``; regression has its own file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from typing_extensions import override

from vtadapt.errors import ConfigError
from vtadapt.tasks import edge_f
from vtadapt.tasks.metrics import Meter

if TYPE_CHECKING:
    from vtadapt.tasks.task import Task


class ClassesMeter(Meter):
    """Metrics of one confusion matrix pooled over the whole set.

    ``miou/dataset``: mean of ``iou/<class>`` over the classes that the GROUND TRUTH has at least one pixel of (a class
    that is only predicted lowers the others' IoU, but is no term of its own); ``iou/<class>`` = TP / (TP + FP + FN),
    given for those classes only; ``pixacc/dataset``: share of the valid pixels that are right.
    """

    @override
    def _zeros(self) -> dict[str, Tensor]:
        k = self.task.channels
        return {"confusion": torch.zeros(k, k, dtype=torch.int64)}  # [ground truth, prediction]

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        k = self.task.channels
        pairs = target[valid].long() * k + prediction[valid]
        self._state["confusion"] += torch.bincount(pairs, minlength=k * k).view(k, k)

    @override
    def _values(self) -> dict[str, float]:
        confusion = self._state["confusion"].double()
        hit, truth = confusion.diagonal(), confusion.sum(1)
        iou = hit / (truth + confusion.sum(0) - hit)
        present = truth > 0
        values = {
            "miou/dataset": float(iou[present].mean()),
            "pixacc/dataset": float(hit.sum() / truth.sum()),
        }
        classes = zip(self.task.classes, iou.tolist(), present.tolist(), strict=True)
        return values | {f"iou/{name}": value for name, value, there in classes if there}


class UnitVectorMeter(Meter):
    """Angles in degrees between prediction and target, all valid pixels pooled.

    The angle is 2 atan2(|p - g|, |p + g|). ``angle_mean/pixel``; ``angle_median/pixel``, from a histogram with bins of
    0.01 degrees (hence to +-0.01); ``within11.25/pixel``, ``within22.5/pixel``, ``within30/pixel``: shares below.
    """

    LIMITS = (11.25, 22.5, 30.0)
    BINS_PER_DEGREE = 100

    @override
    def _zeros(self) -> dict[str, Tensor]:
        return {
            "sum": torch.zeros(1, dtype=torch.float64),
            "within": torch.zeros(len(self.LIMITS), dtype=torch.int64),
            "histogram": torch.zeros(180 * self.BINS_PER_DEGREE, dtype=torch.int64),
        }

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        p = prediction.movedim(1, -1)[valid].double()  # (N, 3)
        g = F.normalize(target.movedim(1, -1)[valid].double(), dim=1)
        p = F.normalize(p, dim=1)
        angle = torch.rad2deg(2 * torch.atan2((p - g).norm(dim=1), (p + g).norm(dim=1)))
        bins = (angle * self.BINS_PER_DEGREE).long().clamp(max=180 * self.BINS_PER_DEGREE - 1)
        self._state["sum"] += angle.sum()
        self._state["within"] += torch.stack([(angle < limit).sum() for limit in self.LIMITS])
        self._state["histogram"] += torch.bincount(bins, minlength=180 * self.BINS_PER_DEGREE)

    @override
    def _values(self) -> dict[str, float]:
        pixels = self.counts()["pixels"]
        cumulative = self._state["histogram"].cumsum(0)
        middle = int(torch.searchsorted(cumulative, (pixels + 1) // 2))
        values = {
            "angle_mean/pixel": float(self._state["sum"]) / pixels,
            "angle_median/pixel": (middle + 0.5) / self.BINS_PER_DEGREE,
        }
        shares = zip(self.LIMITS, self._state["within"].tolist(), strict=True)
        return values | {f"within{limit:g}/pixel": count / pixels for limit, count in shares}


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
        task: Task,
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

    def best_threshold(self) -> float | None:
        """Return the threshold that ODS chose for the set, None before any match."""
        f = edge_f.f_measure(self._state["matches"].numpy())
        return self.thresholds[int(f.argmax())] if f.max() > 0 else None

    @override
    def _zeros(self) -> dict[str, Tensor]:
        return {
            "matches": torch.zeros(len(self.thresholds), 3, dtype=torch.int64),  # matched, predicted, ground truth
            "f1": torch.zeros(1, 3, dtype=torch.int64),
            "l1": torch.zeros(1, dtype=torch.float64),
        }

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
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
