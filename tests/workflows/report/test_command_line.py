"""``vtadapt report`` on the command line, and errors that leave the old page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtadapt.errors import ConfigError, DataError, UsageError
from vtadapt.workflows.report import report as workflow
from vtadapt.workflows.report.report import ReportOptions, report


def test_the_command_line(cli: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    ran = cli("report", run, "--images", 2, "--quiet", "--out", tmp_path / "new" / "a.html")
    assert (ran.code, ran.out) == (0, f"{tmp_path / 'new' / 'a.html'}\n")
    assert ran.err == "note: No affinity was learned in training; vtadapt affinity --plot measures it.\n"
    ran = cli("report", run, "--images", 0, "--json")
    assert json.loads(ran.out)["files"]["html"] == str(run / "report.html")
    for line, code, said in (
        (("report", tmp_path / "none"), 4, "no run "),
        (("report", run, "--out", "page.txt"), 2, "wanted the name of an .html file"),
        (("report", run, "--images", 0, "--quiet", "--out", run / "config.json" / "a.html"), 3, "cannot write"),
    ):
        ran = cli(*line)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert said in ran.err.splitlines()[-1]
        assert "Traceback" not in ran.err


def test_errors_leave_the_old_page(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "report.html").write_text("old")

    def broken(*_: Any) -> str:
        raise DataError("no")

    with monkeypatch.context() as patch, pytest.raises(DataError):
        patch.setattr(workflow, "render", broken)
        report(run, options=ReportOptions(images=0), quiet=True)
    assert (run / "report.html").read_text() == "old"
    with pytest.raises(UsageError, match="html file"):
        report(run, run, ReportOptions(images=0))
    (run / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ConfigError, match="broken checkpoint"):
        report(run)
    assert not list(run.glob(".*partial"))
