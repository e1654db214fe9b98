"""An objective around another one that does not know of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vtadapt.tasks import Task
from vtadapt.workflows.run.loaders import TrainData
from vtadapt.workflows.train.methods.base import Batch, Objective


class Wrapped(Objective):
    """Does what the wrapped objective does; subclasses add to it."""

    def __init__(self, inner: Objective) -> None:
        """Wrap an objective; factors of losses and weights of classes that are set on this one hold for it."""
        super().__init__(inner.settings, inner.model, inner.tasks, inner.fabric)
        self.inner = inner
        own = inner.factors
        self.factors = own
        inner.factors = lambda: self.factors()
        self.class_weights = inner.class_weights

    def prepare(self, data: TrainData, loader: Any, path: Path, steps: int, quiet: bool) -> dict[str, Any]:
        """Do what the wrapped objective does."""
        return self.inner.prepare(data, loader, path, steps, quiet)

    def before_step(self, batch: Batch, step: int) -> dict[str, Any] | None:
        """Do what the wrapped objective does."""
        return self.inner.before_step(batch, step)

    def loss(self, model: Any, batch: Batch, tasks: Mapping[str, Task], step: int) -> tuple[Tensor, dict[str, float]]:
        """Do what the wrapped objective does."""
        return self.inner.loss(model, batch, tasks, step)

    def after_step(self, batch: Batch, step: int) -> None:
        """Do what the wrapped objective does."""
        self.inner.after_step(batch, step)

    def clip(self, model: Any, optimiser: Any) -> None:
        """Do what the wrapped objective does."""
        self.inner.clip(model, optimiser)

    def state(self) -> dict[str, Tensor]:
        """The wrapped objective's state."""
        return self.inner.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo :meth:`state`."""
        self.inner.load_state(state)
