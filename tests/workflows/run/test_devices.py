"""What a run computes on is set up without a word of Lightning's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from vtadapt.workflows.run.devices import open_fabric


def test_lightning_keeps_silent(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        fabric = open_fabric(tiny.settings.model_copy(update={"accelerator": "cpu", "precision": "bf16-mixed"}))
    assert type(fabric._precision).__name__ == "MixedPrecision"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("lightning")] == []
