"""Zero-shot transfer: shares and spreads by hand, what is trained, what is refused, the command."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from PIL import Image

from tests.edited import with_checksum
from tests.workflows.interrupting import interrupt
from tests.workflows.train.methods.conftest import changes_of, small_encoder
from vtadapt.data.pack.pack import PackReader
from vtadapt.errors import ConfigError, DataError, UsageError, VtadaptError
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.train import train
from vtadapt.workflows.zero_shot.plan import make_plan
from vtadapt.workflows.zero_shot.tables import markdown, notes, share_closed, summarise, zero_shot_table
from vtadapt.workflows.zero_shot.zero_shot import ZeroShotOptions, zero_shot

KEY = "angle_mean/pixel"
FAST = {"steps": 2, "val_images": 1, "evals": 1}


@pytest.fixture(scope="module")
def source(runs: Callable[..., Path]) -> Path:
    """A run with all tasks and a learned A."""
    return runs()


def options(**changes: Any) -> ZeroShotOptions:
    given = {"task": "normals", "labels": "semseg,depth", "jobs": 0, "changes": FAST, "images": 2, **changes}
    return ZeroShotOptions(**given)


def test_share_of_the_gap_by_hand() -> None:
    assert share_closed(37.0, 34.0, 25.0, False) == pytest.approx(0.25)
    assert share_closed(0.2, 0.5, 0.6, True) == pytest.approx(0.75)
    assert share_closed(37.0, 40.0, 25.0, False) == pytest.approx(-0.25)
    assert share_closed(37.0, 24.0, 25.0, False) == pytest.approx(13 / 12)
    assert share_closed(25.0, 24.0, 25.0, False) is None  # nothing to close
    assert share_closed(25.0, 24.0, 26.0, False) is None
    assert share_closed(0.3, 0.4, 0.2, True) is None


def test_spreads_and_shares_over_seeds_by_hand(tiny: Any, source: Path) -> None:
    plan = make_plan("tiny", [source], options(seeds="2"), data_dir=tiny.data_dir, quiet=True)

    def of(*values: float) -> dict[int, Any]:
        return {seed: {"normals": {KEY: v, "within30/pixel": 1 / v}} for seed, v in enumerate(values)}

    found = {"direct": of(40.0, 40.0), "zero-shot": of(35.0, 34.0), "uniform": of(36.0, 33.0), "oracle": of(30.0, 28.0)}
    result = summarise(plan, found)
    shares = [(40 - 35) / (40 - 30), (40 - 34) / (40 - 28)]
    assert result["columns"]["zero-shot"]["share_closed"][KEY] == {
        "mean": pytest.approx(mean(shares)),
        "sd": pytest.approx(stdev(shares)),
        "n": 2,
        "by_seed": {"0": pytest.approx(shares[0]), "1": pytest.approx(shares[1])},
    }
    up = result["columns"]["zero-shot"]["share_closed"]["within30/pixel"]["by_seed"]["0"]
    assert up == pytest.approx((1 / 35 - 1 / 40) / (1 / 30 - 1 / 40))
    # One run, so direct transfer was measured once, not twice.
    assert result["columns"]["direct"]["metrics"]["normals"][KEY] == {"mean": 40.0, "sd": None, "n": 1}
    assert result["ahead_of"]["uniform"][KEY] == {
        "mean": 0.0,
        "sd": pytest.approx(math.sqrt(2)),
        "n": 2,
        "error": None,
        "told_apart": False,
        "better_in": 1,
    }
    no_gap = summarise(plan, {**found, "oracle": of(41.0, 28.0)})["columns"]["zero-shot"]["share_closed"][KEY]
    assert (no_gap["n"], no_gap["by_seed"]) == (1, {"0": None, "1": pytest.approx(0.5)})
    assert summarise(plan, {**found, "oracle": of(41.0, 40.0)})["columns"]["uniform"]["share_closed"][KEY] is None


@pytest.mark.slow
def test_a_transfer_goes_on_where_it_was(
    tiny: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(source, tmp_path / "source")
    trained = interrupt(monkeypatch, ["zero-shot-seed0", "uniform-seed0"])
    given = {"data_dir": tiny.data_dir, "run_dir": tmp_path, "quiet": True}
    with pytest.raises(KeyboardInterrupt):
        zero_shot("tiny", [copy], options(), **given)
    result = zero_shot("tiny", [copy], options(), **given)
    assert trained == ["zero-shot-seed0", "uniform-seed0", "uniform-seed0", "oracle-seed0"]
    folder = tmp_path / "zero-shot-tiny-normals"
    assert with_checksum(folder / "zero_shot.json") == result
    assert result["failed"] == {}
    _check_columns(result, folder, source, tiny)
    _check_text(result, folder)

    trained.clear()
    moved = copy.rename(tmp_path / "elsewhere")  # the same weights in another place are the same start
    again = zero_shot("tiny", [moved], options(), **given)
    assert trained == []
    assert again["columns"] == result["columns"]
    tensors, about = checkpoint.read_tensors(moved / "model.safetensors")
    tensors["affinity"] = tensors["affinity"] + 1
    checkpoint.write_tensors(moved / "model.safetensors", tensors, about)
    with pytest.raises(ConfigError, match=r"zero-shot-seed0' was begun from other weights than those of .*--out"):
        zero_shot("tiny", [moved], options(), **given)


def _check_columns(result: dict[str, Any], folder: Path, source: Path, tiny: Any) -> None:
    columns = result["columns"]
    assert list(columns) == ["direct", "zero-shot", "uniform", "oracle"]
    direct = evaluate_run(source, EvalOptions(data="tiny", data_dir=tiny.data_dir))["metrics"]["tiny"]
    assert {k: v["mean"] for k, v in columns["direct"]["metrics"]["normals"].items()} == direct["normals"]
    for label in ("zero-shot", "uniform", "oracle"):
        trial = folder / f"{label}-seed0"
        found = files.read_json(trial / "results.json")["metrics"]["tiny"]
        assert columns[label]["by_seed"] == {"0": found}
        assert set(found) == {"semseg", "depth", "normals", "edges"}
        settings = load(trial / "settings.yaml")
        assert settings.affinity == ("uniform" if label == "uniform" else "start")
        assert settings.held == (("edges",) if label == "oracle" else ("normals", "edges"))
        assert settings.steps == 2
    zero, other, start = (
        checkpoint.read_tensors(path / "model.safetensors")[0]
        for path in (folder / "zero-shot-seed0", folder / "oracle-seed0", source)
    )
    key = "heads.heads.normals.weight"
    assert torch.equal(zero[key], start[key])
    assert not torch.equal(other[key], start[key])
    assert columns["oracle"]["share_closed"] == columns["direct"]["share_closed"] == {}
    assert set(result["trivial"]["metrics"]["tiny"]["normals"]) == set(direct["normals"])


def _check_text(result: dict[str, Any], folder: Path) -> None:
    text = (folder / "table.md").read_text()
    assert text == markdown(result)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == "|  | direct | zero-shot | uniform | oracle | trivial |"
    assert len({row.count("|") for row in rows}) == 1
    mean_angle = result["columns"]["zero-shot"]["metrics"]["normals"][KEY]["mean"]
    assert f"| {mean_angle:.3f} |" in next(row for row in rows if row.startswith(f"| normals {KEY}"))
    assert zero_shot_table(result).row_count == len(rows) - 2
    said = " ".join(notes(result))
    assert "2 steps on labels of semseg, depth of tiny; head and embedding of normals as" in said
    assert "Held as normals is, without labels, in every column: edges." in said
    assert "labels of normals are not looked at" in said
    assert f"{KEY}: A of the run against A uniform " in said
    with Image.open(result["panels"][0]) as picture:
        assert picture.size[0] > 6 * 192  # image, direct, zero-shot, uniform, oracle, ground truth


def test_one_run_per_seed(tiny: Any, runs: Callable[..., Path], source: Path) -> None:
    other = runs(affinity="uniform")
    given = options(seeds="0,4", ablations="")
    plan = make_plan("tiny", [source, other], given, data_dir=tiny.data_dir, quiet=True)
    assert plan.sources == {0: source, 4: other}
    assert plan.trainings == ["zero-shot", "oracle"]
    assert list(make_plan("tiny", [source, other], options(), data_dir=tiny.data_dir, quiet=True).sources) == [0, 1]
    one = make_plan("tiny", [source], options(ablations="identity,uniform"), data_dir=tiny.data_dir, quiet=True)
    assert one.trainings == ["zero-shot", "identity", "uniform", "oracle"]


def test_labels_of_the_task_are_not_read(
    tiny: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that has them in no image gives the same weights; then there is nothing to measure, but a picture."""
    given = {"data_dir": tiny.data_dir, "run_dir": tmp_path / "with", "quiet": True}
    one = zero_shot("tiny", [source], options(ablations=""), **given)
    present = PackReader.present
    monkeypatch.setattr(PackReader, "present", lambda self, task: present(self, task) & (task != "normals"))
    read = PackReader.read

    def without(self: PackReader, index: int, *rest: Any, **more: Any) -> dict[str, Any]:
        return {key: value for key, value in read(self, index, *rest, **more).items() if key != "normals"}

    monkeypatch.setattr(PackReader, "read", without)
    other = zero_shot("tiny", [source], options(), **{**given, "run_dir": tmp_path / "without"})
    weights = [
        checkpoint.read_tensors(Path(r["folder"]) / "zero-shot-seed0" / "model.safetensors")[0] for r in (one, other)
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert list(other["columns"]) == ["direct", "zero-shot"]
    assert "tiny has no validation labels of normals: nothing to measure it by." in notes(other)
    assert Path(other["panels"][0]).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mult", "tawt"])
def test_other_methods(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)
    own = {**changes_of(method), "tasks": ["semseg", "depth", "normals"], "epochs": 1}
    start = Path(train(tiny.other(tmp_path / "start", **own), quiet=True)["run"])
    given = options(labels=None, method=method, seeds="0,1", images=0)
    result = zero_shot("tiny", [start], given, data_dir=tiny.data_dir, run_dir=tmp_path, quiet=True)
    assert result["failed"] == {}
    assert (result["labels"], result["held"]) == (["semseg", "depth"], ["normals"])
    assert list(result["columns"]) == ["direct", "zero-shot", "oracle"]  # no A, so nothing to compare it with
    assert result["columns"]["zero-shot"]["metrics"]["normals"][KEY]["n"] == 2
    assert result["ahead_of"] == {}


def test_a_training_that_fails(tiny: Any, source: Path, tmp_path: Path) -> None:
    given = options(changes={**FAST, "batch_size": 100}, ablations="")
    result = zero_shot("tiny", [source], given, data_dir=tiny.data_dir, run_dir=tmp_path, quiet=True)
    assert list(result["failed"]) == ["zero-shot seed 0", "oracle seed 0"]
    assert "fewer than one batch" in result["failed"]["oracle seed 0"]
    assert list(result["columns"]["direct"]["metrics"]) == ["semseg", "depth", "normals", "edges"]
    assert any(line.startswith("failed: oracle seed 0: ") for line in notes(result))


@pytest.mark.parametrize(
    ("changes", "kind", "match"),
    [
        ({"task": "normal"}, UsageError, "was not trained with task 'normal'.*Did you mean 'normals'"),
        ({"labels": "depth,normals"}, UsageError, "--labels names 'normals', the task that is transferred"),
        ({"labels": "dept"}, UsageError, "--labels: the run has no task 'dept'.*Did you mean 'depth'"),
        ({"method": "mult"}, ConfigError, "--method mult: run .* is of method 'adapters'; leave it out"),
        ({"seeds": "x"}, UsageError, "--seeds 'x'"),
        ({"ablations": "troa"}, UsageError, "--ablations 'troa'; wanted of uniform, identity"),
        ({"changes": {"held": "depth"}}, UsageError, "--set held=...: that is decided by the run and the command"),
        ({"changes": {"decoder_width": 8}}, UsageError, "--set decoder_width=...: that is decided"),
        ({"changes": {"lr": -1}}, ConfigError, "settings of the transfer: lr = -1"),
    ],
)
def test_what_is_refused(
    tiny: Any, source: Path, tmp_path: Path, changes: dict[str, Any], kind: type[VtadaptError], match: str
) -> None:
    with pytest.raises(kind, match=match) as caught:
        zero_shot("tiny", [source], options(**changes), data_dir=tiny.data_dir, run_dir=tmp_path, quiet=True)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_adapted_can_be_the_start(tiny: Any, source: Path, tmp_path: Path) -> None:
    adapted = shutil.copytree(source, tmp_path / "adapted")
    text = load(adapted / "settings.yaml").to_yaml()
    changed = text.replace("target: null", "target: other").replace("label_space: null", "label_space: tiny>other")
    (adapted / "settings.yaml").write_text(changed)
    assert load(adapted / "settings.yaml").target == "other"
    given = {**FAST, "epochs": 2}
    given.pop("steps")
    plan = make_plan("tiny", [adapted], options(changes=given), data_dir=tiny.data_dir, quiet=True)
    assert (plan.base.target, plan.base.label_space, plan.base.steps, plan.base.epochs) == (None, None, None, 2)


def test_runs_and_targets_that_do_not_fit(tiny: Any, runs: Callable[..., Path], source: Path) -> None:
    def refused(kind: type[VtadaptError], match: str, target: str, *sources: Path, **changes: Any) -> None:
        with pytest.raises(kind, match=match) as caught:
            make_plan(target, sources, options(**changes), data_dir=tiny.data_dir, quiet=True)
        assert type(caught.value) is kind

    probe = runs(method="linear")
    refused(ConfigError, "is of method 'linear'; wanted one of method adapters, tawt or mult", "tiny", probe)
    refused(ConfigError, "differ in method or tasks; wanted runs alike", "tiny", source, probe)
    refused(UsageError, "2 runs in --from for 3 seeds", "tiny", source, source, seeds="3")
    refused(UsageError, "--labels: 'shape' has no task 'semseg'; both have depth", "shape", source)
    refused(UsageError, "unknown data set 'tinny'", "tinny", source)
    match = "task 'semseg' of 'streets_sim' is not that of run .*class map"
    refused(ConfigError, match, "streets_sim", source, task="semseg", labels="depth")
    alone = runs(tasks=["normals"])
    refused(DataError, "'tiny' has labels of none of the run's other tasks .it has none", "tiny", alone, labels=None)


@pytest.mark.slow
def test_the_command(tiny: Any, source: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    """As typed, in processes of its own, two at a time: one JSON document, and exactly these files."""
    typed = ["zero-shot", "tiny", "--task", "normals", "--from", source, "--labels", "depth", "--steps", 2, "--jobs", 2]
    typed += ["--set", "val_images=1", "--ablations", "", "--images", 1, "--out", tmp_path / "out"]
    typed += ["--data-dir", tiny.data_dir, "--run-dir", tmp_path / "runs"]
    ran = cli(*typed, "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["held"] == ["semseg", "normals", "edges"]
    out = tmp_path / "out"
    found = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and "tensorboard" not in p.parts}
    files = ["settings.yaml", "start/config.json", "start/model.safetensors", "log.txt", "metrics.jsonl", "config.json"]
    files += ["checkpoints/last/state.safetensors", "checkpoints/best/model.safetensors", "model.safetensors"]
    files += ["results.json", "panel-tiny.png", "packs.json", ".lock"]
    wanted = {f"{trial}-seed0/{file}" for trial in ("zero-shot", "oracle") for file in files}
    assert found == wanted | {"zero_shot.json", "table.md", "panel-tiny-normals.png", ".lock"}
    assert not (tmp_path / "runs").exists()
    again = cli(*typed)
    assert again.code == 0
    assert "of the gap closed" in again.out
    assert again.out.count("zero-shot: ") == 2
