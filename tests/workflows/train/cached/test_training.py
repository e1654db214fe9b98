"""Training with cached features: the same as without but for their rounding, whatever was there before or was cut."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.train.cached.conftest import Encoded
from tests.workflows.train.cutting import assert_same, cut_and_resume
from tests.workflows.train.test_ranks import launch
from vtadapt.workflows.compare.compare import CompareOptions, compare
from vtadapt.workflows.train.cached import budget, form
from vtadapt.workflows.train.cached.memory import Memory
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.train import train

pytestmark = pytest.mark.usefixtures("small_encoders")


def run(tiny: Any, run_dir: Path, **changes: Any) -> Path:
    """Four epochs of three steps, in which every image is seen twice in each of two views."""
    options = {"epochs": 4, "augment_views": 2, "val_images": 1, "evals": 1}
    return Path(train(tiny.other(run_dir, **{**options, **changes}), quiet=True, trivial=False)["run"])


def losses(path: Path) -> list[dict[str, float]]:
    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [record["loss"] for record in map(json.loads, lines) if record["split"] == "train"]


def every(count: int = 12, views: int = 2) -> Encoded:
    return Counter({(index, view): 1 for index in range(count) for view in range(views)})


def assert_close(found: list[dict[str, float]], wanted: list[dict[str, float]], rel: float) -> None:
    assert len(found) == len(wanted) == 12
    for mine, own in zip(found, wanted, strict=True):
        assert mine == pytest.approx(own, rel=rel, abs=2e-5)  # logs have five digits after the point


METHODS = [
    {},
    {"head": "stem"},
    {"adapter": "slides", "decoder_sharing": "per_task", "troa_every": 1, "troa_weights": True},
    {"method": "linear"},
    {"method": "linear", "backbone": "resnet_pico"},
    {"method": "dpt"},
    {"method": "lora"},
]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_without_rounding_the_losses_are_those_of_a_run_without_a_cache(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Encoded, method: Any
) -> None:
    """Features kept in float32: what is left is how matrix products of one image and of four add up.

    With a small learning rate, as a large one lets any two trainings drift apart, on some processors more than others.
    """
    changes = {**method, "lr": 1e-4}
    own = losses(run(tiny, tmp_path / "own", **changes))
    monkeypatch.setattr(form, "KEPT", torch.float32)
    for kind in ("memory", "disk") if method == {} else ("disk",):
        counted.clear()
        assert_close(losses(run(tiny, tmp_path / kind, cache_features=kind, **changes)), own, 5e-4)
        assert counted == every()


@pytest.mark.slow
@pytest.mark.parametrize("method", [{}, {"method": "dpt"}], ids=str)
def test_rounding_moves_the_losses_by_no_more_than_it_moves_the_features(
    tiny: Any, tmp_path: Path, method: Any
) -> None:
    """A feature is rounded by 2^-8 of itself at most, at random; the first loss, of equal weights, by less than that.

    With a small learning rate, as a large one lets any two trainings drift apart.
    """
    changes = {**method, "lr": 1e-4}
    own = losses(run(tiny, tmp_path / "own", **changes))
    kept = losses(run(tiny, tmp_path / "kept", cache_features="memory", **changes))
    assert kept != own
    assert kept[0] == pytest.approx(own[0], rel=2**-8)
    assert_close(kept, own, 2**-8)


@pytest.mark.slow
def test_memory_disk_cold_warm_forgetful_and_with_workers_are_the_same_run(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Encoded
) -> None:
    memory = run(tiny, tmp_path / "memory", cache_features="memory")
    assert counted == every()
    assert_same(run(tiny, tmp_path / "cold", cache_features="disk"), memory)
    counted.clear()
    assert_same(run(tiny, tmp_path / "warm", cache_features="disk"), memory)
    assert not counted
    assert_same(run(tiny, tmp_path / "workers", cache_features="disk", workers=1), memory)
    assert not counted
    assert_same(run(tiny, tmp_path / "both", cache_features="memory", workers=1), memory)
    assert counted == every()
    monkeypatch.setattr(Memory, "get", lambda self, entry: None)  # noqa: ARG005
    assert_same(run(tiny, tmp_path / "forgetful", cache_features="memory"), memory)


def test_images_are_not_read_once_their_features_are_known(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny, tmp_path / "first", cache_features="disk")
    trainer = build_trainer(tiny.other(tmp_path, cache_features="disk", epochs=4, augment_views=2), quiet=True)
    monkeypatch.setattr("vtadapt.data.training.dataset._image", None)
    batch = next(iter(trainer.loader))
    assert batch["image"].image is None
    assert batch["targets"]["depth"].shape == (4, 1, 48, 48)
    with pytest.raises(TypeError):
        trainer.data.val["tiny"] and trainer.data.train._sample(0, 0)  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_resuming_is_exact(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    settings = tiny.other(tmp_path / "cut", cache_features=kind, augment_views=1)
    found = cut_and_resume(settings, monkeypatch, "_step")
    whole = train(tiny.other(tmp_path / "whole", cache_features="memory", augment_views=1), quiet=True)
    assert_same(found, Path(whole["run"]))


KILLED = """
import os, signal, sys
from io import FileIO
from pathlib import Path
import torch
from tests.workflows.train.methods.conftest import small_encoder
from vtadapt.workflows.run import build
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.cached import slots
from vtadapt.workflows.train.train import train

class Dying(FileIO):
    written = 0
    def write(self, content):
        Dying.written += 1
        if Dying.written == 7:
            super().write(bytes(content[: len(content) // 3]))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(content)

torch.set_num_threads(1)
build.load_backbone, slots.FileIO = small_encoder, Dying
train(load(Path(sys.argv[1])), quiet=True)
"""


@pytest.mark.slow
def test_after_kill_9_in_the_middle_of_an_entry(tiny: Any, tmp_path: Path, counted: Encoded) -> None:
    settings = tiny.other(tmp_path / "killed", cache_features="disk", augment_views=1)
    file = tmp_path / "settings.yaml"
    file.write_text(settings.to_yaml())
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(file)], env=environ, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    found = Path(train(settings, quiet=True)["run"])
    assert sum(counted.values()) == 12 - 6
    memory = train(tiny.other(tmp_path / "memory", cache_features="memory", augment_views=1), quiet=True)
    assert_same(found, Path(memory["run"]))


@pytest.mark.slow
def test_two_processes_fill_one_cache(tiny: Any, tmp_path: Path) -> None:
    ended = launch(
        *(tiny, tmp_path, "tiny", "--batch-size", "2", "--cache-features", "disk", "--augment-views", "1"),
        *("--set", "val_images=2", "--json"),
    )
    assert ended.returncode == 0, ended.stderr
    (path,) = budget.folder().glob("*.features")
    content = path.read_bytes()
    length = len(content) // 12
    assert all(any(content[n * length : n * length + 24]) for n in range(12))
    assert all(math.isfinite(v) for m in json.loads(ended.stdout)["metrics"]["tiny"].values() for v in m.values())


@pytest.mark.slow
def test_what_does_not_fit_the_key_is_not_used(tiny: Any, tmp_path: Path, counted: Encoded) -> None:
    def encoded(**changes: Any) -> int:
        counted.clear()
        run(tiny, tmp_path / "runs", cache_features="disk", epochs=1, augment_views=1, **changes)
        return sum(counted.values())

    assert encoded() == 12
    assert encoded(lr=0.1, tasks=("depth",), batch_size=3) == 0
    for changes in ({"seed": 1}, {"flip": False}, {"scale": (1.0, 1.5)}, {"size": (64, 48)}, {"adapted_blocks": 2}):
        assert encoded(**changes) == 12, changes
        assert encoded(**changes) == 0, changes


@pytest.mark.slow
def test_cells_of_one_encoder_share_a_cache(tiny: Any, tmp_path: Path, counted: Encoded) -> None:
    """Two ways of cutting an encoder, each encoded once: at the first adapted block, and whole."""
    base = tiny.other(tmp_path, epochs=None, steps=6, cache_features="disk", augment_views=2, val_images=1, evals=1)
    names = "adapters,adapters:train_blocks=full,lora,linear,dpt,mtl-cnn"
    compare(base, CompareOptions(names, "1,", None, jobs=0, images=0), quiet=True)
    assert counted == Counter(dict.fromkeys(every(), 2))
    assert len(list(budget.folder().glob("*.features"))) == 2


@pytest.mark.slow
def test_half_precision_has_a_cache_of_its_own(tiny: Any, tmp_path: Path, counted: Encoded) -> None:
    half = {"precision": "bf16-mixed", "cache_features": "disk", "epochs": 2}
    own = losses(run(tiny, tmp_path / "own", precision="bf16-mixed", epochs=2))
    run(tiny, tmp_path / "single", cache_features="disk", epochs=2)
    found = losses(run(tiny, tmp_path / "half", **half))
    assert counted == Counter(dict.fromkeys(every(), 2))
    assert found[0] == pytest.approx(own[0], rel=2**-6)  # all else is rounded, too
    counted.clear()
    assert losses(run(tiny, tmp_path / "again", **half)) == found
    assert not counted


@pytest.mark.slow
def test_adapting_to_a_target_caches_the_source_alone(tiny: Any, tmp_path: Path, counted: Encoded) -> None:
    changes = {"target": "look", "tasks": ("semseg", "edges"), "lr": 1e-4, "discriminator_width": 4}
    own = losses(run(tiny, tmp_path / "own", **changes))
    assert_close(losses(run(tiny, tmp_path / "kept", cache_features="memory", **changes)), own, 2**-8)
    assert counted == every()


def test_several_sets_are_cached_each(tiny: Any, tmp_path: Path, counted: Encoded) -> None:
    run(tiny, tmp_path, data="look+shape", cache_features="disk", epochs=2, augment_views=1)
    assert counted == Counter(dict.fromkeys(every(views=1), 2))
    assert len(list(budget.folder().glob("*.features"))) == 2


def test_views_come_by_turns_without_a_cache_too(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.other(tmp_path, augment_views=2)
    trainer = build_trainer(settings, quiet=True)
    data = trainer.data.train
    pictures = []
    for epoch in range(5):
        data.set_epoch(epoch)
        pictures.append(data[3]["image"])
    assert torch.equal(pictures[0], pictures[2])
    assert torch.equal(pictures[0], pictures[4])
    assert torch.equal(pictures[1], pictures[3])
    assert not torch.equal(pictures[0], pictures[1])
