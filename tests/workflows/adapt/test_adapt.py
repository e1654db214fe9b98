"""Adapting to unlabelled data: the grid of settings, what goes on, the numbers by hand, tables, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from tests.edited import with_checksum
from tests.workflows.interrupting import interrupt
from tests.workflows.train.methods.conftest import small_encoder
from vtadapt.data.recipe.common_tasks import agree, build_tasks
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.adapt.adapt import RULE, RULE_BEST, AdaptOptions, adapt
from vtadapt.workflows.adapt.tables import adaptation_tables, class_lists, markdown, notes, summarise, with_subsets
from vtadapt.workflows.run import files
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.sweep.trials import Trial


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run built or loaded in this process has a small encoder."""
    monkeypatch.setattr("vtadapt.workflows.run.build.load_backbone", small_encoder)


def base(tiny: Any, run_dir: Path, **changes: Any) -> TrainSettings:
    kept = tiny.settings.model_dump(exclude={"evals", "epochs"})
    options = {"target": "look", "tasks": ["semseg", "depth"], "steps": 2, "val_images": 1, "discriminator_width": 4}
    return TrainSettings(**{**kept, "run_dir": run_dir, **options, **changes})


@pytest.mark.slow
def test_an_interrupted_adaptation_goes_on(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small
    settings, options = base(tiny, tmp_path), AdaptOptions(seeds="2", jobs=0)
    trained = interrupt(monkeypatch, ["adapters@source-only-seed0", "adapters@adapted-seed0"])
    with pytest.raises(KeyboardInterrupt):
        adapt(settings, options, quiet=True)
    result = adapt(settings, options, quiet=True)
    trials = [f"adapters@{name}-seed{seed}" for seed in (0, 1) for name in ("source-only", "adapted", "oracle")]
    assert trained == trials[:2] + trials[1:]
    folder = tmp_path / "adapt-tiny-look"
    assert with_checksum(folder / "adapt.json") == result
    assert result["failed"] == {}
    _check_settings(folder)
    _check_numbers(result, folder)
    _check_tables(result, folder)

    trained.clear()
    assert adapt(settings, options, quiet=True) == result
    assert trained == [], "all is kept"
    with pytest.raises(ConfigError, match=r"source-only-seed0' was made with steps = 2, wanted 3"):
        adapt(base(tiny, tmp_path, steps=3), options, quiet=True)


def _check_settings(folder: Path) -> None:
    found = {name: load(folder / f"adapters@{name}-seed1" / files.SETTINGS) for name in ("source-only", "adapted")}
    oracle = load(folder / "adapters@oracle-seed1" / files.SETTINGS)
    assert [(s.data, s.target) for s in (*found.values(), oracle)] == [
        ("tiny", None),
        ("tiny", "look"),
        ("look", None),
    ]
    assert oracle.tasks == ("semseg",), "look has no depth"
    assert {(s.label_space, s.steps, s.evals, s.seed) for s in (*found.values(), oracle)} == {("tiny>look", 2, 1, 1)}
    differ = {k for k in found["adapted"].model_fields_set if getattr(found["adapted"], k) != getattr(oracle, k)}
    assert differ == {"data", "target", "tasks"}


def _check_numbers(result: dict[str, Any], folder: Path) -> None:
    entry = result["methods"]["adapters"]
    values: dict[str, list[float]] = {}
    for name in ("source-only", "adapted"):
        files = [folder / f"adapters@{name}-seed{seed}" / "eval-val-look.json" for seed in (0, 1)]
        values[name] = [json.loads(f.read_text())["metrics"]["look"]["semseg"]["miou/dataset"] for f in files]
    files = [folder / f"adapters@oracle-seed{seed}" / "results.json" for seed in (0, 1)]
    values["oracle"] = [json.loads(f.read_text())["metrics"]["look"]["semseg"]["miou/dataset"] for f in files]
    for name, each in values.items():
        found = entry[name]["target"]["semseg"]["miou/dataset"]
        assert found == {"mean": pytest.approx(mean(each)), "sd": pytest.approx(stdev(each)), "n": 2}
    assert "depth" not in entry["adapted"]["target"]
    assert entry["adapted"]["source"]["depth"]["rmse/pixel"]["n"] == 2
    assert entry["oracle"]["source"] == {}
    gap = entry["gap"]["semseg"]["miou/dataset"]
    means = [mean(each) for each in values.values()]
    assert gap["gain"] == pytest.approx(means[1] - means[0])
    assert gap["oracle_gain"] == pytest.approx(means[2] - means[0])
    assert (result["source"], result["target"], result["seeds"], result["steps"]) == ("tiny", "look", [0, 1], 2)


def _check_tables(result: dict[str, Any], folder: Path) -> None:
    text = (folder / "table.md").read_text()
    assert text == markdown(result)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[1].strip() for row in rows] == ["setting", "source-only", "adapted", "oracle", "gap closed", ""]
    floor = result["trivial"]["metrics"]["look"]["semseg"]["miou/dataset"]
    assert f"{floor:.3f} constant" in [cell.strip() for cell in rows[-1]]
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    found = result["methods"]["adapters"]["adapted"]["target"]["semseg"]["miou/dataset"]
    assert f"{found['mean']:.3f} +- {found['sd']:.3f}" in rows[2]
    assert "look: semseg miou/dataset (up)" in rows[0]
    assert "tiny: depth rmse/pixel m (down)" in rows[0]
    assert not any(head.startswith("look: depth") for head in rows[0])
    assert adaptation_tables(result)[0].row_count == len(rows[0]) - 4
    lines = notes(result)
    assert lines[0] == RULE == result["checkpoint"]
    assert any(
        line.startswith("semseg: miou/dataset is mIoU13, over the classes that both have: bed") for line in lines
    )
    assert any(line.startswith("depth: look has no label of it to measure with") for line in lines)
    assert [Path(p).name for p in result["panels"]] == ["panel-look.png"]
    with Image.open(result["panels"][0]) as picture:
        width, height = picture.size
    assert width > 3 * 192  # photograph, semseg, depth
    assert height > 2 * 4 * 192  # source-only, adapted, oracle, ground truth of two images


@pytest.mark.slow
def test_the_command(tiny: Any, tmp_path: Path, cli: Callable[..., Any]) -> None:
    options = ["--data-dir", tiny.data_dir, "--run-dir", tmp_path, "--steps", 1, "--batch-size", 4, "--images", 1]
    options += ["--set", "weights=random", "--set", "precision=32-true", "--set", "discriminator_width=4"]
    options += ["--set", "evals=2", "--tasks", "semseg", "--no-oracle", "--jobs", 2, "--json"]
    ran = cli("adapt", "tiny", "look", *options)
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert (result["failed"], result["checkpoint"]) == ({}, RULE_BEST)
    assert list(result["methods"]["adapters"]) == ["source-only", "adapted", "gap"]
    folder = tmp_path / "adapt-tiny-look"
    assert sorted(p.name for p in folder.iterdir() if p.name != ".lock") == [
        *("adapt.json", "adapters@adapted-seed0", "adapters@source-only-seed0", "panel-look.png", "table.md"),
    ]
    again = cli("adapt", "tiny", "look", *options[:-1])
    assert again.code == 0, again.err
    assert "source-only" in again.out
    assert any("--seeds 3" in line for line in again.out.splitlines())


def test_a_method_that_needs_two_tasks_has_no_oracle_of_one(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small
    monkeypatch.setattr("vtadapt.workflows.adapt.adapt.run_trials", lambda *_: None)
    settings = base(tiny, tmp_path, cross_task_width=4)
    result = adapt(settings, AdaptOptions("consistency,xtam:resnet_pico"), quiet=True)
    assert list(result["methods"]) == ["consistency", "xtam:resnet_pico"]
    assert "oracle" in result["methods"]["xtam:resnet_pico"]
    assert "oracle" not in result["methods"]["consistency"]
    assert any(
        n.startswith("consistency: no oracle, look has training labels of 1 of the tasks and it takes 2")
        for n in result["notes"]
    )
    assert result["panels"] == []
    assert markdown(result).count("| source-only |") == 2


def test_miou13_is_of_the_same_confusion_matrix() -> None:
    synthia, cityscapes = load_recipe("synthia"), load_recipe("cityscapes")
    agreed = agree(synthia, cityscapes, ["semseg"])
    about = class_lists(agreed, (synthia, cityscapes))["semseg"]
    assert about["only"] == {"synthia": [], "cityscapes": ["terrain", "truck", "train"]}
    thirteen = [c for c in about["shared"] if c not in ("wall", "fence", "pole")]
    assert about["subsets"] == {"cityscapes13": thirteen}
    ious = {f"iou/{c}": i / 100 for i, c in enumerate(about["shared"])}
    found = with_subsets({"semseg": ious}, {"semseg": about})["semseg"]
    assert found["miou/cityscapes13"] == pytest.approx(mean(ious[f"iou/{c}"] for c in thirteen))
    del ious["iou/bus"]  # without a pixel
    found = with_subsets({"semseg": ious}, {"semseg": about})["semseg"]
    assert found["miou/cityscapes13"] == pytest.approx(mean(ious[f"iou/{c}"] for c in thirteen if c != "bus"))


def test_no_subset_of_classes_that_are_only_called_the_same() -> None:
    streets, camvid = load_recipe("streets_sim"), load_recipe("camvid")
    assert class_lists(agree(streets, camvid, ["semseg"]), (streets, camvid))["semseg"]["subsets"] == {}
    real = load_recipe("streets_real")
    both = class_lists(agree(streets, real, ["semseg"]), (streets, real))["semseg"]
    assert list(both["subsets"]) == ["cityscapes13"]


@pytest.mark.parametrize(
    ("means", "gain", "closed"),
    [((0.2, 0.3, 0.4), 0.1, 0.5), ((0.2, 0.1, 0.4), -0.1, -0.5), ((0.3, 0.4, 0.2), 0.1, None)],
)
def test_share_of_the_gap_by_hand(means: tuple[float, ...], gain: float, closed: float | None) -> None:
    """mIoU as given, and an error of 1 - that: the signs must agree."""
    tasks = build_tasks([load_recipe("rooms")], ["semseg", "depth"])
    trials, found = [], {}
    for name, value in zip(("source-only", "adapted", "oracle"), means, strict=True):
        trials.append(Trial(f"m:{name}", 0, Path(name), TrainSettings(data="rooms")))
        metrics = {"semseg": {"miou/dataset": value}, "depth": {"rmse/pixel": 1 - value}}
        cost = {"steps": 1, "trained_parameters": 1, "seconds_per_step": 1.0, "train_seconds": 1.0}
        found[name] = {"target": metrics, "results": cost}
    gap = summarise(["m"], trials, found, {}, tasks)["m"]["gap"]
    for task, key in (("semseg", "miou/dataset"), ("depth", "rmse/pixel")):
        assert gap[task][key]["gain"] == pytest.approx(gain)
        assert gap[task][key]["closed"] == (None if closed is None else pytest.approx(closed))


@pytest.mark.parametrize(
    ("changes", "options", "kind", "said"),
    [
        ({}, {"methods": "stl"}, UsageError, "--method 'stl'; wanted all, or of adapters, consistency, xtam, mult"),
        ({}, {"methods": "adaptors"}, UsageError, "Did you mean 'adapters'"),
        ({}, {"methods": "mult,mult"}, UsageError, "wanted each method once"),
        ({}, {"seeds": "no"}, UsageError, "--seeds 'no'"),
        ({"epochs": 2}, {}, UsageError, "epochs = 2 would be other steps for each data set; wanted --steps N"),
        ({}, {"own": {"adapters": {"evals": 3}}}, UsageError, "--set adapters:evals: .*wanted --set evals=N for all"),
        ({"size": (16, 64)}, {}, ConfigError, "--size 16x64: a discriminator wants at least 32"),
        ({"target": "tiny"}, {}, UsageError, "source and target are both 'tiny'"),
        ({"target": "loop"}, {}, UsageError, "unknown data set 'loop'"),
        ({"tasks": ["dept"]}, {}, UsageError, "unknown task 'dept' for 'tiny'"),
        ({"target": "camvid", "tasks": ["semseg"]}, {}, Exception, "vtadapt prepare-data camvid --source PATH"),
    ],
)
def test_what_cannot_be_adapted(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        adapt(base(tiny, tmp_path, **changes), AdaptOptions(**options), quiet=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_label_spaces_that_cannot_be(tiny: Any, tmp_path: Path) -> None:
    from vtadapt.workflows.train.plan import build_trainer

    for space, said in (
        ("tiny", "wanted two data sets as SOURCE>TARGET"),
        ("tiny>tiny", "wanted two data sets"),
        ("look>shape", "does not name data set 'tiny'"),
    ):
        with pytest.raises((ConfigError, ValidationError), match=said):  # settings by themselves, or with the data
            build_trainer(tiny.other(tmp_path, label_space=space), quiet=True)
