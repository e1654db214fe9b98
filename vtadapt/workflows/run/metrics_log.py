"""What a run records while it is trained: lines of ``metrics.jsonl`` and, with the extra, TensorBoard's events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vtadapt.workflows.run import files
from vtadapt.workflows.terminal.text import warn


class MetricsLog:
    """Writes records of one run; those of ranks other than the first write nothing."""

    def __init__(self, path: Path, step: int, active: bool) -> None:
        """``step``: the run goes on there; later events are marked as superseded."""
        self.path, self.active = path, active
        self.board = Board(path / "tensorboard", step) if active else None

    def write(self, record: dict[str, Any]) -> None:
        """Append a record: its losses and metrics are drawn against its ``step``."""
        if self.board is None:
            return
        files.append_line(self.path / files.METRICS, record)
        self.board.add(dict(_scalars(record)), record["step"])

    def close(self) -> None:
        """Write what waits."""
        if self.board is not None:
            self.board.close()


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


class Board:
    """TensorBoard's events where the ``tensorboard`` extra is installed; metrics.jsonl has it all.

    Where they cannot be written, as on a full disk, that is said once: what a run must keep is elsewhere.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Write into ``folder``; a run that goes on does so at ``step``."""
        self.folder = folder
        self.writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.writer = self._tried(lambda: SummaryWriter(str(folder), purge_step=step + 1 if step else None))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Draw values against a step."""
        for name, value in values.items():
            if self.writer is not None:
                self._tried(partial(self.writer.add_scalar, name, value, step))

    def close(self) -> None:
        """Write what waits."""
        if self.writer is not None:
            self._tried(self.writer.close)

    def _tried(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except OSError as error:
            self.writer = None
            warn(f"no more events for TensorBoard in {self.folder} ({error.strerror or error}); the run goes on")
            return None
