"""A report of broken sources, and reports that are refused before anything is replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtadapt.checked import parse_json
from vtadapt.errors import DataError, UsageError
from vtadapt.workflows.report.report import ReportOptions, report

PLAIN = ReportOptions(images=0)


@pytest.mark.parametrize("name", ["config", "results", "affinity"])
def test_no_file_of_a_run_is_replaced(cli: Callable[..., Any], run: Path, tmp_path: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for folder in (run, tmp_path / "elsewhere"):
        ran = cli("report", run, "--images", 0, "--out", folder / f"{name}.html")
        assert (ran.code, ran.out) == (2, "")
        assert f"{name}.json" in ran.err
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("content", ['{"metrics": {}}', "[1]", "no JSON"])
def test_only_the_json_of_a_report_is_replaced(run: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(UsageError, match=r"mine\.json'.*no report"):
        report(run, tmp_path / "mine.html", PLAIN, quiet=True)
    assert (tmp_path / "mine.json").read_text() == content
    assert not (tmp_path / "mine.html").exists()
    for _ in range(2):  # the second replaces the first
        report(run, tmp_path / "page.html", PLAIN, quiet=True)


def test_a_good_page_outlives_a_wrong_command(cli: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    (run / "report.html").write_text("good")
    with pytest.raises(UsageError, match="no split 'vall'.*Did you mean 'val'"):
        report(run, options=ReportOptions("vall", 1), quiet=True)
    with pytest.raises(DataError, match="no data set 'tiny' in .*none"):
        report(run, options=ReportOptions(images=1, data_dir=tmp_path / "none"), quiet=True)
    assert cli("report", run, "--split", "bogus").code == 2
    assert cli("report", run, "--data-dir", tmp_path / "none").code == 3
    assert (run / "report.html").read_text() == "good"
    assert not (run / "report.json").exists()


def edited(run: Path, **changes: Any) -> str:
    """``results.json`` with other entries."""
    return json.dumps(parse_json((run / "results.json").read_bytes()) | changes)


@pytest.mark.parametrize(
    ("changes", "section", "said"),
    [
        ({"train_seconds": "abc"}, "run", "train_seconds of results.json cannot be shown"),
        ({"steps": [1]}, "run", "steps of results.json cannot be shown"),
        ({"metrics": {"rooms": 5}}, "metrics", "metrics/rooms is '5', wanted an object"),
        ({"metrics": {"rooms": {"depth": {"rmse/pixel": "low"}}}}, "metrics", "rmse/pixel is 'low', wanted a number"),
        ({"counts": {"tiny": {"depth": 3}}}, "metrics", "counts/tiny/depth is '3', wanted an object"),
        ({"metrics": None}, "metrics", "metrics is 'None', wanted an object"),
    ],
)
def test_odd_results_are_said(run: Path, changes: dict[str, Any], section: str, said: str) -> None:
    (run / "results.json").write_text(edited(run, **changes))
    document = report(run, options=PLAIN, quiet=True)
    assert len(document["missing"][section]) == 1
    assert said in document["missing"][section][0]
    text = (run / "report.html").read_text(encoding="utf-8")
    assert said.split(" is ")[0] in text
    assert bool(document["measured"]) == (section == "run")


def test_files_that_are_no_json_are_said(cli: Callable[..., Any], run: Path) -> None:
    for name in ("results.json", "eval-val.json", "affinity.json"):
        (run / name).write_text('{"metrics": ')
    ran = cli("report", run, "--images", 0, "--json")
    assert ran.code == 0, ran.err
    missing = json.loads(ran.out)["missing"]
    assert [text.partition(" cannot be shown")[0] for text in missing["metrics"]] == ["results.json", "eval-val.json"]
    assert missing["affinity"][0].startswith("affinity.json cannot be shown")


def test_odd_records_are_said(run: Path) -> None:
    good = (run / "metrics.jsonl").read_text()
    lines = ['{"step": 1, "loss": 5}', '{"step": 2, "metrics": {"tiny": 3}}', '{"step": NaN, "loss": {"depth": 1}}']
    (run / "metrics.jsonl").write_text("\n".join([*lines, good]))
    document = report(run, options=PLAIN, quiet=True)
    (said,) = document["missing"]["curves"]
    assert said == "Line 1 and 2 more of metrics.jsonl cannot be shown: loss is '5', wanted an object."
    assert document["curves"]["loss"]["depth"]


def test_nulls_are_dashes_without_a_bar(run: Path) -> None:
    results = parse_json((run / "results.json").read_bytes())
    values = results["metrics"]["tiny"]["semseg"]
    key = next(key for key in values if key.startswith("iou/"))
    values[key], results["metrics"]["tiny"]["depth"]["rmse/pixel"] = None, float("nan")
    (run / "results.json").write_text(json.dumps(results))
    document = report(run, options=PLAIN, quiet=True)
    assert "metrics" not in document["missing"]
    assert document["measured"][0]["metrics"]["tiny"]["depth"]["rmse/pixel"] is None


def test_a_column_of_nothing_is_left_out(run: Path) -> None:
    for counts, shown in ({"tiny": {"depth": {"images": 6}}}, True), ({}, False):
        (run / "results.json").write_text(edited(run, counts=counts))
        report(run, options=PLAIN, quiet=True)
        text = (run / "report.html").read_text(encoding="utf-8")
        assert ("images with a label" in text) is shown
