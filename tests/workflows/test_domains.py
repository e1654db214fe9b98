"""Two cameras and two lists of classes brought together: distances of the other camera, notes under the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vtadapt.data.camera import Intrinsics
from vtadapt.data.recipe import Recipe, load_recipe
from vtadapt.data.shared_classes import agree
from vtadapt.tasks import make_task
from vtadapt.workflows import adapt_notes, loaders
from vtadapt.workflows.adapt_notes import about_domains, about_weights
from vtadapt.workflows.compare_grid import Cell
from vtadapt.workflows.domains import Domains
from vtadapt.workflows.loaders import distance_factor
from vtadapt.workflows.session import build_tasks
from vtadapt.workflows.settings import TrainSettings


class Pack:
    """As much of a pack as is asked for: the size of its images."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.stored = size

    def size(self, index: int) -> tuple[int, int]:
        del index
        return self.stored


def camera(focal: float, height: int, width: int) -> Intrinsics:
    return Intrinsics(fx=focal, fy=focal, cx=width / 2, cy=height / 2, width=width, height=height)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Recipes of a source (focal length 100 at 96x192) and a target (150 there), stored at 48x96 and 96x192."""
    source, target = load_recipe("streets_sim"), load_recipe("streets_real")
    recipes = {
        "streets_sim": source.model_copy(update={"intrinsics": camera(100, 96, 192)}),
        "streets_real": target.model_copy(update={"intrinsics": camera(150, 96, 192)}),
    }
    packs = {"streets_sim": Pack((48, 96)), "streets_real": Pack((96, 192))}
    monkeypatch.setattr(loaders, "find_recipe", lambda name, _: recipes[name])
    monkeypatch.setattr(loaders, "open_reader", lambda _, name, __: packs[name])
    return recipes


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"data": "streets_sim", "target": "streets_real", "tasks": ["semseg", "depth"], **changes})


def test_distances_are_those_of_the_targets_camera_at_the_stored_sizes(pair: dict[str, Any]) -> None:
    assert distance_factor(settings(), pair["streets_sim"]) == pytest.approx(150 / 50)
    assert distance_factor(settings(target=None), pair["streets_sim"]) == 1
    assert distance_factor(settings(match_camera=False), pair["streets_sim"]) == 1
    pair["streets_real"] = pair["streets_real"].model_copy(update={"intrinsics": None})
    assert distance_factor(settings(), pair["streets_sim"]) == 1


def test_pixels_that_are_not_square_count_by_their_geometric_mean() -> None:
    assert Intrinsics(fx=40, fy=90, cx=0, cy=0, width=4, height=4).focal == pytest.approx(60)


def domains(pair: dict[str, Recipe]) -> Domains:
    source, target = pair["streets_sim"], pair["streets_real"]
    tasks = build_tasks([source], ["semseg", "depth"])
    return Domains(source, target, agree(source, target, tasks), tasks, ("semseg", "depth"), ("semseg", "depth"))


def test_notes_tell_of_the_cameras(pair: dict[str, Any]) -> None:
    lines = about_domains(settings(), domains(pair))
    assert any("depth: adapted learns the distances of streets_sim times 3.000" in line for line in lines)
    assert not any("times" in line for line in about_domains(settings(match_camera=False), domains(pair)))
    pair["streets_real"] = pair["streets_real"].model_copy(update={"intrinsics": None})
    lines = about_domains(settings(), domains(pair))
    assert "depth: no focal length is known of streets_real, so distances stay." in lines


def test_notes_tell_which_classes_weighed_more_at_the_end(
    pair: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt_notes.Cell, "done", property(lambda _: True))
    both = domains(pair)
    tasks = {"semseg": make_task("semseg", "classes", num_classes=3, classes=["road", "tree", "car"])}
    both = Domains(both.source, both.target, both.agreed, tasks, ("semseg",), ("semseg",))
    cells = []
    for seed, last in enumerate(([1.0, 2.0, 1.0], [1.0, 1.0, 1.0])):
        path = tmp_path / str(seed)
        path.mkdir()
        records = [
            {"step": 11, "split": "adversarial", "class_weights": {"semseg": [3.0, 3.0, 3.0]}},
            {"step": 21, "split": "adversarial", "class_weights": {"semseg": last}},
            {"step": 22, "split": "val"},
        ]
        (path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        cells.append(Cell("m:adapted", seed, path, settings()))
    assert about_weights([*cells, Cell("m:oracle", 0, tmp_path, settings())], both) == [
        "semseg: classes that m weighed more, since streets_real seems to have more of them than streets_sim "
        "(class_ratios): tree 1.50."
    ]
    assert about_weights(cells[1:], both)[0].endswith("(class_ratios): none.")
