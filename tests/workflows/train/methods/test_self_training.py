"""Self-training around any method: the loss by its parts, what is read, exact resume, refusals, the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workflows.train.cutting import CutError, assert_same, cut
from tests.workflows.train.methods.conftest import changes_of, watch_target
from vtadapt.errors import ConfigError
from vtadapt.tasks.class_ids import VOID
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.methods import those
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.train.methods.adversarial import Adversarial
from vtadapt.workflows.train.methods.self_training.pseudo import Pseudo
from vtadapt.workflows.train.methods.self_training.self_training import Lesson, SelfTraining
from vtadapt.workflows.train.plan import build_trainer
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train


def of(tiny: Any, run_dir: Path, method: str = "adapters", **changes: Any) -> TrainSettings:
    small = changes_of(method) | {"tasks": ["semseg", "depth"], "target": "shape", "strategy": "self-training"}
    return tiny.other(run_dir, **{**small, **changes})


def built(tiny: Any, run_dir: Path, **changes: Any) -> tuple[SelfTraining, dict[str, Any]]:
    """The method of a run that was never started, prepared, and a batch of its source."""
    trainer = build_trainer(of(tiny, run_dir, **changes), quiet=True)
    method = trainer.objective
    assert isinstance(method, SelfTraining)
    method.prepare(trainer.data, trainer.loader, run_dir, 10, True)
    return method, next(iter(trainer.data.loader))


def test_the_source_is_where_it_was_pasted_and_its_labels_with_it(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    method, _ = built(tiny, tmp_path, strong_jitter=0.0)
    target = method.stream.images(3)
    lesson = method.lesson(target, 3)
    assert method.source is not None
    assert lesson.pasted is not None
    source = method.source.batch(3)
    assert 0 < int(lesson.pasted.sum()) < lesson.pasted.numel()
    where = lesson.pasted[:, None].expand_as(lesson.image)
    assert torch.equal(lesson.image[where], source["image"][where])
    assert torch.equal(lesson.image[~where], target[~where])
    assert torch.equal(lesson.labels["semseg"], source["targets"]["semseg"])
    assert not (lesson.labels["semseg"][lesson.pasted] == VOID).any()
    assert list(lesson.labels) == ["semseg"], "distances of pasted things are those of another scene"


def test_the_students_loss_by_its_parts(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    method, _ = built(tiny, tmp_path)
    task = method.tasks["semseg"]
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, task.channels, 2, 4, generator=generator)
    labels = torch.tensor([[[0, 1, 2, 3], [0, 1, 2, 3]]])
    pseudo = torch.tensor([[[3, 3, 3, 3], [2, 2, VOID, VOID]]])
    pasted = torch.tensor([[[True, True, False, False], [False, False, False, False]]])
    lesson, taught = Lesson(torch.zeros(1, 3, 2, 4), pasted, {"semseg": labels}), Pseudo(pseudo, torch.tensor(0.25))
    found = method.student_loss(task, logits, taught, lesson, ["one"], 0)
    log_p = logits.log_softmax(1)[0]
    own = [-log_p[0, 0, 0], -log_p[1, 0, 1]]
    guessed = [-log_p[3, 0, 2], -log_p[3, 0, 3], -log_p[2, 1, 0], -log_p[2, 1, 1]]
    assert float(found.value) == pytest.approx(float(sum(own) + 0.25 * sum(guessed)) / 6, rel=1e-5)
    assert found.valid == 6
    alone = method.student_loss(task, logits, taught, lesson._replace(pasted=None), ["one"], 0)
    both = [-log_p[3, 0, 0], -log_p[3, 0, 1], *guessed]
    assert float(alone.value) == pytest.approx(0.25 * float(sum(both)) / 6, rel=1e-5)


def test_distances_are_learned_where_the_target_was_not_covered(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    method, _ = built(tiny, tmp_path)
    task = method.tasks["depth"]
    logits = torch.zeros(1, 1, 1, 3, requires_grad=True)
    pasted = torch.tensor([[[True, False, False]]])
    taught = Pseudo(torch.tensor([[[[5.0, 5.0, 0.0]]]]), torch.tensor(0.5))
    lesson = Lesson(torch.zeros(1, 3, 1, 3), pasted, {})
    found = method.student_loss(task, logits, taught, lesson, ["one"], 0)
    found.value.backward()
    assert logits.grad is not None
    assert found.valid == 1
    assert (logits.grad != 0).flatten().tolist() == [False, True, False]
    whole = task.loss_fn(logits[..., 1:2], taught.target[..., 1:2])
    assert float(found.value.detach()) == pytest.approx(0.5 * float(whole.value.detach()))


def test_the_loss_is_the_methods_own_and_the_students(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    changes = {"self_training_weight": 0.3, "self_training_warmup": 0.5, "loss_weights": {"depth": 0.1}}
    method, batch = built(tiny, tmp_path, **changes)
    assert [method.factor(step) for step in (0, 1, 5, 9)] == pytest.approx([0.0, 0.06, 0.3, 0.3])
    own, own_shown = method.inner.loss(method.model, batch, method.tasks, 5)
    total, shown = method.loss(method.model, batch, method.tasks, 5)
    assert shown == own_shown
    target = method.stream.batch(5)
    taught, lesson = method.teach(target["image"], method.tasks), method.lesson(target["image"], 5)
    logits = method.model(lesson.image, list(method.tasks))
    terms = {
        name: float(method.student_loss(t, logits[name], taught[name], lesson, ["a"], 5).value.detach())
        for name, t in method.tasks.items()
    }
    wanted = float(own.detach()) + 0.3 * (terms["semseg"] * method.tasks["semseg"].weight + 0.1 * terms["depth"])
    assert terms["semseg"] > 0
    assert float(total.detach()) == pytest.approx(wanted, rel=1e-4)
    first, _ = method.loss(method.model, batch, method.tasks, 0)
    start, _ = method.inner.loss(method.model, batch, method.tasks, 0)
    assert float(first.detach()) == pytest.approx(float(start.detach()))


def test_without_a_task_of_classes_nothing_is_mixed(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    method, batch = built(tiny, tmp_path, tasks=["depth"])
    assert method.source is None
    lesson = method.lesson(method.stream.images(0), 0)
    assert lesson.pasted is None
    total, _ = method.loss(method.model, batch, method.tasks, 9)
    assert torch.isfinite(total)
    off, _ = built(tiny, tmp_path, class_mixing=False)
    assert off.source is None


@pytest.mark.parametrize(
    ("method", "strategy"), [*((name, "self-training") for name in those(lambda m: m.adapts)), ("adapters", "both")]
)
def test_resume_is_exact_and_no_label_of_the_target_is_read(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, method: str, strategy: str
) -> None:
    del small
    seen = watch_target(monkeypatch)
    changes: dict[str, Any] = {"strategy": strategy}
    if strategy == "both":
        changes["discriminator_width"] = 4
    whole = Path(train(of(tiny, tmp_path / "whole", method, **changes), quiet=True)["run"])
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda t: t.step == 5)
        with pytest.raises(CutError):
            train(of(tiny, tmp_path / "cut", method, **changes), quiet=True)
    run = tmp_path / "cut" / "tiny-0001"
    state = checkpoint.load_state(run / LAST)
    assert state.about["step"] == 4
    teacher = {k.removeprefix("teacher."): v for k, v in state.method.items() if k.startswith("teacher.")}
    assert teacher.keys() <= state.model.keys()
    assert any(not torch.equal(value, state.model[name]) for name, value in teacher.items())
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    assert_same(run, whole)
    assert seen == {"train.h5"}
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = [r["pseudo"] for r in records if "pseudo" in r]
    assert told
    assert all(0 <= row["weight"] <= 1 for rows in told for row in rows.values())
    assert any("bce" in r for r in records) == (strategy == "both")


def test_the_target_changes_what_is_learned_and_the_network_knows_of_no_teacher(
    tiny: Any, tmp_path: Path, small: None
) -> None:
    del small
    run = Path(train(of(tiny, tmp_path / "taught", epochs=1), quiet=True)["run"])
    alone = Path(train(tiny.other(tmp_path / "alone", epochs=1, tasks=["semseg", "depth"]), quiet=True)["run"])
    one, other = (checkpoint.read_tensors(path / "model.safetensors")[0] for path in (alone, run))
    assert one.keys() == other.keys()
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


def test_both_wrap_one_another(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    method, _ = built(tiny, tmp_path, strategy="both", discriminator_width=4)
    assert isinstance(method.inner, Adversarial)
    trainer = build_trainer(of(tiny, tmp_path, strategy="adversarial", discriminator_width=4), quiet=True)
    assert type(trainer.objective) is Adversarial


def test_several_sources_are_not_mixed(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    changes = {"data": "tiny+look", "tasks": ["semseg"]}
    with pytest.raises(ConfigError, match="mixes images of one source, found .*wanted --set class_mixing=false"):
        build_trainer(of(tiny, tmp_path, **changes), quiet=True)


@pytest.mark.parametrize("method", ["linear", "stl"])
def test_methods_that_cannot_be_adapted(tiny: Any, tmp_path: Path, small: None, method: str) -> None:
    del small
    with pytest.raises(ConfigError, match=rf"method '{method}' cannot be adapted to a target; wanted adapters"):
        build_trainer(of(tiny, tmp_path, method), quiet=True)


@pytest.mark.slow
def test_the_command(tiny: Any, tmp_path: Path, cli: Callable[..., Any]) -> None:
    options = ["--data-dir", tiny.data_dir, "--run-dir", tmp_path, "--steps", 2, "--batch-size", 4, "--images", 0]
    options += ["--set", "weights=random", "--set", "precision=32-true", "--tasks", "semseg", "--no-oracle", "--json"]
    ran = cli("adapt", "tiny", "look", "--strategy", "self-training", *options, "--set", "pseudo_share=0.25")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["failed"] == {}
    assert not any("class_ratios" in note for note in result["notes"]), "those are of the adversarial strategy"
    runs = {name: load(tmp_path / f"adapt-tiny-look/adapters@{name}-seed0/settings.yaml") for name in SETTINGS}
    assert [(s.target, s.strategy) for s in runs.values()] == [(None, "adversarial"), ("look", "self-training")]
    assert runs["adapted"].pseudo_share == 0.25
    other = cli("adapt", "tiny", "look", "--strategy", "both", *options, "--set", "pseudo_share=0.25")
    assert other.code == 4
    assert "adapted-seed0' was made with strategy = 'self-training', wanted 'both'" in other.err


SETTINGS = ("source-only", "adapted")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--strategy", "magic"], "strategy = 'magic': Input should be 'adversarial', 'self-training' or 'both'"),
        (["--set", "pseudo_share=0.5"], "'pseudo_share' is read only with a target and strategy=self-training or both"),
        (["--strategy", "self-training", "--set", "teacher_momentum=1"], "teacher_momentum = 1"),
        (["--strategy", "self-training", "--set", "pseudo_threshold=1.5"], "pseudo_threshold = 1.5"),
        (["--strategy", "self-training", "--set", "discriminator_width=8"], "'discriminator_width' is read only with"),
    ],
)
def test_what_the_command_refuses(
    tiny: Any, tmp_path: Path, cli: Callable[..., Any], given: list[str], said: str
) -> None:
    ran = cli("adapt", "tiny", "look", *given, "--data-dir", tiny.data_dir, "--run-dir", tmp_path, "--quiet")
    assert ran.code == 4
    assert said in ran.err
    assert not list(tmp_path.iterdir())
