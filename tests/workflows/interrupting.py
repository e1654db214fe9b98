"""Sweeps that are interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from vtadapt.workflows.sweep import trials


def interrupt(monkeypatch: pytest.MonkeyPatch, after: Sequence[str]) -> list[str]:
    """A list to which every trial adds its name as it starts; once it equals ``after``, the sweep is interrupted."""
    started: list[str] = []
    run_trial = trials.run_trial

    def watched(what: str, folder: Path) -> None:
        started.append(folder.name)
        if started == [*after]:
            raise KeyboardInterrupt
        run_trial(what, folder)

    monkeypatch.setattr(trials, "run_trial", watched)
    return started
