"""Training: what a run leaves behind, every variant for a few steps, missing labels, a loss that is no number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from vtadapt.checked import parse_json
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import ConfigError, DataError, UsageError, VtadaptError
from vtadapt.tasks import Task
from vtadapt.tasks.losses import Loss
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.train.train import train

TASKS = ["semseg", "depth", "normals", "edges"]


def records(run: Path, split: str) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["split"] == split]


def test_a_run_holds_these_files_and_no_others(tiny: Any) -> None:
    files = sorted(p.relative_to(tiny.run).as_posix() for p in tiny.run.rglob("*") if p.is_file())
    events = [f for f in files if f.startswith("tensorboard/events.out.tfevents.")]
    assert len(events) == 1
    assert sorted(set(files) - set(events)) == [
        ".lock",
        "checkpoints/best/model.safetensors",
        "checkpoints/last/state.safetensors",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "packs.json",
        "panel-tiny.png",
        "results.json",
        "settings.yaml",
    ]
    assert tiny.run.name == "tiny-0001"


def test_saved_settings_and_results_are_what_ran(tiny: Any) -> None:
    assert load(tiny.run / "settings.yaml") == tiny.settings
    assert parse_json((tiny.run / "results.json").read_bytes()) == tiny.results
    assert list(tiny.results["metrics"]) == ["tiny"]
    assert list(tiny.results["metrics"]["tiny"]) == TASKS
    assert tiny.results["steps"] == 6
    assert all(math.isfinite(v) for metrics in tiny.results["metrics"]["tiny"].values() for v in metrics.values())


def test_metrics_are_logged_at_every_step_and_epoch(tiny: Any) -> None:
    steps = records(tiny.run, "train")
    assert [r["step"] for r in steps] == [1, 2, 3, 4, 5, 6]
    assert [r["epoch"] for r in steps] == [0, 0, 0, 1, 1, 1]
    assert all(list(r["loss"]) == TASKS and all(map(math.isfinite, r["loss"].values())) for r in steps)
    assert [(r["step"], r["epoch"]) for r in records(tiny.run, "val")] == [(3, 0), (6, 1)]


def test_tensorboard_has_the_same_numbers(tiny: Any) -> None:
    board = EventAccumulator(str(tiny.run / "tensorboard"))
    board.Reload()
    shown = {e.step: e.value for e in board.Scalars("loss/depth")}
    assert shown == pytest.approx({r["step"]: r["loss"]["depth"] for r in records(tiny.run, "train")})
    assert len(board.Scalars("tiny/semseg/miou/dataset")) == 2


def test_the_model_file_holds_what_was_trained(tiny: Any) -> None:
    loaded = load_run(tiny.run)
    trained = {name for name, p in loaded.model.named_parameters() if p.requires_grad}
    assert set(load_file(tiny.run / "model.safetensors")) == trained | {"affinity"}
    assert not any(name.startswith("backbone.") for name in trained)
    assert loaded.tasks == build_tasks([find_recipe("tiny", tiny.data_dir)], None)


VARIANTS: list[dict[str, Any]] = [
    {"decoder_sharing": "per_task", "train_blocks": "full", "embedding_dim": 32},
    {"decoder": "swin", "train_blocks": "all", "tasks": ["depth", "edges"]},
    {"decoder": "swin", "decoder_sharing": "per_task", "reduction": 8, "tasks": ["normals", "depth"]},
    {"method": "linear"},
    {"size": (32, 64), "loss_weights": {"depth": 3.0}, "flip": False, "colour_jitter": 0.0, "scale": (1.0, 1.0)},
    {"workers": 1, "cache": False, "tasks": ["semseg"]},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda c: "-".join(map(str, c.values())))
def test_every_variant_trains(tiny: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = tiny.other(tmp_path, epochs=1, **changes)
    results = train(settings, quiet=True)
    run = Path(results["run"])
    assert all(math.isfinite(v) for r in records(run, "train") for v in r["loss"].values())
    loaded = load_run(run)
    assert list(loaded.tasks) == list(settings.tasks or TASKS)
    assert list(results["metrics"]["tiny"]) == list(loaded.tasks)
    before = dict(build_model(settings, loaded.tasks).named_parameters())
    after = dict(loaded.model.named_parameters())
    for name, parameter in before.items():
        if not parameter.requires_grad:
            assert torch.equal(parameter, after[name]), f"{name} is frozen and changed"
        else:
            assert not torch.equal(parameter, after[name]), f"{name} is trained and did not move"
    moved = {name.split(".")[0] for name, p in before.items() if p.requires_grad}
    assert ("backbone" in moved) == (changes.get("train_blocks") in ("full", "all"))


def test_two_sets_that_lack_each_others_labels(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.other(tmp_path, data="look+shape", batch_size=2, epochs=1)
    results = train(settings, quiet=True)
    assert {name: list(tasks) for name, tasks in results["metrics"].items()} == {
        "look": ["semseg", "edges"],
        "shape": ["depth", "normals"],
    }
    run = Path(results["run"])
    assert run.name == "look+shape-0001"
    assert (run / "panel-look.png").is_file()
    assert (run / "panel-shape.png").is_file()
    seen = [set(r["loss"]) for r in records(run, "train")]
    assert set().union(*seen) == set(TASKS)


def test_a_batch_without_any_label_of_a_task_is_no_step_for_it(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.other(tmp_path, data="look+shape", batch_size=1, epochs=1, val_images=1)
    seen = [set(r["loss"]) for r in records(Path(train(settings, quiet=True)["run"]), "train")]
    assert {frozenset(s) for s in seen} == {frozenset({"semseg", "edges"}), frozenset({"depth", "normals"})}


def test_what_cannot_be_trained(tiny: Any, tmp_path: Path) -> None:
    def refused(kind: type[VtadaptError], match: str, **changes: Any) -> None:
        with pytest.raises(kind, match=match) as caught:
            train(tiny.other(tmp_path / "runs", **changes), quiet=True)
        assert "\n" not in str(caught.value)

    refused(UsageError, r"unknown task 'dept' for 'tiny'.*Did you mean 'depth'", tasks=["dept"])
    refused(UsageError, "unknown task 'depth' for 'look'; it has semseg, edges", data="look", tasks=["depth"])
    refused(ConfigError, "no task given", tasks=[])
    refused(ConfigError, "loss weight for 'dept', which is not trained", loss_weights={"dept": 1.0})
    refused(ConfigError, "'tiny' is named twice", data="tiny+tiny")
    refused(
        ConfigError,
        r"12 training images are fewer than one batch \(16 x 1 processes\); lower --batch-size",
        batch_size=16,
    )
    refused(ConfigError, "accelerator 'gpx', 1 devices.*not possible on this machine", accelerator="gpx")
    refused(ConfigError, "unknown backbone 'swin_tini'.*Did you mean", backbone="swin_tini")
    refused(ConfigError, "no weights at", weights="none.safetensors")
    refused(UsageError, "unknown data set 'tinny'", data="tinny")
    refused(DataError, "prepare it with: vtadapt prepare-data camvid --source PATH", data="camvid")
    assert not (tmp_path / "runs").exists(), "a run that cannot begin leaves no folder"


def test_a_task_that_no_image_has(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Recipe.model_validate_json(find_recipe("tiny", tiny.data_dir).model_dump_json())
    monkeypatch.setattr(
        "vtadapt.workflows.run.data.data_sets._prepared_only", lambda *_: whole.model_copy(update={"name": "look"})
    )
    with pytest.raises(DataError, match="no training image of 'look' has a label for task 'depth'; leave it out"):
        train(tiny.other(tmp_path, data="look", tasks=["semseg", "depth"]), quiet=True)


def test_a_loss_that_is_no_number_names_its_task(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Task.loss_fn

    def broken(self: Task, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Loss:
        loss = whole(self, logits, target, class_weights)
        return Loss(loss.value * math.nan, loss.valid) if self.name == "normals" else loss

    monkeypatch.setattr(Task, "loss_fn", broken)
    with pytest.raises(
        VtadaptError, match="loss of task 'normals' is nan at step 1; lower --lr .* images room-"
    ) as caught:
        train(tiny.other(tmp_path), quiet=True)
    assert caught.value.exit_code == 5


def test_a_pack_keeps_its_recipe(tiny: Any) -> None:
    assert list(find_recipe("look", tiny.data_dir).tasks) == ["semseg", "edges"]
    with pytest.raises(UsageError, match="unknown data set 'looks'"):
        find_recipe("looks", tiny.data_dir)
    with pytest.raises(UsageError, match="does not exist"):
        find_recipe("../look", tiny.data_dir)


def test_another_version_of_the_recipe_is_told(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "look.yaml"
    recipe = (tiny.data_dir.parent / "look.yaml").read_text(encoding="utf-8")
    changed.write_text(recipe.replace("title: ", "title: New "), encoding="utf-8")
    assert not find_recipe(str(changed), tiny.data_dir).title.startswith("New")
    assert f"vtadapt prepare-data {changed} --force" in capsys.readouterr().err


def test_a_users_pack_under_a_shipped_name_is_not_to_be_replaced(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = parse_json((tiny.data_dir / "look" / "manifest.json").read_bytes())
    manifest["recipe"]["name"] = manifest["name"] = "camvid"
    (tmp_path / "camvid").mkdir()
    (tmp_path / "camvid" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert list(find_recipe("camvid", tmp_path).tasks) == ["semseg", "edges"]
    told = capsys.readouterr().err
    assert manifest["recipe"]["title"] in told
    assert "--data-dir" in told
    assert "--force" not in told


def test_bf16_runs_where_it_is_asked_for(tiny: Any) -> None:
    fabric = open_fabric(TrainSettings(data="tiny", accelerator="cpu", precision="bf16-mixed"))
    model = build_model(tiny.settings, {"depth": build_tasks([find_recipe("tiny", tiny.data_dir)], None)["depth"]})
    with fabric.autocast():
        logits = model(torch.rand(1, 3, 32, 32))
    assert logits["depth"].dtype == torch.bfloat16
