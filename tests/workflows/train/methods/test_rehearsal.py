"""Rehearsal: what is added to the loss, what it moves and what it leaves, exact resume, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.train.cutting import CutError, assert_same, cut
from vtadapt.errors import ConfigError
from vtadapt.workflows.run import files
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.methods.base import Objective
from vtadapt.workflows.train.methods.rehearsal import Rehearsal
from vtadapt.workflows.train.old_tasks import match_tasks
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.starting_run import open_start
from vtadapt.workflows.train.train import train
from vtadapt.workflows.zero_shot.zero_shot import ZeroShotOptions, zero_shot

HELD = {"affinity": "start", "held": ("normals", "edges"), "val_images": 1, "evals": 1}


@pytest.fixture(scope="module")
def source(runs: Callable[..., Path]) -> Path:
    """A run with all tasks and a learned A."""
    return runs()


def test_the_loss_is_that_of_both_batches(tiny: Any, source: Path, tmp_path: Path) -> None:
    trainer = build_trainer(tiny.other(tmp_path, start=source, rehearse="tiny", **HELD), quiet=True)
    method = trainer.objective
    assert isinstance(method, Rehearsal)
    assert list(method.kept) == ["semseg", "depth", "normals", "edges"]
    batch = next(iter(trainer.loader))
    old = method.stream.batch(0)
    assert old["name"] != batch["name"]
    total, shown = method.loss(trainer.model, batch, trainer.trained, 0)
    with torch.no_grad():
        parts = [
            task.weight * task.loss_fn(trainer.core(b["image"])[name], b["targets"][name]).value
            for b, tasks in ((batch, trainer.trained), (old, trainer.tasks))
            for name, task in tasks.items()
        ]
    assert float(total.detach()) == pytest.approx(float(sum(parts)), rel=1e-5)
    assert list(shown) == ["semseg", "depth", *(f"{name} (old)" for name in trainer.tasks)]


def test_held_weights_stay_and_resume_is_exact(
    tiny: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"start": source, "rehearse": "tiny", "epochs": 1, "checkpoint_steps": 1, **HELD}
    whole = Path(train(tiny.other(tmp_path / "whole", **changes), quiet=True)["run"])
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda t: t.step == 2)
        with pytest.raises(CutError):
            train(tiny.other(tmp_path / "cut", **changes), quiet=True)
    run = tmp_path / "cut" / "tiny-0001"
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    assert_same(run, whole)
    before, after = load_run(source).model, load_run(whole).model
    plain = Path(train(tiny.other(tmp_path / "plain", **{**changes, "rehearse": None}), quiet=True)["run"])
    without = load_run(plain).model
    for name in ("normals", "edges"):
        for then, now in zip(before.owned(name), after.owned(name), strict=True):  # type: ignore[union-attr, operator]
            row = slice(None) if then.row is None else then.row
            assert torch.equal(then.parameter[row], now.parameter[row])
    moved = [p for n, p in after.named_parameters() if "bottleneck" in n]
    others = [p for n, p in without.named_parameters() if "bottleneck" in n]
    assert moved
    assert not any(torch.equal(a, b) for a, b in zip(moved, others, strict=True))


def test_what_is_refused(tiny: Any, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"setting rehearse needs a run to start from"):
        train(tiny.other(tmp_path, rehearse="tiny"), quiet=True)
    trainer = build_trainer(tiny.other(tmp_path, start=source, **HELD), quiet=True)
    inner = Objective(trainer.settings.model_copy(update={"rehearse": "tiny"}), trainer.core, {}, trainer.fabric)
    with pytest.raises(ConfigError, match=r"rehearse = 'tiny' has no label of a task whose head is kept"):
        Rehearsal(inner, {}, {})


def test_labels_of_other_classes_are_mapped_or_left_out(tiny: Any, source: Path) -> None:
    recipe = find_recipe("tiny", tiny.data_dir)
    old = match_tasks(open_start(source), [recipe], HELD["held"])
    kept, maps = old.rehearsed(recipe)
    assert (list(kept), maps) == (list(old.tasks), {})
    semseg = old.tasks["semseg"]
    turned = replace(semseg, classes=semseg.classes[::-1])
    other = replace(old, tasks={**old.tasks, "semseg": turned})
    count = len(semseg.classes)
    assert other.rehearsed(recipe)[1]["semseg"] == list(range(count))[::-1]
    foreign = replace(
        other, tasks={**old.tasks, "semseg": replace(turned, classes=tuple(f"class {i}" for i in range(count)))}
    )
    foreign = replace(foreign, label_sets={**foreign.label_sets, "semseg": "of nobody"})
    assert "semseg" not in foreign.rehearsed(recipe)[0]


def test_zero_shot_with_rehearsal(tiny: Any, source: Path, tmp_path: Path) -> None:
    options = ZeroShotOptions(
        "normals",
        "semseg,depth",
        jobs=0,
        changes={"steps": 2, "val_images": 1, "evals": 1},
        images=0,
        rehearse=True,
    )
    result = zero_shot("tiny", [source], options, data_dir=tiny.data_dir, run_dir=tmp_path, quiet=True)
    folder = tmp_path / "zero-shot-tiny-normals-rehearsed"
    assert result["failed"] == {}
    assert result["rehearse"] == "tiny"
    for label in ("zero-shot", "uniform", "oracle"):
        assert load(folder / f"{label}-seed0" / files.SETTINGS).rehearse == "tiny"
    assert "Rehearsed in every column but direct" in (folder / "table.md").read_text(encoding="utf-8")
