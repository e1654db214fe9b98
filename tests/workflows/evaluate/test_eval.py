"""Evaluation of a finished run, the ledger of its parameters, and runs that cannot be loaded."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.edited import edit
from vtadapt.checked import parse_json
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, DataError, UsageError, VtadaptError
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run, score
from vtadapt.workflows.evaluate.other_data import label_maps_of
from vtadapt.workflows.info import info_of_run, info_of_settings
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.load import load_run


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    """A copy of the tiny run, to be changed."""
    return Path(shutil.copytree(tiny.run, tmp_path / "copy"))


def test_the_same_numbers_as_at_the_end_of_training(tiny: Any, run: Path) -> None:
    results = evaluate_run(run)
    assert results["metrics"] == tiny.results["metrics"]
    assert results["images"] == {"tiny": 6}
    assert parse_json((run / "eval-val.json").read_bytes()) == results
    assert results["panels"] == [str(run / "panel-tiny-val.png")]
    with Image.open(results["panels"][0]) as panel:
        assert panel.width > 200


def test_other_working_sizes(run: Path) -> None:
    stored = evaluate_run(run)
    assert stored["sizes"] == {"tiny": [{"size": [48, 48], "run_size": [48, 48], "tiles": 1}]}
    same = evaluate_run(run, EvalOptions(size="48x48", tile="128"))
    assert same["metrics"] == stored["metrics"]
    larger = evaluate_run(run, EvalOptions(size="200x160", limit=2))
    tiled = evaluate_run(run, EvalOptions(size="200x160", tile="128", limit=2))
    assert larger["sizes"] == {"tiny": [{"size": [48, 48], "run_size": [200, 160], "tiles": 1}]}
    assert tiled["sizes"] == {"tiny": [{"size": [48, 48], "run_size": [200, 160], "tiles": 4}]}
    depths = [found["metrics"]["tiny"]["depth"]["rmse/pixel"] for found in (larger, tiled)]
    assert depths[0] != depths[1]
    assert depths[0] == pytest.approx(depths[1], rel=0.05)
    assert larger["counts"]["tiny"]["depth"]["pixels"] == 2 * 48 * 48
    names = ("-at-48x48-tiles-128", "-2images-at-200x160", "-2images-at-200x160-tiles-128", "")
    assert all((run / f"eval-val{name}.json").is_file() for name in names)
    assert all((run / f"panel-tiny-val{name}.png").is_file() for name in names)


def test_another_split_and_other_data(run: Path) -> None:
    train = evaluate_run(run, EvalOptions(split="train", limit=5))
    assert train["images"] == {"tiny": 5}
    other = evaluate_run(run, EvalOptions(data="look+shape", limit=2))
    assert {name: list(tasks) for name, tasks in other["metrics"].items()} == {
        "look": ["semseg", "edges"],
        "shape": ["depth", "normals"],
    }
    assert (run / "eval-val-look+shape-2images.json").is_file()
    with pytest.raises(UsageError, match="no split 'vall'.*Did you mean 'val'"):
        evaluate_run(run, EvalOptions(split="vall"))
    with pytest.raises(DataError, match="vtadapt prepare-data camvid --source PATH"):
        evaluate_run(run, EvalOptions(data="camvid"))


def test_classes_of_another_set_are_mapped_or_refused(tiny: Any) -> None:
    loaded = load_run(tiny.run)
    assert loaded.label_sets["semseg"] == "nyu13"
    rooms = load_recipe("rooms")
    assert label_maps_of(loaded, rooms) == {}
    semseg = rooms.tasks["semseg"]
    turned = semseg.model_copy(update={"classes": semseg.classes[::-1]})
    maps = label_maps_of(loaded, rooms.model_copy(update={"tasks": {"semseg": turned}}))
    assert maps == {"semseg": list(range(12, -1, -1))}
    with pytest.raises(ConfigError, match="recipe 'camvid' has no class map to label set 'nyu13'"):
        label_maps_of(loaded, load_recipe("camvid"))


def test_no_label_of_any_of_the_tasks(tiny: Any, tmp_path: Path) -> None:
    from vtadapt.workflows.train.train import train

    results = train(tiny.other(tmp_path, data="shape", epochs=1, val_images=1), quiet=True)
    with pytest.raises(DataError, match="no image in .*look.* has a label of depth, normals"):
        evaluate_run(Path(results["run"]), EvalOptions(data="look"))


def test_score_counts_relative_changes_alike() -> None:
    tasks = build_tasks([load_recipe("rooms")], ["semseg", "depth"])
    low, high = tasks["depth"].headline, tasks["semseg"].headline
    start = {"rooms": {"semseg": {high: 0.2}, "depth": {low: 0.8}}}
    better = [
        {"rooms": {"semseg": {high: 0.22}, "depth": {low: 0.8}}},
        {"rooms": {"semseg": {high: 0.2}, "depth": {low: 0.8 / 1.1}}},
    ]
    gains = [score(results, tasks) - score(start, tasks) for results in better]
    assert gains == pytest.approx([math.log(1.1) / 2] * 2)


def test_the_ledger_sums_to_the_total(tiny: Any) -> None:
    info = info_of_run(tiny.run)
    model = load_run(tiny.run).model
    rows = info["components"]
    assert sum(row["parameters"] for row in rows) == info["parameters"]["total"]
    assert info["parameters"]["total"] == sum(p.numel() for p in model.parameters()) == tiny.results["total_parameters"]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert info["parameters"]["trained"] == trained == tiny.results["trained_parameters"]
    assert sum(row["parameters"] for row in rows if row["trained"]) == trained
    assert info["bytes"] == {
        "weights": 4 * info["parameters"]["total"],
        "gradients": 4 * trained,
        "adamw": 8 * trained,
    }


def test_info_of_what_would_be_built(tiny: Any) -> None:
    small, large = (info_of_settings(tiny.settings, size) for size in ((48, 48), (96, 96)))
    assert small["components"] == info_of_run(tiny.run)["components"]
    assert large["forward_gflops"] > small["forward_gflops"] > 0
    linear = info_of_settings(tiny.other(Path("none"), method="linear", tasks=["depth"]))
    assert [(row["component"], row["trained"]) for row in linear["components"]] == [
        ("backbone", False),
        ("heads", True),
    ]


def _rename_tensor(run: Path) -> None:
    tensors, _ = checkpoint.read_tensors(run / "model.safetensors")
    tensors["heads.heads.tv.weight"] = tensors.pop("heads.heads.depth.weight")
    checkpoint.write_tensors(run / "model.safetensors", tensors)


def _reshape_tensor(run: Path) -> None:
    tensors, _ = checkpoint.read_tensors(run / "model.safetensors")
    tensors["embedding.weight"] = torch.zeros(4, 7)
    checkpoint.write_tensors(run / "model.safetensors", tensors)


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda run: edit(run / name, old, new)


def _cut(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:100]) and None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_rename_tensor, r"another architecture: heads.heads.depth.weight found nothing, wanted \("),
        (_reshape_tensor, r"another architecture: embedding.weight found \(4, 7\), wanted"),
        (_edit("settings.yaml", "reduction: 4", "reduction: 8"), "another architecture: adapters.*bottleneck"),
        (_edit("settings.yaml", "seed: 0", "seed: 1"), r"backbone 'swin_lite' \(random\) is not the one"),
        (_edit("settings.yaml", "epochs: 2", "epochs: two"), "settings.yaml.*epochs = 'two'"),
        (_edit("settings.yaml", "epochs: 2", "epochs: ["), "cannot read settings"),
        (_edit("config.json", '"format": 1', '"format": 7'), "found format 7, wanted 1"),
        (_edit("config.json", '"kind": "boundary"', '"kind": "edge"'), "unknown kind 'edge'"),
        (_edit("config.json", '"tasks"', '"task"'), r"missing or broken entry \('tasks'\)"),
        (_edit("config.json", '"sha256"', '"sha"'), "missing or broken entry"),
        (_cut("config.json"), "cannot read .*config.json"),
        (_cut("model.safetensors"), "broken checkpoint .*model.safetensors"),
        (lambda run: (run / "model.safetensors").unlink(), "no checkpoint at .*model.safetensors"),
        (lambda run: (run / "settings.yaml").unlink(), "cannot read settings .*settings.yaml"),
    ],
)
def test_a_run_that_cannot_be_loaded(run: Path, change: Callable[[Path], None], said: str) -> None:
    change(run)
    with pytest.raises(ConfigError, match=said) as caught:
        load_run(run)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, VtadaptError)
    assert caught.value.exit_code == 4
