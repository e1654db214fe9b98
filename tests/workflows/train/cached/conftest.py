"""A small encoder, a folder of caches, and a count of what is encoded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.workflows.train.methods.conftest import small_encoder
from vtadapt.workflows.train.cached import features, form

Encoded = Counter[tuple[int, int]]


@pytest.fixture
def small_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs have an encoder of their own, and a folder of caches."""
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)
    monkeypatch.setenv("VTADAPT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Encoded:
    """How often each (sample, view) was encoded."""
    found: Encoded = Counter()
    keep = features.Features.keep

    def counting(self: features.Features, index: int, view: int, parts: form.Parts) -> None:
        found[index, view] += 1
        keep(self, index, view, parts)

    monkeypatch.setattr(features.Features, "keep", counting)
    return found
