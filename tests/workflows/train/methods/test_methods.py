"""Every other system through the same loop: trains, resumes exactly, evaluates, predicts; what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.workflows.conftest import random_batch
from tests.workflows.train.cutting import assert_same, cut_and_resume, kill_9
from tests.workflows.train.methods.conftest import PEERS, changes_of
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.errors import ConfigError, UsageError
from vtadapt.workflows.affinity.run_affinity import AffinityOptions, affinity_of_run
from vtadapt.workflows.attention.visualize import visualize_attention
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.info import info_of_run
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.report.report import ReportOptions, report
from vtadapt.workflows.run import checkpoint
from vtadapt.workflows.run.build import build_model
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.settings import TrainSettings, load
from vtadapt.workflows.train.methods import build_objective
from vtadapt.workflows.train.methods.cross_training import STATE, CrossTraining
from vtadapt.workflows.train.state import LAST
from vtadapt.workflows.train.train import train


@pytest.mark.slow
@pytest.mark.parametrize("method", PEERS)
def test_trains_resumes_evaluates_predicts(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    del small
    changes = changes_of(method)
    results = train(tiny.other(tmp_path / "whole", **changes), quiet=True)
    whole = Path(results["run"])
    assert results["steps"] == 6
    assert results["seconds_per_step"] > 0
    assert results["peak_memory"] > 2**26

    run = cut_and_resume(tiny.other(tmp_path / "cut", **changes), monkeypatch, "_step")
    assert_same(run, whole)

    loaded = load_run(run)
    before = dict(build_model(loaded.settings, loaded.tasks).named_parameters())
    stuck = [n for n, p in loaded.model.named_parameters() if p.requires_grad and torch.equal(p, before[n])]
    # A key's bias adds the same to all scores of a query, which the softmax takes away.
    assert not [name for name in stuck if not name.endswith("key.bias")]
    measured = evaluate_run(run, EvalOptions(limit=2))
    assert list(measured["metrics"]["tiny"]) == list(loaded.settings.tasks or loaded.tasks)
    Image.effect_noise((50, 40), 60).convert("RGB").save(tmp_path / "photo.png")
    entry = predict([tmp_path / "photo.png"], run, tmp_path / "out", raw=True)[0]
    assert Path(entry["panel"]).is_file()
    described = info_of_run(run)
    ledger = sum(row["parameters"] for row in described["components"])
    assert ledger == described["parameters"]["total"] == results["total_parameters"]
    with pytest.raises(ConfigError, match=rf"is of method '{method}', which has no adapters.*--method adapters"):
        visualize_attention([tmp_path / "photo.png"], run, tmp_path / "out")
    for measure in ("troa", "learned"):
        with pytest.raises(ConfigError, match=r"wanted.*--method adapters"):
            affinity_of_run(run, AffinityOptions(measure=measure))


@pytest.mark.parametrize("method", PEERS)
def test_half_precision_as_auto_chooses_it(tiny: Any, tmp_path: Path, small: None, method: str) -> None:
    """On a GPU, or a CPU with AMX; Fabric then wraps the network's outputs."""
    del small
    changes = {**changes_of(method), "tasks": ["depth", "normals"], "epochs": None, "steps": 2}
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        run = train(tiny.other(tmp_path / precision, precision=precision, log_steps=1, **changes), quiet=True)["run"]
        records = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
        losses[precision] = [r["loss"] for r in records if r["split"] == "train"]
    for exact, half in zip(*losses.values(), strict=True):
        assert half == pytest.approx(exact, rel=0.05)
    assert losses["bf16-mixed"] != losses["32-true"]


def test_a_report_of_another_method(tiny: Any, tmp_path: Path, small: None) -> None:
    del small
    run = Path(train(tiny.other(tmp_path, **changes_of("tawt")), quiet=True)["run"])
    document = report(run, None, ReportOptions(images=2), folder=tmp_path, quiet=True)
    assert "tawt" in Path(document["files"]["html"]).read_text(encoding="utf-8")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["split"] == "tawt"] == [2, 4, 6]


@pytest.mark.slow
def test_kill_9_while_the_cross_task_networks_are_trained(tiny: Any, tmp_path: Path) -> None:
    changes = {**changes_of("consistency"), "tasks": ["depth", "normals"], "epochs": 1, "cross_task_share": 2.0}
    kill_9(tiny.other(tmp_path / "cut", **changes), tmp_path / "settings.yaml", CrossTraining, 3)
    run = tmp_path / "cut" / "tiny-0001"
    assert checkpoint.load_state(run / STATE).about["step"] == 2
    assert not (run / LAST).exists()
    results = train(load(run / "settings.yaml"), resume=run, quiet=True)
    whole = train(tiny.other(tmp_path / "whole", **changes), quiet=True)
    assert_same(run, Path(whole["run"]))
    networks = [checkpoint.load_state(Path(r["run"]) / STATE) for r in (results, whole)]
    assert networks[0].about["losses"] == networks[1].about["losses"]
    assert all(torch.equal(v, networks[1].model[k]) for k, v in networks[0].model.items())
    prepared = whole["prepared"]
    assert (prepared["steps"], list(prepared["losses"])) == (6, ["depth -> normals", "normals -> depth"])
    for each in (results, whole):  # the seconds of the session that was cut are counted, too
        assert 0 < each["prepared"]["seconds"] < each["train_seconds"] + 0.1


def test_the_networks_are_not_trained_twice(tiny: Any, tmp_path: Path, small: None, monkeypatch: Any) -> None:
    del small
    run = Path(train(tiny.other(tmp_path, epochs=1, **changes_of("consistency")), quiet=True)["run"])
    monkeypatch.setattr(CrossTraining, "_step", None)
    train(tiny.settings, resume=run, quiet=True)


def test_single_task_networks_do_not_know_of_each_other(tiny: Any, tmp_path: Path, small: None) -> None:
    """What depth learns beside normals is what it learns alone, bit for bit, clipping included."""
    del small
    changes = {**changes_of("stl"), "clip_norm": 0.01, "epochs": 1}
    changes.pop("tasks")
    together, alone = (
        Path(train(tiny.other(tmp_path / "-".join(names), tasks=names, **changes), quiet=True)["run"])
        for names in (["depth", "normals"], ["depth"])
    )
    one, both = (checkpoint.load_state(run / LAST).model for run in (alone, together))
    assert set(one) < set(both)
    assert all(torch.equal(value, both[key]) for key, value in one.items())


def test_every_level_is_supervised(tiny: Any, small: None) -> None:
    del small
    settings = TrainSettings(**{**tiny.settings.model_dump(), **changes_of("xtam")})
    tasks = build_tasks([find_recipe("tiny", tiny.data_dir)], None)
    model = build_model(settings, tasks)
    batch = random_batch(tasks, size=(48, 48))
    levels = model.levels(batch["image"])
    assert len(levels) == 2
    wanted = sum(
        task.weight * task.loss_fn(logits[name], batch["targets"][name]).value
        for logits in levels
        for name, task in tasks.items()
    )
    total, shown = build_objective(settings, model, tasks, open_fabric(settings)).loss(model, batch, tasks, 0)
    assert float(total.detach()) == pytest.approx(float(wanted.detach()))
    last = {
        name: float(task.loss_fn(levels[-1][name], batch["targets"][name]).value.detach())
        for name, task in tasks.items()
    }
    assert shown == pytest.approx(last, abs=1e-4)


def test_a_number_of_steps_ends_within_an_epoch(
    tiny: Any, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small
    changes = {**changes_of("mtl-cnn"), "epochs": None, "steps": 5, "checkpoint_steps": 1, "evals": 2}
    results = train(tiny.other(tmp_path / "whole", **changes), quiet=True)
    assert results["steps"] == 5
    whole = Path(results["run"])
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["split"] == "train"] == [1, 2, 3, 4, 5]
    assert [r["step"] for r in records if r["split"] == "val"] == [3, 5]
    assert records[-2]["lr"] < 0.2 * records[0]["lr"]  # the schedule ends with the steps
    run = cut_and_resume(tiny.other(tmp_path / "cut", **changes), monkeypatch, "_validate")
    assert_same(run, whole)
    train(load(run / "settings.yaml"), resume=run, quiet=True)
    assert_same(run, whole)


def test_steps_that_end_before_the_only_evaluation(tiny: Any, tmp_path: Path, small: None) -> None:
    """Of 20 epochs with one evaluation, steps for less than one: the last step is evaluated all the same."""
    del small
    changes = {**changes_of("mtl-cnn"), "epochs": 20, "steps": 1, "evals": 1}
    results = train(tiny.other(tmp_path, **changes), quiet=True)
    records = [json.loads(line) for line in (Path(results["run"]) / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["split"] == "val"] == [1]


def test_the_default_encoder_is_the_methods() -> None:
    found = {m: TrainSettings(data="rooms", method=m).encoder for m in ("adapters", "linear", *PEERS)}
    swins = {m for m, encoder in found.items() if encoder == "swin_lite"}
    assert swins == {"adapters", "linear", "dpt", "lora", "stl", "mult"}
    assert {found[m] for m in ("mtl-cnn", "consistency", "xtam", "tawt")} == {"cnn_lite"}
    assert TrainSettings(data="rooms", method="xtam", backbone="swin_pico").encoder == "swin_pico"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"method": "xtam", "train_blocks": "full"},
            "'train_blocks' is read by method 'adapters', not by 'xtam'",
        ),
        ({"method": "adapters", "backbone": "resnet_pico"}, "method 'adapters' wants a Swin.*'resnet_pico'"),
        ({"method": "lora", "backbone": "resnet_pico"}, "method 'lora' wants a Swin"),
        ({"method": "adapters", "decoder": "aspp"}, "decoder 'aspp' is not for method 'adapters'"),
        ({"method": "consistency", "tasks": ["edges"]}, "method 'consistency' takes at least 2 tasks; found 1, edges"),
        ({"method": "tawt", "tasks": ["depth"]}, "method 'tawt' takes at least 2 tasks; found 1, depth"),
        ({"method": "stl", "troa_weights": True}, "setting 'troa_weights' is read by method 'adapters', not by 'stl'"),
        ({"method": "mult", "reference": "dept"}, "reference 'dept' is not a task of this run"),
    ],
)
def test_what_a_method_refuses(tiny: Any, tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=match) as caught:
        train(tiny.other(tmp_path / "runs", **changes), quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()
