"""What a run records: its lines of ``metrics.jsonl``, and the same drawn by TensorBoard and a tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vtadapt.workflows.run import files
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.log.tensorboard import Board
from vtadapt.workflows.train.log.trackers import Tracker


class MetricsLog:
    """Writes records of one run; those of ranks other than the first write nothing."""

    def __init__(self, path: Path, step: int, active: bool, settings: TrainSettings | None = None) -> None:
        """Open the log of a run.

        Args:
            path: folder of the run.
            step: the run goes on there; later events are marked as superseded.
            active: False: nothing is written.
            settings: of the run, for its tracker; None: it has none.
        """
        self.path, self.active = path, active
        self.board = Board(path / "tensorboard", step) if active else None
        self.tracker: Tracker | None = None
        if active and settings is not None and settings.tracker is not None:
            self.tracker = Tracker(settings.tracker, path, settings.model_dump(mode="json"))

    def write(self, record: dict[str, Any]) -> None:
        """Append a record: its losses and metrics are drawn against its ``step``."""
        if not self.active:
            return
        files.append_line(self.path / files.METRICS, record)
        for sink in (self.board, self.tracker):
            if sink is not None:
                sink.scalars(dict(_scalars(record)), record["step"])

    def draw(self, step: int, weights: Mapping[str, Tensor], pictures: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Show pictures and how the weights are distributed; made only where somebody shows them.

        Args:
            step: of the run.
            weights: by name.
            pictures: makes (H, W, 3) uint8 RGB, by name.
        """
        sinks = [sink for sink in (self.board, self.tracker) if sink is not None and sink.draws]
        if not sinks:
            return
        made = pictures()
        for sink in sinks:
            sink.pictures(made, step)
        if self.board is not None:
            self.board.histograms({f"weights/{name}": tensor for name, tensor in weights.items()}, step)

    def close(self) -> None:
        """Write what waits."""
        for sink in (self.board, self.tracker):
            if sink is not None:
                sink.close()


def _scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What is drawn of a record, by its name there."""
    for name, value in record.get("loss", {}).items():
        yield f"loss/{name}", value
    if "lr" in record:
        yield "lr", record["lr"]
    for data, tasks in record.get("metrics", {}).items():
        for task, metrics in tasks.items():
            for key, value in metrics.items():
                yield f"{data}/{task}/{key}", value
