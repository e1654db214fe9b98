"""Settings of a small comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workflows.train.methods.conftest import small_encoder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run built or loaded in this process has a small encoder."""
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)


def base(tiny: Any, run_dir: Path, **changes: Any) -> Any:
    options = {"epochs": None, "tasks": ["semseg", "depth"], "val_images": 1, "evals": 1, "decoder_width": 8}
    return tiny.other(run_dir, **{**options, **changes})
