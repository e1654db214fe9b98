"""What cached features refuse, and what is told of them before a run starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.train.cached.conftest import Encoded
from vtadapt.models.adapted import AdaptedModel
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.train.cached import budget
from vtadapt.workflows.train.plan import build_trainer

pytestmark = pytest.mark.usefixtures("small_encoders")


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_more_than_the_limit_is_refused_before_anything_is_encoded(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any], counted: Encoded, kind: str
) -> None:
    monkeypatch.setenv(budget.VARIABLE, "0.00005")
    ended = cli(
        *("train", "tiny", "--data-dir", tiny.data_dir, "--run-dir", tmp_path / "runs", "--accelerator", "cpu"),
        *("--augment-views", 3, "--cache-features", kind, "--epochs", 9),
    )
    assert ended.code == 4
    assert len(ended.err.strip().splitlines()) == 1
    for part in ("12 images x 3 views", "0.051 MiB", budget.VARIABLE, "--augment-views", "--cache-features"):
        assert part in ended.err
    assert not counted
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "changes",
    [("--method", m) for m in ("stl", "mtl-cnn", "consistency", "xtam", "tawt", "mult")]
    + [("--train-blocks", "full"), ("--train-blocks", "all")],
    ids=str,
)
def test_other_methods_are_refused(tiny: Any, tmp_path: Path, cli: Callable[..., Any], changes: Any) -> None:
    ended = cli(
        "train", "tiny", "--data-dir", tiny.data_dir, "--run-dir", tmp_path, "--cache-features", "disk", *changes
    )
    assert ended.code == 4
    assert len(ended.err.strip().splitlines()) == 1
    assert "'cache_features'" in ended.err
    assert (
        "train_blocks=adapters" if changes[0] == "--train-blocks" else "'adapters', 'linear', 'dpt' and 'lora'"
    ) in (ended.err)


def test_it_is_told_what_is_needed(tiny: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_trainer(tiny.other(tmp_path, cache_features="disk", augment_views=9))
    told = capfd.readouterr().err
    assert str(budget.folder()) in told
    assert "12 images x 2 views" in told, "the run has two epochs"
    build_trainer(tiny.other(tmp_path, cache_features="memory"))
    assert "--augment-views" in capfd.readouterr().err


def test_off_is_off_in_yaml_too() -> None:
    assert TrainSettings(data="x", cache_features=False).cache_features == "off"  # type: ignore[arg-type]


def test_what_looks_at_images_that_are_not_there_sees_no_numbers(tiny: Any, tmp_path: Path) -> None:
    trainer = build_trainer(tiny.other(tmp_path, cache_features="memory", head="subpixel"), quiet=True)
    assert isinstance(trainer.core, AdaptedModel)
    batch = next(iter(trainer.loader))
    seen = trainer.core.backbone.seen(batch["image"])
    assert seen.shape == (4, 3, 64, 64)
    assert seen.isnan().all()
