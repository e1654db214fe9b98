"""The ``Meter`` contract; the meters themselves stand with their kinds (``vtadapt.tasks.kinds``).

A metric key names its protocol: ``miou/dataset`` (one confusion matrix for the whole set), ``rmse/pixel`` (all pixels
pooled), ``rmse/image`` (mean over images), ``odsf/d0.011`` (tolerance), ``f1/t0.5`` (threshold). Shares are 0..1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vtadapt.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from vtadapt.tasks.spec import AnyTask


class Meter(ABC):
    """Accumulates one task's metrics over a data set.

    Its state consists of sums only, so ranks (or halves of a data set) are merged by adding their states::

        merged.load_state({k: a.state()[k] + b.state()[k] for k in a.state()})

    Subclasses define ``_zeros`` (the empty state), ``_add`` (one batch) and ``_values`` (metrics of a filled state).
    """

    def __init__(self, task: AnyTask) -> None:
        """``task`` decodes the logits and tells which pixels are valid."""
        self.task = task
        self._state: dict[str, Tensor] = {}
        self.reset()

    @property
    def headline(self) -> str:
        """The key of the headline metric under this meter's options."""
        return self.task.headline

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch: ``logits`` (B, C, H, W) as the model gives them, ``target`` as the data set gives it."""
        import torch  # here and in every kind: a recipe and a pack know tasks, too, and need no torch

        with torch.no_grad():
            self.task.check(logits, target)
            self._count(logits, target.detach().cpu())

    def _count(self, logits: Tensor, target: Tensor) -> None:
        valid = self._valid(target)  # (B, H, W)
        per_image = valid.flatten(1).sum(1)
        self._state["counts"][0] += per_image.sum()
        self._state["counts"][1] += (per_image > 0).sum()
        if per_image.any():
            self._add(self._decode(logits.detach()).cpu(), target, valid)

    def compute(self) -> dict[str, float]:
        """Return metric key -> value; empty when no valid pixel was seen."""
        return self._values() if self.counts()["pixels"] else {}

    def counts(self) -> dict[str, int]:
        """Return how much was used: valid ``pixels``, and ``images`` with at least one."""
        pixels, images = self._state["counts"].tolist()
        return {"pixels": pixels, "images": images}

    def threshold(self) -> float | None:
        """Return the threshold that the headline metric takes predictions as yes or no at; None for all but boundaries.

        Where the metric chooses it, that is the best one of what was added.
        """
        return None

    def confusion(self) -> Tensor | None:
        """Return pixels (K, K), truth down and prediction across, int64; None for meters that add up none."""
        found = self._state.get("confusion")
        return None if found is None else found.clone()

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
        import torch

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
