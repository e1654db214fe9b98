"""A comparison for other programs: every number as CSV, the table as LaTeX."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.compare.conftest import base
from vtadapt.workflows.compare.compare import CompareOptions, compare
from vtadapt.workflows.compare.exported import compared_csv, compared_latex
from vtadapt.workflows.sweep.show import show_sweep


@pytest.fixture
def result(tiny: Any, tmp_path: Path, small: None) -> dict[str, Any]:  # noqa: ARG001
    options = CompareOptions("stl,linear", "2", "steps=1", 0, images=0, tables=("csv", "latex"))
    return compare(base(tiny, tmp_path), options, quiet=True)


@pytest.mark.slow
def test_files_hold_what_the_json_holds(result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(result["folder"])
    assert result["files"] == {"csv": str(folder / "table.csv"), "latex": str(folder / "table.tex")}
    assert json.loads((folder / "compare.json").read_text())["files"] == result["files"]
    rows = list(csv.DictReader(io.StringIO((folder / "table.csv").read_text())))
    assert [row["method"] for row in rows] == ["stl", "linear"]
    for row in rows:
        entry = result["methods"][row["method"]]
        metric = entry["metrics"]["tiny"]["depth"]["rmse/pixel"]
        found = [row[f"tiny depth rmse/pixel{part}"] for part in ("", " sd", " seeds")]
        assert [float(cell) for cell in found] == [metric["mean"], metric["sd"], 2]
        assert int(row["trained_parameters"]) == entry["trained_parameters"]
        assert float(row["delta_m"]) == entry["delta_m"]["mean"]
    text = (folder / "table.tex").read_text()
    body = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    assert [line.split(" & ")[0] for line in body] == ["stl", "linear"]
    means = [entry["metrics"]["tiny"]["depth"]["rmse/pixel"]["mean"] for entry in result["methods"].values()]
    best = body[means.index(min(means))].split(" & ")[2]
    assert "\\mathbf" in best
    assert "\\pm" in best
    assert "% 2 seeds" in text or "seed" in text

    show_sweep({**result, "files": {"csv": result["files"]["csv"]}}, False, "compare", lambda _: [], lambda _: ["note"])
    assert capsys.readouterr().out == (folder / "table.csv").read_text()
    show_sweep(result, False, "compare", lambda _: [], lambda _: ["note"])
    assert capsys.readouterr().out.splitlines()[-2:] == [*result["files"].values()]


def test_what_was_not_measured_is_empty() -> None:
    spread = {"mean": 0.5, "sd": None, "n": 1}
    cost = dict.fromkeys(("delta_m", "delta_m_first_stl", "seconds_per_step", "used_seconds", "peak_memory"))
    entry = {**cost, "encoder": "e", "trained_parameters": None, "total_parameters": None, "steps": None}
    result = {
        "data": "x_y", "seeds": [0], "fairness": "all alike",
        "trivial": {"metrics": {"x_y": {"semseg": {}}}},
        "headlines": {"semseg": {"metric": "miou/dataset", "higher_is_better": True, "units": ""}},
        "methods": {
            "a": {**entry, "metrics": {"x_y": {"semseg": {"miou/dataset": spread}}}},
            "b_1": {**entry, "metrics": {}},
        },
    }  # fmt: skip
    rows = list(csv.reader(io.StringIO(compared_csv(result))))
    assert rows[1][2:5] == ["0.5", "", "1"]
    assert rows[2][2:5] == ["", "", ""]
    text = compared_latex(result)
    assert "a & $\\mathbf{0.500}$ & -- & -- \\\\" in text
    assert "b\\_1 & -- & -- & -- \\\\" in text
