"""A quantity per pixel, of one or several numbers; in metres and of one number it is a distance from the camera.

On disk float32 (H, W) or (H, W, C): a distance is 0 where it is missing, other numbers are NaN; targets likewise.
Logits are the numbers themselves, or what ``distances.from_logits`` makes distances of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from vtadapt.digits import amount
from vtadapt.errors import ConfigError, DataError, near_matches
from vtadapt.tasks import distances
from vtadapt.tasks.kinds.base import Kind, Limits
from vtadapt.tasks.label_check import NumbersCheck
from vtadapt.tasks.labels import Storage
from vtadapt.tasks.losses import at_least_float32, berhu, l1, l2
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.spec import AnyTask, Declared

if TYPE_CHECKING:
    from torch import Tensor

CROPS: dict[str, tuple[float, float, float, float]] = {"eigen": (45 / 480, 471 / 480, 41 / 640, 601 / 640)}
"""Name -> top, bottom, left, right as shares of the image; ``eigen`` is the NYU crop of Eigen et al. 2014."""

ALIGNMENTS = ("median",)

_SUMS = ("square", "image_rmse", "absolute", "absrel", "delta1", "delta2", "delta3", "log", "log_square")


def cap_suffix(low: float | None, high: float | None, units: str, distance: bool) -> str:
    """Return how a cap is written in a metric key: "@0.001..10m", empty without one.

    An open lower end is 0 for distances and -inf for other quantities, an open upper end inf.
    """
    if low is None and high is None:
        return ""
    floor = 0.0 if distance else -math.inf
    return f"@{floor if low is None else low:g}..{math.inf if high is None else high:g}{units}"


class RegressionMeter(Meter):
    """Errors over the valid pixels, in the units of the task.

    Any quantity: ``rmse/pixel`` (all pixels of the set pooled), ``rmse/image`` (mean over images of each one's RMSE),
    and ``mae/pixel`` when it is no distance. A distance (metres) instead has ``absrel/pixel`` (mean |p - g| / g),
    ``delta1.25/pixel``, ``delta1.25^2/pixel``, ``delta1.25^3/pixel`` (share with max(p/g, g/p) below) and
    ``silog/pixel`` (100 x standard deviation of log p - log g, as on KITTI, but pooled over the set).

    Options; each is named in every key, ``rmse/pixel@0.001..10m+eigen+median``:

    * ``min_value``, ``max_value``: only targets inside count, and predictions are clamped to them; the default
      ``max_value`` is the task's;
    * ``crop``: "eigen"; ``align``: "median" multiplies predictions by median(g) / median(p) per image, before clamping.
    """

    def __init__(
        self,
        task: AnyTask,
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
        super().__init__(task)

    @property
    @override
    def headline(self) -> str:
        """The task's headline metric with this meter's options in its name."""
        return self.task.headline.split("@")[0].split("+")[0] + self.suffix

    @override
    def _decode(self, logits: Tensor) -> Tensor:
        return KIND.for_loss(self.task, at_least_float32(logits))  # the caps are applied after the alignment

    @override
    def _valid(self, target: Tensor) -> Tensor:
        inside = ((target >= self.low) & (target <= self.high)).all(1)
        valid = KIND.measured(self.task, target).all(1) & inside
        if self.crop:
            height, width = valid.shape[1:]
            top, bottom, left, right = CROPS[self.crop]
            window = valid.new_zeros(valid.shape)
            window[:, round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
            valid = valid & window
        return valid

    @override
    def _zeros(self) -> dict[str, Tensor]:
        import torch

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
            p, g = p.clamp_min(distances.LEAST), g.clamp_min(distances.LEAST)
            ratio, log = (p / g).maximum(g / p).mean(1), (p.log() - g.log()).mean(1)
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


class RegressionCheck(NumbersCheck):
    """Numbers, and what speaks against metres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.wants = "not finite or negative" if self.task.distance else self.wants

    @override
    def forbidden(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        return ~np.isfinite(array) | (array < 0) if self.task.distance else super().forbidden(array)

    @override
    def findings(self) -> tuple[list[str], list[str]]:
        problems, warnings = super().findings()
        if self.task.distance and self.count:
            (low, high), median = distances.PLAUSIBLE, float(self.report()["median"])
            guess = "millimetres or centimetres?" if median > high else "divided twice, or inverse depth?"
            if not low <= median <= high:
                problems.append(f"{self.name}: median {amount(median)} m, wanted {low:g} to {high:g}: {guess}")
        return problems, warnings


class Regression(Kind):
    """See the module's page."""

    losses = {"l1": l1, "l2": l2, "berhu": berhu, "berhu_inverse": distances.berhu_inverse, "silog": distances.silog}
    default_loss = "l1"
    distance_loss = "berhu"
    """The default of distances."""
    distances_only = ("berhu_inverse", "silog")
    """Losses that need a positive quantity."""
    metrics = {
        **dict.fromkeys(("rmse", "mae", "absrel", "silog"), False),
        **dict.fromkeys(("delta1.25", "delta1.25^2", "delta1.25^3"), True),
    }
    default_headline = "rmse/pixel"
    meter = RegressionMeter
    label_check = RegressionCheck
    channels = None
    presets = {"depth": {"units": "m"}}

    @override
    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        units = "m" if str(given.get("units", "")).lower() in distances.METRES else given.get("units", "")
        distance = bool(given.get("distance", self.is_distance(units, given.get("channels"))))
        headline = self.default_headline + cap_suffix(None, given.get("max_value"), units, distance)
        own = {"headline": headline, "distance": distance}
        own |= {"typical": distances.TYPICAL, "loss": self.distance_loss} if distance else {}
        return super().complete({**own, **given, "units": units})

    @override
    def is_distance(self, units: str, channels: int | None) -> bool:
        return units.lower() in distances.METRES and channels in (None, 1)  # several are coordinates

    @override
    def check_units(self, units: str, channels: int | None) -> None:
        if channels in (None, 1) and (metres := distances.OTHER_LENGTHS.get(units.strip().lower())):
            raise ValueError(
                f"units {units!r}: depth is stored in metres: write 'units: m' (and 'factor: {metres:g}' where the "
                "files hold it so), or 'distance: false' where it is no depth"
            )

    @override
    def check_task(self, task: AnyTask) -> None:
        most = task.max_value
        if task.distance and task.units != "m":
            raise ValueError(f"is a distance in {task.units!r}; a distance is in 'm'")
        if task.loss in self.distances_only and not task.distance:
            raise ValueError(f"has loss {task.loss!r}, which needs a distance; set units to 'm' or use 'l1'")
        if most is not None and not math.isfinite(most):
            raise ValueError(f"has max_value {most}; wanted a finite number")
        if task.distance and not (task.typical > 0 and (most is None or most > 0)):
            raise ValueError(f"has typical {task.typical} and max_value {most}; wanted positive metres")

    @override
    def capped(self, task: AnyTask, max_value: float) -> dict[str, Any]:
        headline = task.headline.split("@")[0] + cap_suffix(None, max_value, task.units, task.distance)
        return {"max_value": max_value, "headline": headline}

    @override
    def storage(self, task: Declared, dtype: np.dtype[Any] | None = None) -> Storage:
        return Storage("float32", 0.0 if task.distance else float("nan"))

    @override
    def check_label(self, task: Declared, array: NDArray[Any], where: str) -> NDArray[Any]:
        array = super().check_label(task, array, where)
        if task.distance and array.size and array.min() < 0:
            raise DataError(
                f"{where}: negative distance {amount(float(array.min()))}, wanted {task.units or 'metres'} >= 0"
            )
        return array

    @override
    def zoomed(self, task: AnyTask, target: Tensor, zoom: float) -> Tensor:
        return target / zoom if task.distance else target

    @override
    def refocused(self, task: AnyTask, target: Tensor, factor: float) -> Tensor:
        return target * factor if task.distance else target

    def measured(self, task: AnyTask, target: Tensor) -> Tensor:
        """Return where there is a number, whatever the largest that counts: a mask of the target's shape."""
        return target.isfinite() & (target > 0) if task.distance else target.isfinite()

    @override
    def valid(self, task: AnyTask, target: Tensor) -> Tensor:
        valid = self.measured(task, target)
        return (valid if task.max_value is None else valid & (target <= task.max_value)).all(1)

    @override
    def for_loss(self, task: AnyTask, logits: Tensor) -> Tensor:
        return distances.from_logits(logits, task.typical) if task.distance else logits

    @override
    def decode(self, task: AnyTask, logits: Tensor) -> Tensor:
        value = super().decode(task, logits)
        return value if task.max_value is None else value.clamp(max=task.max_value)

    @override
    def from_blended(self, task: AnyTask, mean: Tensor) -> Tensor:
        return distances.to_logits(mean, task.typical) if task.distance else mean

    @override
    def for_discriminator(self, task: AnyTask, logits: Tensor, limits: Limits | None, log: bool = False) -> Tensor:
        import torch

        value = self.decode(task, logits)
        value = distances.for_domains(value, log) if task.distance else value
        low, high = (value.detach().min(), value.detach().max()) if limits is None else limits
        return (value - low) / (high - low).clamp_min(torch.finfo(value.dtype).eps)

    @override
    def limits(self, task: AnyTask, target: Tensor, log: bool = False) -> Limits | None:
        labelled = target.movedim(1, -1)[self.valid(task, target)]
        labelled = distances.for_domains(labelled, log) if task.distance else labelled
        return (labelled.min(), labelled.max()) if labelled.numel() else None

    @override
    def constant(self, task: AnyTask, mean: Tensor) -> Tensor:
        return distances.to_logits(mean, task.typical) if task.distance else mean


KIND = Regression()
