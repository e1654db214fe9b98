"""A small bench that all tests of the yardstick read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.workflows.train.methods.conftest import small_encoder
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.workflows.gain.bench import Bench
from vtadapt.workflows.gain.grid import open_bench
from vtadapt.workflows.gain.options import GainOptions
from vtadapt.workflows.run.data.data_sets import find_data

TASKS = ("semseg", "depth", "edges")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every network that is built in this process has a small encoder."""
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)
    return


@pytest.fixture
def options() -> GainOptions:
    return GainOptions(scarce=3, images=10, seeds=(0, 1), views=2)


@pytest.fixture
def settings(tiny: Any, tmp_path: Any) -> Any:
    return tiny.other(tmp_path, tasks=TASKS, epochs=None, steps=3, batch_size=4, val_images=4, decoder_width=8)


@pytest.fixture
def bench(settings: Any, options: GainOptions, small: None) -> Bench:
    del small
    return open_bench(settings, build_tasks(find_data(settings).trained, TASKS), options)
