"""A run on data with other classes: shared classes only, merged predictions, what is told, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from vtadapt.checked import parse_json
from vtadapt.data.prepare.prepare import PrepareOptions
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate, evaluate_run
from vtadapt.workflows.evaluate.other_data import NONE, Translated, label_maps_of, tell_classes, view_of
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.run.settings import TrainSettings


class Painted(nn.Module):
    """Predicts the class whose number is the image's red value."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, image: Tensor, tasks: Any = None) -> dict[str, Tensor]:
        del tasks
        ids = (image[:, 0] * 255).round().long()
        return {"semseg": 5.0 * nn.functional.one_hot(ids, self.classes).movedim(-1, 1).float()}


def loaded(data: str, **changes: Any) -> Loaded:
    """A run on a shipped data set that predicts what it is painted."""
    recipe = load_recipe(data)
    tasks = build_tasks([recipe], ["semseg"])
    settings = TrainSettings(data=data, accelerator="cpu", precision="32-true", **changes)
    label_sets = {"semseg": recipe.tasks["semseg"].label_set}
    return Loaded(Path("runs/x"), settings, tasks, label_sets, Painted(tasks["semseg"].channels), (2, 2))


def batch_of(run: Loaded, data: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """One row of pixels: (what the run predicts, what the data set says)."""
    names = load_recipe(data).tasks["semseg"].classes
    predicted = torch.tensor([run.tasks["semseg"].classes.index(p) for p, _ in pairs]).float() / 255
    truth = torch.tensor([names.index(t) for _, t in pairs])
    mapped = view_of(run, load_recipe(data)).label_maps["semseg"]
    image = predicted.view(1, 1, 1, -1).expand(1, 3, 1, -1)
    return {"image": image, "targets": {"semseg": torch.tensor(mapped)[truth].view(1, 1, -1)}}


def measured(run: Loaded, data: str, pairs: list[tuple[str, str]]) -> dict[str, float]:
    view = view_of(run, load_recipe(data))
    fabric = open_fabric(run.settings)
    return evaluate(view.model, [batch_of(run, data, pairs)], view.tasks, fabric).metrics["semseg"]


def test_classes_that_the_map_merges_are_merged_in_the_prediction() -> None:
    run = loaded("streets_sim")
    found = measured(
        run,
        "camvid",
        [
            *(("traffic light", "sign"), ("traffic sign", "sign"), ("wall", "building"), ("bus", "car")),
            *(("road", "road"), ("motorcycle", "road"), ("road", "car")),
        ],
    )
    ious = {"sign": 1.0, "building": 1.0, "road": 1 / 3, "car": 1 / 2}
    assert {k: v for k, v in found.items() if k.startswith("iou/")} == pytest.approx(
        {f"iou/{name}": value for name, value in ious.items()}
    )
    assert found["miou/dataset"] == pytest.approx(sum(ious.values()) / 4)
    assert found["pixacc/dataset"] == pytest.approx(5 / 7)
    about = view_of(run, load_recipe("camvid")).classes["semseg"]
    assert about["label_set"] == "camvid11"
    assert (about["only_run"], about["only_data"]) == (["motorcycle"], [])
    assert about["merged"] == {
        "building": ["building", "wall"],
        "sign": ["traffic light", "traffic sign"],
        "bicyclist": ["rider", "bicycle"],
        "car": ["car", "bus"],
    }
    assert about["shared"] == list(load_recipe("camvid").tasks["semseg"].classes)
    assert NONE not in about["shared"]


def test_the_other_way_round_the_truth_is_merged() -> None:
    run = loaded("camvid")
    view = view_of(run, load_recipe("streets_real"))
    assert view.model is run.model, "its predictions are in the shared classes already"
    assert (view.classes["semseg"]["only_run"], view.classes["semseg"]["only_data"]) == ([], ["motorcycle"])
    found = measured(
        run, "streets_real", [("sign", "traffic light"), ("car", "bus"), ("tree", "motorcycle"), ("sky", "road")]
    )
    assert found["miou/dataset"] == pytest.approx((1 + 1 + 0) / 3)  # sign, car, road; the motorcycle is void
    assert found["pixacc/dataset"] == pytest.approx(2 / 3)


def test_the_classes_of_the_other_set_alone_are_left_out() -> None:
    run = loaded("synthia")
    found = measured(run, "cityscapes", [("vegetation", "terrain"), ("car", "truck"), ("car", "car")])
    assert found["miou/dataset"] == found["pixacc/dataset"] == 1.0
    about = view_of(run, load_recipe("cityscapes")).classes["semseg"]
    assert (len(about["shared"]), about["only_data"]) == (16, ["terrain", "truck", "train"])


def test_the_same_data_are_seen_as_they_are() -> None:
    run = loaded("streets_sim")
    view = view_of(run, load_recipe("streets_sim"))
    assert (view.model, view.tasks, view.label_maps, view.classes) == (run.model, run.tasks, {}, {})


def test_a_run_on_shared_classes_is_at_home_in_both_sets() -> None:
    """As vtadapt adapt trains it: on CamVid's names, reading the streets."""
    run = loaded("camvid", label_space="streets_sim>camvid")
    run.settings = run.settings.model_copy(update={"data": "streets_sim"})
    assert view_of(run, load_recipe("camvid")).label_maps == {}
    ids = view_of(run, load_recipe("streets_sim")).label_maps["semseg"]
    assert ids == [3, 4, 1, 1, 7, 2, 6, 6, 5, 0, 9, 10, 8, 8, 255, 10]
    # Its classes are CamVid's, whose recipe has the map to others.
    about = view_of(run, load_recipe("cityscapes")).classes["semseg"]
    assert "terrain" in about["only_data"] or "motorcycle" in about["only_data"]


def test_a_translated_prediction() -> None:
    model = Translated(Painted(3), {"semseg": [1, 0, 1]}, {"semseg": 2})
    image = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3) / 255
    assert model(image)["semseg"].argmax(1).flatten().tolist() == [1, 0, 1]


def test_what_is_told() -> None:
    about = {"shared": ["a", "b", "c"], "only_run": ["x"], "only_data": ["y", "z"], "merged": {"a": ["p", "q"]}}
    line = tell_classes("other", {"semseg": {**about, "absent": ["b"]}})[0]
    assert line == (
        "other semseg: 2 classes that both have: a, c; a is p and q; the run alone has x; other alone has y, z; "
        "no pixel in these images of b"
    )


def test_no_map_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no class map between label set 'nyu13' of 'rooms' and 'camvid11'"
    ) as caught:
        view_of(loaded("rooms"), load_recipe("camvid"))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="recipe 'camvid' has no class map to label set 'nyu13'"):
        label_maps_of(loaded("rooms"), load_recipe("camvid"))


def test_a_task_without_a_map_is_left_out_where_another_remains() -> None:
    run, streets = loaded("rooms"), load_recipe("streets_sim")
    both = build_tasks([load_recipe("rooms")], ["semseg", "depth"])
    view = view_of(Loaded(run.path, run.settings, both, {**run.label_sets, "depth": ""}, run.model, run.size), streets)
    assert list(view.tasks) == ["depth"]
    assert view.tasks["depth"].headline == "rmse/pixel@0..80m"
    assert list(view.left_out) == ["semseg"]
    assert "no class map between label set 'nyu13' of 'rooms' and 'cityscapes16'" in view.left_out["semseg"]


def garden(folder: Path, **depth: Any) -> Path:
    """Two photographs of a data set with classes of its own, prepared; returns the folder of the packs."""
    source, data = folder / "source", folder / "data"
    for kind in ("images", "labels", "depth"):
        (source / kind).mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        photo = random.integers(0, 255, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(photo).save(source / "images" / f"{name}.png")
        labels = random.integers(0, 3, (48, 48), dtype=np.uint8)
        Image.fromarray(labels).save(source / "labels" / f"{name}.png")
        Image.fromarray(random.integers(1, 4000, (48, 48)).astype(np.uint16)).save(source / "depth" / f"{name}.png")
    recipe = {
        "name": "garden",
        "title": "x",
        "licence": "x",
        "reader": "folder",
        "splits": ["val"],
        "tasks": {
            "semseg": {"kind": "classes", "classes": ["seat", "screen", "gnome", "stool"], "label_set": "garden4"},
            "depth": {"kind": "regression", "units": "m", **depth},
        },
        "class_maps": {"nyu13": {"seat": "chair", "screen": "tv", "gnome": None, "stool": "chair"}},
        "options": {
            "image": "images/*.png",
            "labels": {
                "semseg": {"files": "labels/{path}.png"},
                "depth": {"files": "depth/{path}.png", "factor": 0.001},
            },
            "split": {"fractions": {"val": 1.0}},
        },
    }
    path = folder / "garden.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    prepare_data(str(path), source, data, PrepareOptions(), quiet=True)
    return data


def test_the_command_on_other_data(tiny: Any, tmp_path: Path, cli: Callable[..., Any]) -> None:
    run = Path(shutil.copytree(tiny.run, tmp_path / "run"))
    ran = cli("eval", run, "--data", "garden", "--data-dir", garden(tmp_path, max_value=3.0), "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    about = result["classes"]["garden"]["semseg"]
    assert (about["shared"], about["only_data"], about["absent"]) == (["chair", "tv"], ["gnome"], [])
    assert set(about["only_run"]) == set(load_recipe("rooms").tasks["semseg"].classes) - {"chair", "tv"}
    assert about["merged"] == {"chair": ["seat", "stool"]}
    semseg, depth = (result["metrics"]["garden"][task] for task in ("semseg", "depth"))
    assert semseg["miou/dataset"] == pytest.approx((semseg["iou/chair"] + semseg["iou/tv"]) / 2)
    assert "garden semseg: 2 classes that both have: chair, tv; chair is seat and stool; the run alone has" in ran.err
    assert "rmse/pixel@0..3m" in depth
    assert parse_json((run / "eval-val-garden.json").read_bytes()) == result
    assert Path(result["panels"][0]).is_file()


def test_other_units_are_refused(tiny: Any, tmp_path: Path) -> None:
    data = garden(tmp_path, units="inverse metres")
    said = "task 'depth': units is 'm' in 'tiny-0001' and 'inverse metres' in 'garden'"
    with pytest.raises(ConfigError, match=said) as caught:
        evaluate_run(tiny.run, EvalOptions(data="garden", data_dir=data, folder=tmp_path))
    assert "\n" not in str(caught.value)
