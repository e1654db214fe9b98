"""What a run records while it is trained: lines of ``metrics.jsonl`` and, with the extra, TensorBoard's events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtadapt.workflows.run import files


class MetricsLog:
    """Writes records of one run; those of ranks other than the first write nothing."""

    def __init__(self, path: Path, step: int, active: bool) -> None:
        """``step``: the run goes on there; later events are marked as superseded."""
        self.path, self.active = path, active
        self.board = _board(path, step) if active else None

    def write(self, record: dict[str, Any]) -> None:
        """Append a record: its losses and metrics are drawn against its ``step``."""
        if not self.active:
            return
        files.append_line(self.path / files.METRICS, record)
        if self.board is None:
            return
        for name, value in record.get("loss", {}).items():
            self.board.add_scalar(f"loss/{name}", value, record["step"])
        if "lr" in record:
            self.board.add_scalar("lr", record["lr"], record["step"])
        for data, tasks in record.get("metrics", {}).items():
            for task, metrics in tasks.items():
                for key, value in metrics.items():
                    self.board.add_scalar(f"{data}/{task}/{key}", value, record["step"])

    def close(self) -> None:
        """Write what waits."""
        if self.board is not None:
            self.board.close()


def _board(path: Path, step: int) -> Any:
    """A TensorBoard writer where the ``tensorboard`` extra is installed, else None (metrics.jsonl has it all)."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(path / "tensorboard"), purge_step=step + 1 if step else None)
