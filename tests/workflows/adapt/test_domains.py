"""Two cameras and two lists of classes brought together: distances of the other camera, notes under the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vtadapt.data.recipe.camera import Intrinsics
from vtadapt.data.recipe.common_tasks import agree, build_tasks
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.tasks import make_task
from vtadapt.workflows.adapt import notes as adapt_notes
from vtadapt.workflows.adapt.domains import Domains
from vtadapt.workflows.adapt.notes import about_adapted
from vtadapt.workflows.run import loaders
from vtadapt.workflows.run.loaders import distance_factor
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.sweep.trials import Trial
from vtadapt.workflows.train.plan import build_trainer


class Pack:
    """As much of a pack as is asked for: the sizes of its images."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.stored = sizes

    def __len__(self) -> int:
        return len(self.stored)

    def size(self, index: int) -> tuple[int, int]:
        return self.stored[index]


def camera(focal: float, height: int, width: int) -> Intrinsics:
    return Intrinsics(fx=focal, fy=focal, cx=width / 2, cy=height / 2, width=width, height=height)


Pair = tuple[dict[str, Recipe], dict[str, Pack]]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Recipes of a source (focal length 100 at 96x192) and a target (150 there), stored at 48x96 and 96x192."""
    source, target = load_recipe("streets_sim"), load_recipe("streets_real")
    recipes = {
        "streets_sim": source.model_copy(update={"intrinsics": camera(100, 96, 192)}),
        "streets_real": target.model_copy(update={"intrinsics": camera(150, 96, 192)}),
    }
    packs = {"streets_sim": Pack((48, 96), (48, 96)), "streets_real": Pack((96, 192))}
    monkeypatch.setattr(loaders, "open_reader", lambda _, name, __: packs[name])
    return recipes, packs


def settings(**changes: Any) -> TrainSettings:
    options = {"data": "streets_sim", "target": "streets_real", "tasks": ["semseg", "depth"], "match_camera": True}
    return TrainSettings(**{**options, **changes})


def test_distances_are_those_of_the_targets_camera_at_the_stored_sizes(pair: Pair) -> None:
    recipes, packs = pair
    source = recipes["streets_sim"]
    assert distance_factor(settings(), source, recipes["streets_real"]) == pytest.approx(150 / 50)
    assert distance_factor(settings(), source, None) == 1
    assert distance_factor(settings(match_camera=False), source, recipes["streets_real"]) == 1
    packs["streets_real"] = Pack((96, 192), (48, 96))
    assert distance_factor(settings(), source, recipes["streets_real"]) == 1, "several sizes"
    packs["streets_real"] = Pack((96, 128))  # cropped, or rendered with another field of view
    assert distance_factor(settings(), source, recipes["streets_real"]) == 1
    packs["streets_real"] = Pack((192, 384))
    assert distance_factor(settings(), source, recipes["streets_real"]) == pytest.approx(300 / 50)
    recipes["streets_real"] = recipes["streets_real"].model_copy(update={"intrinsics": None})
    assert distance_factor(settings(), source, recipes["streets_real"]) == 1


def test_pixels_that_are_not_square_count_by_their_geometric_mean() -> None:
    assert Intrinsics(fx=40, fy=90, cx=0, cy=0, width=4, height=4).focal == pytest.approx(60)


def domains(pair: Pair, tasks: dict[str, Any] | None = None) -> Domains:
    source, target = pair[0]["streets_sim"], pair[0]["streets_real"]
    tasks = tasks or build_tasks([source], ["semseg", "depth"])
    return Domains(source, target, agree(source, target, tasks), tasks, tuple(tasks), tuple(tasks))


def adapted(path: Path, seed: int = 0, **changes: Any) -> Trial:
    return Trial("m:adapted", seed, path, settings(**changes))


def test_notes_tell_of_each_methods_cameras(pair: Pair, tmp_path: Path) -> None:
    trials = [adapted(tmp_path), Trial("n:adapted", 0, tmp_path, settings(match_camera=False))]
    lines = about_adapted(trials, domains(pair))
    assert len(lines) == 1
    assert lines[0].startswith("depth: m adapted learns the distances of streets_sim times 3.000, the ratio of")
    pair[1]["streets_real"] = Pack((96, 128))
    assert about_adapted(trials, domains(pair)) == [
        "depth: no focal length is known of streets_real, so distances stay."
    ]


def test_notes_tell_which_classes_weighed_more_at_the_end(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt_notes.Trial, "done", property(lambda _: True))
    both = domains(pair, {"semseg": make_task("semseg", "classes", num_classes=3, classes=["road", "tree", "car"])})
    trials = []
    for seed, last in enumerate(([1.0, 2.0, 1.0], [1.0, 1.0, 1.0])):
        path = tmp_path / str(seed)
        path.mkdir()
        records = [
            {"step": 11, "split": "adversarial", "class_weights": {"semseg": [3.0, 3.0, 3.0]}},
            {"step": 21, "split": "adversarial", "class_weights": {"semseg": last}},
            {"step": 22, "split": "val"},
        ]
        (path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        trials.append(adapted(path, seed))
    assert about_adapted([*trials, Trial("m:oracle", 0, tmp_path, settings())], both) == [
        "semseg: classes that m weighed more, since streets_real seems to have more of them than streets_sim "
        "(class_ratios): tree 1.50."
    ]
    assert about_adapted(trials[1:], both)[0].endswith("(class_ratios): none.")
    (tmp_path / "0" / "metrics.jsonl").write_text("")
    assert "the steps were too few to tell (wanted 25 and" in about_adapted(trials[:1], both)[0]
    assert about_adapted([adapted(tmp_path, class_ratios=False)], both) == []


def test_notes_tell_how_sure_the_teacher_was_at_the_end(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt_notes.Trial, "done", property(lambda _: True))
    trials = []
    for seed, weight in enumerate((0.25, 0.75)):
        path = tmp_path / str(seed)
        path.mkdir()
        rows = [{"semseg": {"weight": w, "loss": 1.0}} for w in (0.1, weight)]
        records = [*({"step": i, "split": "self-training", "pseudo": row} for i, row in enumerate(rows)), {"step": 9}]
        (path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        trials.append(adapted(path, seed, strategy="self-training", match_camera=False))
    assert about_adapted(trials, domains(pair)) == [
        "semseg: m's teacher was sure of 50 % of the pixels of streets_real at the end; by that share its labels weigh "
        "(strategy)."
    ]


def test_training_learns_and_chooses_by_scaled_distances_and_measures_as_they_are(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "distance_factor", lambda *_: 2.0)
    changes = {"tasks": ["depth"], "scale": [1.0, 1.0], "flip": False}
    trainer = build_trainer(tiny.other(tmp_path, **changes), quiet=True)
    monkeypatch.undo()
    plain = build_trainer(tiny.other(tmp_path, **changes), quiet=True)
    for index in (0, 5):
        depth = [each.data.train[index]["targets"]["depth"] for each in (trainer, plain)]
        assert depth[1].any()
        assert torch.equal(depth[0], 2 * depth[1])
    assert trainer.data.distance_factors == {"tiny": 2.0}
    assert plain.data.distance_factors == {}
    chosen_by, measured = (trainer._evaluate(None, trainer.tasks, s)["tiny"].metrics["depth"] for s in (True, False))
    assert measured == plain._evaluate(None, plain.tasks)["tiny"].metrics["depth"]
    assert chosen_by["rmse/pixel"] > 1.2 * measured["rmse/pixel"], "of labels twice as far, by the same fresh network"
