"""Events of TensorBoard, where the ``tensorboard`` extra is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.workflows.terminal.text import warn


class Board:
    """Draws in TensorBoard; metrics.jsonl has all numbers.

    Where events cannot be written, as on a full disk, that is said once: what a run must keep is elsewhere.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Write into ``folder``; a run that goes on does so at ``step``, and later events are marked as superseded."""
        self.folder = folder
        self.writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.writer = self._tried(lambda: SummaryWriter(str(folder), purge_step=step + 1 if step else None))

    @property
    def draws(self) -> bool:
        """Whether anything is written."""
        return self.writer is not None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Draw numbers against a step."""
        for name, value in values.items():
            self._add("add_scalar", name, value, step)

    def pictures(self, pictures: Mapping[str, np.ndarray], step: int) -> None:
        """Show pictures, (H, W, 3) uint8 RGB."""
        for name, picture in pictures.items():
            self._add("add_image", name, picture, step, dataformats="HWC")

    def histograms(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Show how the values of tensors are distributed."""
        for name, tensor in tensors.items():
            self._add("add_histogram", name, tensor, step)

    def close(self) -> None:
        """Write what waits."""
        if self.writer is not None:
            self._tried(self.writer.close)

    def _add(self, kind: str, *values: Any, **options: Any) -> None:
        if self.writer is not None:
            self._tried(partial(getattr(self.writer, kind), *values, **options))

    def _tried(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except OSError as error:
            self.writer = None
            warn(f"no more events for TensorBoard in {self.folder} ({error.strerror or error}); the run goes on")
            return None
