"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vtadapt.digits import amount
from vtadapt.errors import printable
from vtadapt.workflows.terminal.text import say

SILENCE = 20.0  # seconds between two lines where there is no terminal


class Progress:
    """A bar over ``total`` steps; where there is no terminal, a line now and then."""

    def __init__(self, total: int, start: int, title: str, quiet: bool = False, unit: str = "") -> None:
        """Show ``title``, and steps per second if they have a ``unit``; nothing at all when ``quiet``."""
        self.quiet, self.console = quiet, Console(file=sys.stderr)
        self.total, self.start, self.title, self.unit = total, start, printable(title), unit
        self.begun = self.told = time.monotonic()
        self.bar: Bar | None = None
        if not quiet and self.console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[info]}", markup=False),
            )
            self.bar = Bar(*columns, console=self.console, transient=True)

    def open(self) -> None:
        """Start the bar."""
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=self.total, completed=self.start, info="")
        elif not self.quiet:
            say(f"{self.title}: {f'{self.total - self.start} {self.unit}'.strip()} to do")

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
        rate = (step - self.start) / max(time.monotonic() - self.begun, 1e-6)
        if self.bar is not None:
            shown = {f"{self.unit}/s": rate, **info} if self.unit else info
            text = printable("  ".join(f"{name} {amount(value)}" for name, value in shown.items()))
            self.bar.update(self.task, completed=step, info=text)
        elif self.unit and not self.quiet and time.monotonic() - self.told > SILENCE:
            self.told = time.monotonic()
            left = timedelta(seconds=round((self.total - step) / max(rate, 1e-6)))
            say(f"{self.title}: {step} of {self.total}, {amount(rate)} {self.unit}/s, {left} left")

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        if self.quiet:
            return
        if self.bar is None:
            say(text)
        else:
            self.bar.console.print(printable(text), highlight=False, markup=False, soft_wrap=True)
