"""The ``Meter`` contract, the direction of every metric, and Delta_m.

A metric key names its protocol: ``miou/dataset`` (one confusion matrix for the whole set), ``rmse/pixel`` (all pixels
pooled), ``rmse/image`` (mean over images), ``odsf/d0.011`` (tolerance), ``f1/t0.5`` (threshold). Shares are 0..1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vtadapt.errors import ConfigError, DataError, near_matches

if TYPE_CHECKING:
    from vtadapt.tasks.task import Task

METRICS: Mapping[str, Mapping[str, bool]] = {
    "classes": {"miou": True, "pixacc": True, "iou": True},
    "regression": {
        "rmse": False,
        "mae": False,
        "absrel": False,
        "delta1.25": True,
        "delta1.25^2": True,
        "delta1.25^3": True,
        "silog": False,
    },
    "unit_vector": {
        "angle_mean": False,
        "angle_median": False,
        "within11.25": True,
        "within22.5": True,
        "within30": True,
    },
    "boundary": {"odsf": True, "f1": True, "l1": False},
}
"""Kind of task -> metric (the part of the key before the slash) -> whether more is better."""


def higher_is_better(kind: str, key: str) -> bool:
    """Return the direction of a metric key of a task of ``kind``; ConfigError for an unknown metric."""
    stem = key.split("/", 1)[0]
    if stem not in METRICS[kind]:
        raise ConfigError(
            f"Unknown metric {key!r} for a task of kind {kind!r}; "
            f"one of {', '.join(METRICS[kind])} was wanted.{near_matches(stem, METRICS[kind])}"
        )
    return METRICS[kind][stem]


class Meter(ABC):
    """Accumulates one task's metrics over a data set.

    Its state consists of sums only, so ranks (or halves of a data set) are merged by adding their states::

        merged.load_state({k: a.state()[k] + b.state()[k] for k in a.state()})

    Subclasses define ``_zeros`` (the empty state), ``_add`` (one batch) and ``_values`` (metrics of a filled state).
    """

    def __init__(self, task: Task) -> None:
        """``task`` decodes the logits and tells which pixels are valid."""
        self.task = task
        self._state: dict[str, Tensor] = {}
        self.reset()

    @property
    def headline(self) -> str:
        """The key of the headline metric under this meter's options."""
        return self.task.headline

    @torch.no_grad()
    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch: ``logits`` (B, C, H, W) as the model gives them, ``target`` as the data set gives it."""
        self.task.check(logits, target)
        target = target.detach().cpu()
        valid = self._valid(target)  # (B, H, W)
        per_image = valid.flatten(1).sum(1)
        self._state["counts"] += torch.stack([per_image.sum(), (per_image > 0).sum()])
        if per_image.any():
            self._add(self._decode(logits.detach()).cpu(), target, valid)

    def compute(self) -> dict[str, float]:
        """Return metric key -> value; empty when no valid pixel was seen."""
        return self._values() if self.counts()["pixels"] else {}

    def counts(self) -> dict[str, int]:
        """Return how much was used: valid ``pixels``, and ``images`` with at least one."""
        pixels, images = self._state["counts"].tolist()
        return {"pixels": pixels, "images": images}

    def state(self) -> dict[str, Tensor]:
        """Return copies of the sums: int64 or float64 CPU tensors of fixed shape."""
        return {key: value.clone() for key, value in self._state.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums; ConfigError when names or shapes are not those of this meter."""
        wanted = {key: tuple(value.shape) for key, value in self._state.items()}
        found = {key: tuple(value.shape) for key, value in state.items()}
        if found != wanted:
            raise ConfigError(f"Meter state {found} does not fit task {self.task.name!r}: {wanted} was wanted.")
        self._state = {key: state[key].detach().cpu().to(value.dtype).clone() for key, value in self._state.items()}

    def reset(self) -> None:
        """Forget everything that was added."""
        self._state = {"counts": torch.zeros(2, dtype=torch.int64), **self._zeros()}

    def _valid(self, target: Tensor) -> Tensor:
        return self.task.valid(target)

    def _decode(self, logits: Tensor) -> Tensor:
        return self.task.decode(logits)

    @abstractmethod
    def _zeros(self) -> dict[str, Tensor]: ...

    @abstractmethod
    def _add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None: ...

    @abstractmethod
    def _values(self) -> dict[str, float]: ...


def delta_m(
    results: Mapping[str, Mapping[str, float]],
    baselines: Mapping[str, Mapping[str, float]],
    tasks: Iterable[Task],
) -> float:
    """Return Delta_m in percent: 100/T sum_t (-1)^{l_t} (M_t - B_t)/B_t over the headline metrics; more is better.

    l_t = 1 when lower is better for task t (Maninis et al. 2019, eq. 1). B_t comes from single-task training.

    Args:
        results: task name -> metric key -> value (what ``Meter.compute`` returned).
        baselines: the same for the single-task networks.
        tasks: the T tasks to average over; every one needs its headline metric on both sides.

    Raises:
        DataError: a headline metric is missing, or a baseline is 0.
    """
    terms = []
    for task in tasks:
        key = task.headline
        for side, values in (("results", results), ("baselines", baselines)):
            if key not in values.get(task.name, {}):
                raise DataError(f"Delta_m needs {key!r} of task {task.name!r}; the {side} lack it: leave the task out.")
        value, base = results[task.name][key], baselines[task.name][key]
        if base == 0:
            raise DataError(f"Delta_m is undefined: the baseline of {key!r} of task {task.name!r} is 0.")
        sign = 1.0 if task.higher_is_better(key) else -1.0
        terms.append(sign * (value - base) / base)
    if not terms:
        raise DataError("Delta_m needs at least one task; none was given.")
    return 100.0 * sum(terms) / len(terms)
