"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """A bar over ``total`` steps."""

    def __init__(self, total: int, start: int, title: str, quiet: bool = False) -> None:
        """Show ``title``; nothing at all when ``quiet``."""
        self.quiet, self.console = quiet, Console(file=sys.stderr)
        self.total, self.start, self.title = total, start, title
        self.bar: Bar | None = None
        if not quiet and self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[info]}"),
            )
            self.bar = Bar(*columns, console=self.console, transient=True)

    def open(self) -> None:
        """Start the bar."""
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=self.total, completed=self.start, info="")
        elif not self.quiet:
            print(f"{self.title}: {self.total - self.start} to do", file=sys.stderr)

    def close(self) -> None:
        """Stop the bar; closing twice does nothing."""
        if self.bar is not None:
            self.bar.stop()

    def __enter__(self) -> Self:
        """Open."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def update(self, step: int, info: Mapping[str, float]) -> None:
        """Move to ``step`` and show numbers beside the bar."""
        if self.bar is not None:
            text = "  ".join(f"{name} {value:.3g}" for name, value in info.items())
            self.bar.update(self.task, completed=step, info=text)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        if not self.quiet:
            (self.bar.console if self.bar is not None else self.console).print(text, highlight=False, soft_wrap=True)
