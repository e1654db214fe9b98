"""A run that starts from another: what is kept, what starts anew, what stays bit for bit, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.workflows.train.cutting import CutError, assert_same, cut
from tests.workflows.train.methods.conftest import changes_of, small_encoder
from vtadapt.data.pack.pack import PackReader
from vtadapt.data.prepare.prepare import PrepareOptions
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, VtadaptError
from vtadapt.workflows.evaluate.evaluate import evaluate_run
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.train.held_weights import HeldWeights
from vtadapt.workflows.train.old_tasks import match_tasks
from vtadapt.workflows.train.plan import build_trainer, plan_run
from vtadapt.workflows.train.starting_run import open_start
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train


def transfer(tiny: Any, run_dir: Path, source: Path, **changes: Any) -> Any:
    """Settings of a run on the tiny pack that starts from another; normals are held."""
    own = load(source / "settings.yaml").model_dump()
    options = {"data": "tiny", "data_dir": tiny.data_dir, "run_dir": run_dir, "start": source, "held": ["normals"]}
    options |= {"affinity": "start", "tasks": None, "epochs": 1, "steps": None, "weight_decay": 0.5}
    return type(tiny.settings)(**{**own, **options, **changes})


def weights(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(run / "model.safetensors")[0]


@pytest.fixture(scope="module")
def source(runs: Callable[..., Path]) -> Path:
    """A run with all tasks and a learned A."""
    return runs()


@pytest.fixture(scope="module")
def moved(tiny: Any, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transfer of it, finished."""
    settings = transfer(tiny, tmp_path_factory.mktemp("moved"), source, epochs=2)
    return Path(train(settings, quiet=True)["run"])


def test_what_is_held_stays_and_the_rest_moves(source: Path, moved: Path) -> None:
    before, after = weights(source), weights(moved)
    assert before.keys() == after.keys()
    same = {key for key in before if torch.equal(before[key], after[key])}
    assert same == {"affinity", "heads.heads.normals.weight", "heads.heads.normals.bias"}
    rows = [torch.equal(*pair) for pair in zip(before["embedding.weight"], after["embedding.weight"], strict=True)]
    assert rows == [name == "normals" for name in load_run(source).tasks]
    assert (before["affinity"] - torch.eye(4)).abs().max() > 0


def test_z_of_the_held_task_is_its_column_of_a(source: Path, moved: Path) -> None:
    """By hand, from the files: column n of the source's A, normalised, applied to the embeddings trained here."""
    column = weights(source)["affinity"][:, 2].double()
    wanted = (column[:, None] * weights(moved)["embedding.weight"].double()).sum(0) / column.sum()
    model: Any = load_run(moved).model
    assert model.tasks[2] == "normals"
    assert torch.allclose(model.embedding(model.affinity)[2].double(), wanted, atol=1e-6)


def test_uniform_and_identity(tiny: Any, tmp_path: Path, source: Path) -> None:
    for affinity in ("uniform", "identity"):
        model = build_trainer(transfer(tiny, tmp_path, source, affinity=affinity)).core
        e = model.embedding.weight
        wanted = e.mean(0) if affinity == "uniform" else e[2]
        assert torch.allclose(model.embedding(model.affinity)[2], wanted, atol=1e-6)


def test_labels_of_a_held_task_change_nothing(
    tiny: Any, tmp_path: Path, source: Path, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scrambled in training and validation images: the same weights, log and choice of checkpoint, bit for bit."""
    read = PackReader.read

    def scrambled(self: PackReader, index: int, *rest: Any, **more: Any) -> dict[str, Any]:
        arrays = read(self, index, *rest, **more)
        if "normals" in arrays:
            arrays["normals"] = arrays["normals"][::-1, :, [2, 0, 1]].copy()
        return arrays

    monkeypatch.setattr(PackReader, "read", scrambled)
    run = Path(train(transfer(tiny, tmp_path, source, epochs=2), quiet=True)["run"])
    for name in ("model.safetensors", "checkpoints/last/state.safetensors"):
        one, other = (checkpoint.read_tensors(path / name)[0] for path in (run, moved))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert (run / "metrics.jsonl").read_text() == (moved / "metrics.jsonl").read_text()
    assert "normals" not in (run / "metrics.jsonl").read_text()
    metrics = [files.read_json(path / "results.json")["metrics"]["tiny"] for path in (run, moved)]
    assert metrics[0]["depth"] == metrics[1]["depth"]
    assert metrics[0]["normals"] != metrics[1]["normals"]  # the scrambling is seen where it may be


def test_resuming_is_exact_and_needs_no_source(
    tiny: Any, tmp_path: Path, source: Path, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(source, tmp_path / "source")
    settings = transfer(tiny, tmp_path / "cut", copy, epochs=2)
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda t: t.step == 5)
        with pytest.raises(CutError):
            train(settings, quiet=True)
    shutil.rmtree(copy)
    run = tmp_path / "cut" / "tiny-0001"
    assert checkpoint.load_state(run / LAST).about["step"] == 4
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    assert_same(run, moved)


@pytest.mark.parametrize("method", ["mult", "tawt"])
def test_other_methods_hold_decoder_and_head(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)
    own = {**changes_of(method), "tasks": ["normals", "depth", "semseg"], "epochs": 1}
    start = Path(train(tiny.other(tmp_path / "start", **own), quiet=True)["run"])
    # For mult the held task is the reference, too: its queries and keys stay with its decoder.
    run = Path(train(transfer(tiny, tmp_path / "runs", start, affinity="troa"), quiet=True)["run"])
    before, after = weights(start), weights(run)
    same = {key for key in before if torch.equal(before[key], after[key])}
    held = {key for key in before if ".normals." in key}
    assert len(held) > 4
    assert same == held | {key for key in same if key.endswith("key.bias")}


def test_gradients_of_held_weights_are_left_out_of_the_norm(tiny: Any, source: Path, tmp_path: Path) -> None:
    trainer = build_trainer(transfer(tiny, tmp_path, source))
    model: Any = trainer.core
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    trainer.held.clear_gradients()
    assert model.embedding.weight.grad.any(1).tolist() == [True, True, False, True]
    assert not model.heads.heads["normals"].weight.grad.any()
    assert model.heads.heads["depth"].weight.grad.all()


def other_recipe(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    recipe = yaml.safe_load((Path(__file__).parents[3] / "data_recipes" / "rooms.yaml").read_text(encoding="utf-8"))
    recipe |= {"name": name, "size": [48, 48]}
    recipe["options"] = {"samples": {"train": 4, "val": 2}, "first_seed": {"train": 700, "val": 800}}
    change(recipe)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def _renamed(recipe: dict[str, Any]) -> None:
    recipe["tasks"]["semseg"] |= {"label_set": "mine", "classes": [f"c{i}" for i in range(13)]}
    recipe["tasks"]["depth"]["max_value"] = 5.0


def _mapped(recipe: dict[str, Any]) -> None:
    _renamed(recipe)
    nyu = load_recipe("rooms").tasks["semseg"].classes
    recipe["class_maps"] = {"nyu13": {f"c{i}": nyu[i] for i in range(13)}}


def test_other_classes_get_a_new_head_and_the_rest_is_kept(tiny: Any, tmp_path: Path, source: Path) -> None:
    prepare_data(
        str(other_recipe(tmp_path, "renamed", _renamed)), None, tmp_path / "data", PrepareOptions(), quiet=True
    )
    settings = transfer(tiny, tmp_path / "runs", source, data="renamed", data_dir=tmp_path / "data", held=["edges"])
    trainer = build_trainer(settings)
    new = build_model(settings, trainer.tasks).state_dict()
    before, now = weights(source), trainer.core.state_dict()
    for key, value in before.items():
        wanted = new[key] if key.startswith("heads.heads.semseg.") else value
        assert torch.equal(now[key], wanted), key
    assert not torch.equal(new["heads.heads.semseg.weight"], before["heads.heads.semseg.weight"])
    assert trainer.tasks["semseg"].classes[0] == "c0"
    assert trainer.tasks["depth"].headline == "rmse/pixel@0..5m"  # the protocol is the new data's
    assert list(trainer.tasks) == list(load_run(source).tasks)
    # Held without a map between the classes: there is nothing to measure it by, here as in vtadapt eval.
    held = settings.model_copy(update={"held": ("semseg",)})
    results = train(held, quiet=True)
    assert set(results["metrics"]["renamed"]) == {"depth", "normals", "edges"}
    assert load_run(Path(results["run"])).tasks["semseg"].classes == load_run(source).tasks["semseg"].classes
    assert evaluate_run(Path(results["run"]))["metrics"] == results["metrics"]


def test_classes_with_a_map_keep_their_head(tiny: Any, tmp_path: Path, source: Path) -> None:
    recipe = other_recipe(tmp_path, "mapped", _mapped)
    prepare_data(str(recipe), None, tmp_path / "data", PrepareOptions(), quiet=True)
    changes = {"data": "mapped", "data_dir": tmp_path / "data", "held": [], "affinity": "troa", "troa_every": 1}
    run = Path(train(transfer(tiny, tmp_path / "runs", source, **changes), quiet=True)["run"])
    loaded = load_run(run)
    assert loaded.tasks["semseg"].classes == load_run(source).tasks["semseg"].classes
    assert loaded.label_sets["semseg"] == "nyu13"
    results = files.read_json(run / "results.json")
    assert results["counts"]["mapped"]["semseg"]["pixels"] == 2 * 48 * 48
    assert evaluate_run(run)["metrics"] == results["metrics"]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"start": None}, "setting held needs a run to start from"),
        ({"start": None, "held": []}, "setting affinity = 'start' needs a run to start from"),
        ({"held": ["normal"]}, "cannot hold 'normal'; the tasks of .* are semseg, depth, normals, edges"),
        ({"held": ["semseg", "depth", "normals", "edges"]}, "all tasks of .* are held"),
        ({"affinity": "troa"}, "affinities cannot be learned while normals is held"),
        ({"affinity": "uniform", "troa_weights": True}, "affinities cannot be learned while normals is held"),
        ({"data": "look"}, "'look' has no task 'depth', which run .* has; name it in held"),
        ({"tasks": ["depth"]}, "has its tasks, semseg, depth, normals, edges; found tasks depth"),
        ({"decoder_width": 16}, r"adapters .*'decoder_width': 16.* is not that of the run this one starts from"),
        ({"seed": 1}, "backbone .* is not that of the run this one starts from.*random weights: its seed"),
        ({"method": "linear", "affinity": "troa", "troa_every": None, "held": []}, "method linear is not that of"),
        ({"start": Path("nowhere")}, "no run 'nowhere' here or in "),
    ],
)
def test_what_a_start_refuses(tiny: Any, tmp_path: Path, source: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        train(transfer(tiny, tmp_path / "runs", source, **changes), quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_the_network_is_that_of_the_start_where_nothing_else_is_named(
    tiny: Any, tmp_path: Path, runs: Callable[..., Path]
) -> None:
    """Such as the order of the adapters of a run of before that could be chosen: another is the default now."""
    named = transfer(tiny, tmp_path / "runs", runs(adapter="slides")).model_dump(exclude_unset=True)
    del named["adapter"], named["head"]
    planned = plan_run(TrainSettings(**named))
    assert (planned.settings.adapter, planned.settings.head) == ("slides", "subpixel")
    assert planned.config["adapters"]["adapter"] == "slides"
    with pytest.raises(ConfigError, match="adapters .*'residual'.* is not that of the run this one starts from"):
        plan_run(TrainSettings(**named, adapter="residual"))


def test_a_start_may_be_named_as_runs_are_everywhere(tiny: Any, tmp_path: Path, source: Path) -> None:
    shutil.copytree(source, tmp_path / "runs" / "first")
    settings = transfer(tiny, tmp_path / "runs", source, start="first")
    trainer = build_trainer(settings, quiet=True)
    assert trainer.settings.start == tmp_path / "runs" / "first"


def test_a_held_task_must_mean_the_same(source: Path, tmp_path: Path) -> None:
    def vectors(recipe: dict[str, Any]) -> None:
        recipe["tasks"]["depth"]["units"] = "mm"
        recipe["tasks"]["depth"]["distance"] = False

    recipe = load_recipe(other_recipe(tmp_path, "other", vectors))
    with pytest.raises(ConfigError, match="held task 'depth' of run .* is not the 'depth' of 'other'.*train it"):
        match_tasks(open_start(source), [recipe], ["depth"])
    assert match_tasks(open_start(source), [recipe], ["normals"]).fresh == ("depth",)


def test_what_cannot_hold(tiny: Any) -> None:
    settings = tiny.settings.model_copy(update={"method": "stl"})
    model = build_model(settings, build_tasks([load_recipe("rooms")], ["depth", "normals"]))
    with pytest.raises(VtadaptError, match="cannot hold depth: this method has no part that all tasks share"):
        HeldWeights(model, ["depth"])
    assert HeldWeights(model, []).kept == []
