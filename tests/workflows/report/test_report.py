"""The report of a run: its files, its numbers, and what it says where something is missing."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tests.edited import with_checksum
from vtadapt.checked import parse_json
from vtadapt.viz.report.page import number
from vtadapt.workflows.report.facts import affinities_of
from vtadapt.workflows.report.report import ReportOptions, report
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.train.records import curves_of, read_records
from vtadapt.workflows.train.train import train

STRANGE = 'a<b>&"bold"\' ü 写'  # of a class


def test_two_files_and_nothing_to_fetch(written: tuple[Path, dict[str, Any]], tiny: Any) -> None:
    page, document = written
    new = {p.name for p in page.parent.iterdir()} - {p.name for p in tiny.run.iterdir()}
    assert new == {
        "affinity.json",
        "report.html",
        "report.json",
        "eval-train-3images.json",
        "panel-tiny-train-3images.png",
    }
    assert with_checksum(page.parent / "report.json") == document
    assert document["files"] == {"html": str(page), "json": str(page.parent / "report.json")}
    text = page.read_text(encoding="utf-8")
    places = re.findall(r'(?:src|href|action|url)\s*[=(]\s*"?([^"\s)>]+)', text)
    assert len(places) > 30
    assert {p.partition(":")[0] if p.startswith("data:") else p[0] for p in places} == {"data", "#"}
    assert "http" not in re.sub(r"base64,[^\"]*", "", text).replace("http-equiv", "")
    assert len(text) < 10_000_000


def test_all_sections_have_content(written: tuple[Path, dict[str, Any]]) -> None:
    page, document = written
    text = page.read_text(encoding="utf-8")
    assert document["missing"] == {}
    assert len(document["affinity"][0]["history"]["step"]) == 19
    assert 'class="missing"' not in text
    parts = re.split(r'<section><h2 id="(\w+)">', text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(sections) == [
        *("run", "metrics", "curves", "affinity", "predictions", "extremes", "attention", "parameters", "settings")
    ]
    assert all(len(re.sub(r"<[^>]*>", "", content)) > 100 for content in sections.values())
    assert sections["predictions"].count("<img") == 4 * (1 + 2 * 4)
    assert sections["extremes"].count("<img") == 4 * 6 * 3
    assert sections["attention"].count("<img") == 2
    assert [entry["block"] for entry in document["attention"]] == ["stage 3 block 6"] * 2  # the finest tokens
    assert sections["curves"].count("<svg") > 9
    assert 'lang="en"' in text
    assert 'name="viewport"' in text
    assert text.count("<img") == len(re.findall(r'<img [^>]*alt="[^"]+"', text))
    levels = [int(n) for n in re.findall(r"<h(\d)", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(b - a for a, b in zip(levels, levels[1:], strict=False)) == 1


def test_numbers_are_those_of_the_run(written: tuple[Path, dict[str, Any]], tiny: Any) -> None:
    page, document = written
    first, second = document["measured"]
    assert (first["source"], first["metrics"]) == ("results.json", tiny.results["metrics"])
    assert (second["source"], second["split"], second["images"]) == ("eval-train-3images.json", "train", {"tiny": 3})
    assert document["ledger"]["parameters"]["trained"] == tiny.results["trained_parameters"]
    records, _ = read_records(tiny.run / "metrics.jsonl")
    losses = [[r["step"], r["loss"]["depth"]] for r in records if r["split"] == "train"]
    assert document["curves"]["loss"]["depth"] == losses
    last = [r for r in records if r["split"] == "val"][-1]
    assert document["curves"]["metrics"]["depth"]["rmse/pixel"]["tiny"][-1] == [
        last["step"],
        last["metrics"]["tiny"]["depth"]["rmse/pixel"],
    ]
    assert f">{number(first['metrics']['tiny']['depth']['rmse/pixel'])}<" in page.read_text(encoding="utf-8")
    assert document["tasks"]["depth"]["better"]["rmse/pixel"] is False
    assert document["tasks"]["semseg"]["better"]["miou/dataset"] is True
    changed = {entry["key"] for entry in document["settings"] if entry["changed"]}
    assert {"weights", "epochs", "batch_size", "data_dir", "run_dir"} <= changed
    assert "lr" not in changed


def test_scores_are_of_single_images(written: tuple[Path, dict[str, Any]], tiny: Any) -> None:
    _, document = written
    scores = document["samples"]["tiny"]["scores"]
    assert all(entry["scored"] == 6 for entry in scores.values())
    loaded = load_run(tiny.run)
    loader = build_eval(open_reader(loaded.settings, "tiny", "val"), loaded.tasks, 1, None)
    wanted = {}
    for batch in loader:
        with torch.no_grad():
            depth = loaded.tasks["depth"].decode(loaded.model(batch["image"])["depth"])
        truth = batch["targets"]["depth"]
        wanted[batch["name"][0]] = float(((depth - truth)[truth > 0]).square().mean().sqrt())
    order = sorted(wanted, key=lambda name: wanted[name])
    assert [e["name"] for e in scores["depth"]["best"]] == order[:3]
    assert [e["name"] for e in scores["depth"]["worst"]] == order[:2:-1]
    for entry in scores["depth"]["best"] + scores["depth"]["worst"]:
        assert entry["score"] == pytest.approx(wanted[entry["name"]], rel=1e-4)
    assert scores["depth"]["median"] == pytest.approx(np.median(list(wanted.values())), rel=1e-4)
    semseg = scores["semseg"]
    assert semseg["best"][0]["score"] == semseg["highest"] >= semseg["worst"][0]["score"] == semseg["lowest"]


def test_what_is_missing_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("results.json", "metrics.jsonl", "affinity.json"):
        (run / name).unlink(missing_ok=True)
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    (run / "settings.yaml").write_text(yaml.safe_dump(settings | {"data_dir": str(tmp_path / "none")}))
    document = report(run, tmp_path / "a.html", quiet=True)
    assert set(document["missing"]) == {"metrics", "curves", "affinity", "predictions", "extremes", "attention"}
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count('class="missing"') == 6
    assert "No predictions for tiny: unknown data set" in text
    assert "vtadapt affinity --plot measures it" in text
    assert capsys.readouterr().err.count("note: ") == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.json", "copy"]


def test_a_broken_affinity_is_said(run: Path) -> None:
    tasks = list(parse_json((run / "config.json").read_bytes())["tasks"])
    (run / "affinity.json").write_text(json.dumps({"format": 1, "tasks": tasks}))
    plain: list[list[Any]] = [[1.0 if s == t else 0.5 for t in tasks] for s in tasks]
    plain[0][1], plain[1][0] = -0.2, None
    marked = [[value == -0.2 for value in row] for row in plain]
    good = {"format": 2, "tasks": tasks, "data": "x", "split": "val", "batches": 2, "measure": "cosine"}
    good |= {"split_half": 0.5, "matrix": plain, "mean": plain, "sd": plain, "error": plain, "marked": marked}
    for measure, content in (("cosine", good), ("troa", {**good, "matrix": [[1]]}), ("learned", good)):
        (run / "affinity" / measure).mkdir(parents=True)
        (run / "affinity" / measure / "affinity.json").write_text(json.dumps(content))
    found, missing = affinities_of(run, run, tasks)
    assert [entry["title"] for entry in found] == ["Measured afterwards (cosine)"]
    assert "two halves of the batches correlate 0.50" in found[0]["about"]
    assert len(missing) == 2
    assert "found format 1, wanted 2" in missing[0]
    assert "matrix is not 4 x 4" in missing[1]
    document = report(run, options=ReportOptions(images=0), quiet=True)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert document["missing"]["affinity"] == missing
    assert "-0.200 ~" in text


@pytest.fixture(scope="module")
def others(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of another kind: a linear probe on two sets that share no task."""
    folder = tmp_path_factory.mktemp("others")
    changes = {"data": "look+shape", "method": "linear", "epochs": 1}
    return Path(train(tiny.other(folder, **changes), quiet=True)["run"])


def test_a_probe_on_two_sets(others: Path, tmp_path: Path) -> None:
    document = report(others, tmp_path / "a.html", ReportOptions(images=6), quiet=True)
    assert list(document["samples"]) == ["look", "shape"]
    assert list(document["samples"]["look"]["scores"]) == ["semseg", "edges"]
    assert list(document["samples"]["shape"]["scores"]) == ["depth", "normals"]
    assert set(document["missing"]) == {"affinity", "attention"}
    assert "has no adapt" in document["missing"]["affinity"][0]
    assert not any("affinity" in entry["command"] for entry in document["commands"])
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count("<small>no label</small>") == 2 * 2 * 2  # in each set two images, two tasks


def test_names_cannot_break_the_page(run: Path, tmp_path: Path) -> None:
    config = parse_json((run / "config.json").read_bytes())
    config["tasks"]["semseg"]["classes"][0] = STRANGE
    (run / "config.json").write_text(json.dumps(config))
    results = parse_json((run / "results.json").read_bytes())
    results["metrics"]["tiny"]["semseg"][f"iou/{STRANGE}"] = 0.5
    results["metrics"]["</table><script>alert(1)</script>"] = results["metrics"]["tiny"]
    (run / "results.json").write_text(json.dumps(results))
    document = report(run, tmp_path / "a.html", ReportOptions(images=6), quiet=True)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert STRANGE in document["tasks"]["semseg"]["classes"]
    assert STRANGE in unescape(text)
    assert "<b>&" not in text
    assert text.count("<script>") == 1
    assert "predictions" in document["missing"]  # the pack knows no such class


def test_steps_recorded_twice_count_once(tmp_path: Path) -> None:
    lines = [
        {"step": 1, "split": "train", "loss": {"a": 3.0}, "lr": 0.1},
        {"step": 2, "split": "train", "loss": {"a": 9.0}, "lr": 0.2},
        {"step": 2, "split": "val", "metrics": {"x": {"a": {"k": 1.0}}, "y": {"a": {"k": 5.0}}}},
        {"step": 2, "split": "train", "loss": {"a": 2.0}, "lr": 0.2},  # resumed
        {"step": 3, "split": "train", "loss": {"a": float("nan")}, "lr": 0.3},
        {"step": 4, "split": "val", "metrics": {"x": {"a": {"k": 2.0}}}},
        "no record",
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 5, "lo')
    records, missing = read_records(path)
    assert missing == ["Line 7 of metrics.jsonl cannot be shown: found '\"no record\"', wanted an object."]
    curves = curves_of(records, None)
    assert curves["loss"] == {"a": [[1, 3.0], [2, 2.0]]}
    assert curves["metrics"] == {"a": {"k": {"x": [[2, 1.0], [4, 2.0]], "y": [[2, 5.0]]}}}
    assert read_records(tmp_path / "none") == ([], [])


def test_long_curves_are_averaged() -> None:
    records = [{"step": i, "loss": {"a": float(i)}} for i in range(1, 1001)]
    curves = curves_of(records, 100)
    assert curves["binned"] == 4
    assert len(curves["loss"]["a"]) == 250
    assert curves["loss"]["a"][0] == [2.5, 2.5]
    json.dumps(curves, allow_nan=False)
