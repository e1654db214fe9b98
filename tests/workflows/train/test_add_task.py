"""``train --add-task``: a task more for a finished run; the others stay to the bit; listed, measured, removed again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt
from tests.workflows.train.cutting import CutError, cut
from vtadapt.affinity.troa import affinity, sums
from vtadapt.errors import ConfigError, VtadaptError
from vtadapt.models.capture import task_attention
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.hub.push import write_layout
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import file_of, names_of, read_added, write_added
from vtadapt.workflows.run.data.same_packs import digests_of
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings.resolve import Given
from vtadapt.workflows.runs.remove import remove_task
from vtadapt.workflows.runs.survey import describe_run
from vtadapt.workflows.train.add_task import _trainer, add_task
from vtadapt.workflows.train.adding import adding_settings, plan_adding
from vtadapt.workflows.train.troa import batch_cosines


def typed(**values: Any) -> dict[str, Given]:
    return {key: Given(value, "flag") for key, value in values.items()}


def add(run: Path, task: str, **values: Any) -> dict[str, Any]:
    return add_task(run, task, adding_settings(run, typed(steps=3, **values)), quiet=True, trivial=False)


def contents(run: Path) -> Mapping[str, str]:
    paths = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def outputs(run: Path) -> dict[str, torch.Tensor]:
    image = torch.rand(2, 3, 52, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return load_run(run).model(image)


@pytest.fixture(scope="module")
def base(runs: Callable[..., Path]) -> Path:
    """A run of two tasks."""
    return runs(tasks=["semseg", "depth"])


@pytest.fixture(scope="module")
def grown(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with normals added on its own data, then edges on other data, which lacks depth and normals."""
    run = Path(shutil.copytree(base, tmp_path_factory.mktemp("grown") / "run"))
    add(run, "normals")
    add(run, "edges", data="look")
    return run


@pytest.fixture
def copy(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "run"))


def test_the_others_are_the_same_to_the_bit_and_no_file_of_theirs_is_touched(base: Path, grown: Path) -> None:
    before, after = outputs(base), outputs(grown)
    assert [*after] == ["semseg", "depth", "normals", "edges"]
    assert all(torch.equal(logits, after[name]) for name, logits in before.items())
    now = contents(grown)
    assert {name: now[name] for name in contents(base)} == contents(base)
    new = now.keys() - contents(base).keys()
    assert new == {"added/normals.safetensors", "added/edges.safetensors"}


def test_the_file_is_small_and_tells_what_it_is(tiny: Any, base: Path, grown: Path) -> None:
    found = read_added(grown)
    assert [*found] == ["normals", "edges"]  # in the order of adding, and not of their names
    assert all(each.path.stat().st_size < 10**6 for each in found.values())
    edges = found["edges"]
    assert edges.before == ["semseg", "depth", "normals"]
    assert (edges.about["data"], edges.about["steps"]) == ("look", 3)
    assert edges.about["packs"] == digests_of(["look"], tiny.data_dir)
    assert edges.about["metrics"]["look"]["edges"].keys() >= {"odsf/d0.011"}
    assert edges.task.kind == "boundary"
    # Labels of depth and normals are not in that data: their cells of the column are not measured.
    assert edges.tensors["column"][1:].tolist() == [0.0, 0.0, 1.0]
    assert edges.tensors["row"].shape == (load_run(base).model.embedding.weight.shape[1],)  # type: ignore[union-attr]


def test_the_new_parts_are_trained(grown: Path) -> None:
    """From the mean of the rows that were there, and from the head as it was built."""
    model: Any = load_run(grown).model
    row = read_added(grown)["normals"].tensors["row"]
    assert not torch.equal(row, model.embedding.weight[:2].mean(0))
    assert torch.equal(model.embedding.weight[2], row)
    assert model.affinity[2:, :2].abs().max() == 0  # the added one changes nothing of the others


def test_the_column_is_measured_as_training_measures_a(base: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(base, tmp_path / "run"))
    trainer, _ = _trainer(plan_adding(run, "normals", adding_settings(run, typed(steps=2))), quiet=True)
    model: Any = trainer.core
    before, batch = model.affinity.clone(), next(iter(trainer.loader))
    tasks = {**trainer.lessons.sources, **trainer.lessons.trained}
    assert [*tasks] == ["semseg", "depth", "normals"]
    whole = batch_cosines(model, tasks, batch)[0]
    assert torch.equal(batch_cosines(model, tasks, batch, targets=("normals",))[0], whole[:, :, 2:])
    trainer.troa.update(batch, 0)
    count, total, square = sums(whole)
    mean = total / count
    error = ((square / count - mean.square()) / (count - 1)).sqrt()
    assert torch.allclose(model.affinity[:, 2].double(), affinity(mean, error)[:, 2], atol=1e-6)
    assert torch.equal(model.affinity[:, :2], before[:, :2])


def test_one_that_was_cut_goes_on_to_the_same_weights(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halved = (Path(shutil.copytree(base, tmp_path / name)) for name in ("whole", "halved"))
    add(whole, "normals", epochs=None)
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda trainer: trainer.step == 2)
        with pytest.raises(CutError):
            add(halved, "normals", epochs=None)
    assert names_of(halved) == []
    assert (halved / "added" / "normals.training").is_dir()
    assert [*outputs(halved)] == ["semseg", "depth"]
    add(halved, "normals", epochs=None)
    one, other = (read_added(run)["normals"].tensors for run in (whole, halved))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [path.name for path in (halved / "added").iterdir()] == ["normals.safetensors"]


def test_the_run_is_measured_with_them(base: Path, grown: Path) -> None:
    own = EvalOptions(trivial=False)
    before, after = (evaluate_run(run, own)["metrics"]["tiny"] for run in (base, grown))
    assert {name: after[name] for name in before} == before
    assert after["normals"] == read_added(grown)["normals"].about["metrics"]["tiny"]["normals"]
    assert after.keys() == {"semseg", "depth", "normals", "edges"}
    there = evaluate_run(grown, EvalOptions("look", trivial=False))["metrics"]["look"]
    assert there["edges"] == read_added(grown)["edges"].about["metrics"]["look"]["edges"]


def test_the_map_of_attention_is_that_of_its_task(grown: Path) -> None:
    model: Any = load_run(grown).model
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(3))
    _, maps = task_attention(model, image, tasks=["edges", "depth", "normals"])
    for name in ("edges", "depth", "normals"):
        alone = task_attention(model, image, tasks=[name])[1][name]
        assert torch.allclose(maps[name][0].received(), alone[0].received(), atol=1e-6)


def test_python_the_hub_and_a_saved_copy_know_them(grown: Path, tmp_path: Path) -> None:
    loaded = load_run(grown)
    write_layout(loaded, "jo/run", None, tmp_path / "pushed")
    there = outputs(tmp_path / "pushed")
    assert all(torch.equal(logits, there[name]) for name, logits in outputs(grown).items())
    card = (tmp_path / "pushed" / "README.md").read_text()
    assert "Added later, without a change to the others: edges, learned from look" in card
    model = vtadapt.load(grown)
    assert [*model.predict(np.zeros((48, 48, 3), np.uint8))] == ["semseg", "depth", "normals", "edges"]
    vtadapt.load(model.save(tmp_path / "saved"))  # as a run of its own, which has all four
    assert files.read_json(tmp_path / "saved" / "config.json")["tasks"].keys() == model.tasks.keys()
    saved = outputs(tmp_path / "saved")
    assert all(torch.allclose(logits, saved[name], atol=1e-4) for name, logits in there.items())


def test_removed_again(base: Path, copy: Path) -> None:
    remove_task(copy, "normals")  # edges do not read it: their data had no label of it
    left = outputs(copy)
    assert [*left] == ["semseg", "depth", "edges"]
    remove_task(copy, "edges")
    after = outputs(copy)
    assert after.keys() == outputs(base).keys()
    assert all(torch.equal(logits, after[name]) for name, logits in outputs(base).items())
    with pytest.raises(ConfigError, match="task 'edges' was not added to run 'run'; none was"):
        remove_task(copy, "edges")


def test_what_a_later_one_reads_stays(copy: Path) -> None:
    edges = read_added(copy)["edges"]
    column = torch.tensor([0.1, 0.0, 0.2, 1.0])
    write_added(copy, {**edges.tensors, "column": column}, {**edges.about, "number": 2})
    with pytest.raises(ConfigError, match="'edges', which was added to run 'run' after 'normals', reads its embedding"):
        remove_task(copy, "normals")
    file_of(copy, "edges").write_bytes(b"no such file")
    with pytest.raises(ConfigError, match="broken checkpoint .*edges.safetensors"):
        load_run(copy)
    assert describe_run(copy)["state"] == "broken"
    remove_task(copy, "edges")  # a broken one may always go
    assert [*load_run(copy).tasks] == ["semseg", "depth", "normals"]


def test_other_weights_are_refused(cli: Callable[..., Any], copy: Path) -> None:
    longer = cli("train", "--resume", copy, "--steps", 99)
    assert longer.code == 4
    assert "edges, normals was added to" in longer.err
    tensors, about = checkpoint.read_tensors(copy / files.MODEL)
    tensors["heads.heads.depth.bias"] += 1
    checkpoint.write_tensors(copy / files.MODEL, tensors, about)
    with pytest.raises(ConfigError, match="task 'normals' was added to other weights of run 'run' .*--remove-task"):
        load_run(copy)


def _unfinished(run: Path) -> None:
    (run / files.MODEL).unlink()


def _of_a_cnn(run: Path) -> None:
    text = (run / files.SETTINGS).read_text().split("\n# ")[0]
    (run / files.SETTINGS).write_text(
        "method: mtl-cnn\n" + "".join(line + "\n" for line in text.splitlines() if line.startswith(("data", "run_dir")))
    )


@pytest.mark.parametrize(
    ("task", "values", "change", "match"),
    [
        ("depth", {}, None, "has task 'depth' already; wanted another than semseg, depth, normals, edges"),
        ("edges", {}, None, "has task 'edges' already; vtadapt runs .* --remove-task edges removes it"),
        ("Depth", {}, None, "'depth' and 'Depth' would be one file"),
        ("smoothness", {}, None, "unknown task 'smoothness' for 'tiny'; it has semseg, depth, normals, edges"),
        ("surface", {"data": "nowhere"}, None, "nowhere"),
        ("surface", {}, _unfinished, "is not finished .no model.safetensors.; vtadapt train --resume"),
        ("surface", {}, _of_a_cnn, "is of method 'mtl-cnn', .* to runs of adapters, linear, dpt or lora"),
        ("surface", {"decoder_width": 16}, None, "setting 'decoder_width' is the run's own where a task is added .48."),
        ("surface", {"held": "depth"}, None, "setting 'held' is the run's own"),
    ],
)
def test_what_is_refused(copy: Path, task: str, values: Any, change: Any, match: str) -> None:
    if change is not None:
        change(copy)
    before = contents(copy)
    with pytest.raises(VtadaptError, match=match) as caught:
        add(copy, task, **values)
    assert "\n" not in str(caught.value)
    assert contents(copy) == before


def test_other_methods_with_a_frozen_encoder(runs: Callable[..., Path], tmp_path: Path) -> None:
    for method in ("linear", "lora"):
        base = runs(method=method, tasks=["semseg", "depth"])
        run = Path(shutil.copytree(base, tmp_path / method))
        add(run, "normals")
        after = outputs(run)
        assert all(torch.equal(logits, after[name]) for name, logits in outputs(base).items())
        assert {*read_added(run)["normals"].tensors} == {"head.weight", "head.bias"}


def test_the_command(cli: Callable[..., Any], base: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(base, tmp_path / "runs" / "mine"))
    place = ["--run-dir", tmp_path / "runs"]
    made = cli("train", "--add-task", "normals", "--from", "mine", "--steps", 2, *place, "--json")
    assert made.code == 0, made.err
    told = json.loads(made.out)
    assert (told["task"], told["before"], told["steps"]) == ("normals", ["semseg", "depth"], 2)
    assert told["bytes"] == Path(told["file"]).stat().st_size
    assert told["metrics"]["tiny"]["normals"].keys() == told["trivial"]["metrics"]["tiny"]["normals"].keys()
    listed = json.loads(cli("runs", *place, "--json").out)["runs"][0]
    assert listed["tasks"] == ["semseg", "depth", "normals"]
    assert [each["task"] for each in listed["added"]] == ["normals"]
    assert listed["metrics"]["normals"]["value"] == told["metrics"]["tiny"]["normals"]["angle_mean/pixel"]
    assert "added: normals" in cli("runs", *place).out
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(tmp_path / "photo.png")
    seen = cli("predict", tmp_path / "photo.png", "--run", run, "--format", "npz", "--out", tmp_path / "out")
    assert seen.code == 0, seen.err
    assert "normals" in np.load(next((tmp_path / "out").glob("*.npz")))
    assert cli("runs", "mine", "--remove-task", "normals", *place).code == 2  # nobody to ask
    gone = cli("runs", "mine", "--remove-task", "normals", "--yes", *place)
    assert "removed normals from" in gone.out
    assert names_of(run) == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--add-task", "normals"], "--add-task TASK and --from RUN go together"),
        (["--from", "x"], "--add-task TASK and --from RUN go together"),
        (["--add-task", "normals", "--from", "x", "--resume", "y"], "--resume is about a run of its own"),
        (["--add-task", "normals", "--from", "x", "--dry-run"], "--dry-run is about a run of its own"),
        (["rooms", "--data", "tiny"], "the data set is named twice, 'rooms' and --data 'tiny'"),
    ],
)
def test_what_is_typed_wrong(cli: Callable[..., Any], arguments: list[str], match: str) -> None:
    refused = cli("train", *arguments)
    assert refused.code == 2
    assert match in refused.err


def test_the_bundled_run_is_saved_first(cli: Callable[..., Any]) -> None:
    refused = cli("train", "--add-task", "surface", "--from", "demo")
    assert refused.code == 4
    assert "vtadapt.load('demo').save('runs/mine')" in refused.err
