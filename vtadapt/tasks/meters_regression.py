"""The meter of the kind ``regression``: depth with its usual protocols, and any other quantity."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from vtadapt.errors import ConfigError, near_matches
from vtadapt.tasks.losses import MIN_DISTANCE
from vtadapt.tasks.metrics import Meter

if TYPE_CHECKING:
    from vtadapt.tasks.task import Task

CROPS: dict[str, tuple[float, float, float, float]] = {
    "eigen": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
}
"""Name -> top, bottom, left, right as shares of the image; ``eigen`` is the NYU crop of Eigen et al. 2014."""

ALIGNMENTS = ("median",)

_SUMS = ("square", "image_rmse", "absolute", "absrel", "delta1", "delta2", "delta3", "log", "log_square")


class RegressionMeter(Meter):
    """Errors over the valid pixels, in the units of the task.

    Any quantity: ``rmse/pixel`` (all pixels of the set pooled), ``rmse/image`` (mean over images of each one's RMSE),
    and ``mae/pixel`` when it is no distance. A distance (metres) instead has ``absrel/pixel`` (mean |p - g| / g),
    ``delta1.25/pixel``, ``delta1.25^2/pixel``, ``delta1.25^3/pixel`` (share with max(p/g, g/p) below) and
    ``silog/pixel`` (100 x standard deviation of log p - log g, as on KITTI, but pooled over the set).

    Options; each is named in every key, ``rmse/pixel@0.001..10m+eigen+median``:

    * ``min_value``, ``max_value``: only targets inside count, and predictions are clamped to them; the default
      ``max_value`` is the task's;
    * ``crop``: "eigen";
    * ``align``: "median" multiplies each prediction by median(g) / median(p) of its image (before clamping).
    """

    def __init__(
        self,
        task: Task,
        min_value: float | None = None,
        max_value: float | None = None,
        crop: str | None = None,
        align: str | None = None,
    ) -> None:
        """See the class for the options; ConfigError for a cap, a crop or an alignment that makes no sense."""
        max_value = task.max_value if max_value is None else max_value
        low, high = (-math.inf if min_value is None else min_value), (math.inf if max_value is None else max_value)
        if not low < high:
            raise ConfigError(f"min_value {min_value} must be below max_value {max_value} for task {task.name!r}.")
        if crop is not None and crop not in CROPS:
            raise ConfigError(f"Unknown crop {crop!r}; one of {', '.join(CROPS)}.{near_matches(crop, CROPS)}")
        if align is not None and (align not in ALIGNMENTS or not task.distance):
            raise ConfigError(f"Alignment {align!r} of task {task.name!r}: only 'median', and only for distances.")
        self.low, self.high, self.crop, self.align = low, high, crop, align
        self.suffix = cap_suffix(min_value, max_value, task.units, task.distance)
        self.suffix += (f"+{crop}" if crop else "") + (f"+{align}" if align else "")
        self._open = replace(task, max_value=None)  # this meter applies the caps itself, after the alignment
        super().__init__(task)

    @property
    @override
    def headline(self) -> str:
        """The task's headline metric with this meter's options in its name."""
        return self.task.headline.split("@")[0].split("+")[0] + self.suffix

    @override
    def _decode(self, logits: Tensor) -> Tensor:
        return self._open.decode(logits)

    @override
    def _valid(self, target: Tensor) -> Tensor:
        inside = ((target >= self.low) & (target <= self.high)).all(1)
        valid = self._open.valid(target) & inside
        if self.crop:
            height, width = valid.shape[1:]
            top, bottom, left, right = CROPS[self.crop]
            window = torch.zeros_like(valid)
            window[:, round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
            valid = valid & window
        return valid

    @override
    def _zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros(1, dtype=torch.float64) for name in _SUMS}

    @override
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        for p, g, mask in zip(prediction.movedim(1, -1), target.movedim(1, -1), valid, strict=True):
            if mask.any():
                self._add_image(p[mask].double(), g[mask].double())  # (N, C) each

    def _add_image(self, p: Tensor, g: Tensor) -> None:
        if self.align:
            p = p * (g.median() / p.median())
        p = p.clamp(self.low, self.high)
        square = (p - g).square().mean(1)  # (N,), mean over channels
        self._state["square"] += square.sum()
        self._state["image_rmse"] += square.mean().sqrt()
        self._state["absolute"] += (p - g).abs().mean(1).sum()
        if self.task.distance:
            # Targets below 1 cm (never measured) would make the ratios meaningless.
            p, g = p.clamp_min(MIN_DISTANCE), g.clamp_min(MIN_DISTANCE)
            ratio, log = torch.maximum(p / g, g / p).mean(1), (p.log() - g.log()).mean(1)
            self._state["absrel"] += ((p - g).abs() / g).mean(1).sum()
            for k in (1, 2, 3):
                self._state[f"delta{k}"] += (ratio < 1.25**k).sum()
            self._state["log"] += log.sum()
            self._state["log_square"] += log.square().sum()

    @override
    def _values(self) -> dict[str, float]:
        used = self.counts()
        n = used["pixels"]
        s = {name: float(self._state[name]) for name in _SUMS}
        values = {"rmse/pixel": math.sqrt(s["square"] / n), "rmse/image": s["image_rmse"] / used["images"]}
        if self.task.distance:
            variance = s["log_square"] / n - (s["log"] / n) ** 2
            values |= {
                "absrel/pixel": s["absrel"] / n,
                "delta1.25/pixel": s["delta1"] / n,
                "delta1.25^2/pixel": s["delta2"] / n,
                "delta1.25^3/pixel": s["delta3"] / n,
                "silog/pixel": 100.0 * math.sqrt(max(variance, 0.0)),
            }
        else:
            values["mae/pixel"] = s["absolute"] / n
        return {key + self.suffix: value for key, value in values.items()}


def cap_suffix(low: float | None, high: float | None, units: str, distance: bool) -> str:
    """Return how a cap is written in a metric key: "@0.001..10m", empty without one.

    An open lower end is 0 for distances and -inf for other quantities, an open upper end inf.
    """
    if low is None and high is None:
        return ""
    floor = 0.0 if distance else -math.inf
    return f"@{floor if low is None else low:g}..{math.inf if high is None else high:g}{units}"
