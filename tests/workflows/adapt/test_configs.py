"""The settings of the literature in configs/: read by the command, and run on generated files of the same layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.formats.cityscapes import write_cityscapes
from tests.data.formats.synthia import write_synthia
from tests.data.formats.vkitti2 import write_vkitti2
from tests.workflows.train.methods.conftest import small_encoder
from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.workflows.adapt.adapt import AdaptOptions, adapt
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run import files
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.run.settings.resolve import gather, settings_of, to_check

CONFIGS = Path(__file__).parents[3] / "configs"
SOURCES: dict[str, tuple[Callable[[Path], object], tuple[int, int], list[int]]] = {
    "synthia": (lambda root: write_synthia(root, 3), (48, 80), [16, 13]),
    "vkitti2": (write_vkitti2, (36, 120), [8, 7, 6]),
}
"""Source -> what writes its files, the size of its pack, how many classes are measured (all shared, then parts)."""


def test_every_configuration_is_tested() -> None:
    assert {path.stem for path in CONFIGS.iterdir()} == {f"{name}-cityscapes" for name in SOURCES}


@pytest.mark.parametrize("source", SOURCES)
def test_a_configuration_runs_on_generated_files(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)
    write, size, classes = SOURCES[source]
    write(tmp_path / source)
    write_cityscapes(tmp_path / "cityscapes", {"train": 2, "val": 1})
    for name, stored in ((source, size), ("cityscapes", (40, 80))):
        options = PrepareOptions(size=stored, tasks=["semseg", "depth"])
        prepare_data(name, tmp_path / name, tmp_path / "data", options, quiet=True)

    typed: dict[str, Any] = {"data": source, "target": "cityscapes", "data_dir": tmp_path / "data", "steps": 2}
    typed |= {"run_dir": tmp_path / "runs", "size": (32, 64), "precision": "32-true"}
    given = gather(typed, CONFIGS / f"{source}-cityscapes.yaml", {})
    settings = settings_of(given)
    options = AdaptOptions(oracle=False, jobs=0, images=0, given=to_check(given, settings))
    result = adapt(settings, options, quiet=True)

    assert result["failed"] == {}
    found = result["methods"]["adapters"]["adapted"]["target"]
    about = result["classes"]["semseg"]
    assert [len(about["shared"]), *map(len, about["subsets"].values())] == classes
    assert {f"miou/{name}" for name in ("dataset", *about["subsets"])} <= found["semseg"].keys()
    assert "rmse/pixel@0..80m" in found["depth"]
    run = load(tmp_path / f"runs/adapt-{source}-cityscapes/adapters@adapted-seed0" / files.SETTINGS)
    assert (run.strategy, run.pseudo_threshold, run.loss_weights) == ("self-training", 0.968, {"depth": 0.1})
