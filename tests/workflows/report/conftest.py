"""A run to be written into, and its report, made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.report.report import ReportOptions, report


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    """A copy of the tiny run, to be written into."""
    return Path(shutil.copytree(tiny.run, tmp_path / "copy"))


def learned(tasks: Sequence[str]) -> dict[str, Any]:
    """What a longer training writes as affinity.json."""
    count = len(tasks)
    marked = [[s > t for t in range(count)] for s in range(count)]
    history = []
    for step in range(10, 200, 10):
        matrix: list[list[Any]] = [[1.0 if s == t else step / 400 for t in range(count)] for s in range(count)]
        matrix[0][1] = None
        history.append({"step": step, "marked": marked, **dict.fromkeys(("matrix", "mean", "error", "sd"), matrix)})
    about = {"format": 2, "data": "tiny", "split": "train", "batches": 19, "measure": "troa", "step": 190}
    return {**about, "tasks": list(tasks), **history[-1], "error": history[0]["matrix"], "history": history}


@pytest.fixture(scope="package")
def written(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The page of the tiny run, made once, and its document."""
    run = Path(shutil.copytree(tiny.run, tmp_path_factory.mktemp("report") / "tiny-0001"))
    evaluate_run(run, EvalOptions(split="train", limit=3))
    (run / "affinity.json").write_text(json.dumps(learned(("semseg", "depth", "normals", "edges"))))
    document = report(run, options=ReportOptions(images=6), quiet=True)
    return run / "report.html", document
