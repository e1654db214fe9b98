"""Metrics and confusion matrices for other programs, read back."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vtadapt.viz.matrices.confusion import confusion_picture
from vtadapt.workflows.evaluate.evaluate import EvalOptions, evaluate_run
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import build_eval, open_reader
from vtadapt.workflows.terminal.exported import csv_text, latex_table, latex_text


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    """A copy of the tiny run, whose name has a sign that LaTeX and CSV know."""
    return Path(shutil.copytree(tiny.run, tmp_path / "a_copy, 100%"))


def test_every_number_is_in_the_csv(cli: Callable[..., Any], run: Path) -> None:
    ran = cli("eval", run, "--csv")
    assert ran.code == 0, ran.err
    assert (run / "eval-val.csv").read_text() == ran.out  # printed in place of the table
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    content = json.loads((run / "eval-val.json").read_text())
    wanted = {(task, key): value for task, each in content["metrics"]["tiny"].items() for key, value in each.items()}
    assert {(row["task"], row["metric"]): float(row["value"]) for row in rows} == wanted
    depth = next(row for row in rows if row["metric"] == "rmse/pixel")
    assert (depth["run"], depth["data"], depth["units"], depth["higher_is_better"]) == (str(run), "tiny", "m", "False")
    assert float(depth["trivial"]) == content["trivial"]["metrics"]["tiny"]["depth"]["rmse/pixel"]
    assert int(depth["pixels"]) == content["counts"]["tiny"]["depth"]["pixels"]


def test_latex(cli: Callable[..., Any], run: Path) -> None:
    ran = cli("eval", run, "--latex")
    assert (ran.code, (run / "eval-val.tex").read_text()) == (0, ran.out)
    body = ran.out[ran.out.index("\\midrule") : ran.out.index("\\bottomrule")].splitlines()[1:]
    assert all(line.count(" & ") == 3 and line.endswith(" \\\\") for line in body)
    content = json.loads((run / "eval-val.json").read_text())
    metrics = content["metrics"]["tiny"]
    rmse = next(line for line in body if "rmse/pixel" in line)
    assert float(re.sub(r"\\textit\{(.*)\}", r"\1", rmse.split(" & ")[2])) == pytest.approx(
        metrics["depth"]["rmse/pixel"], rel=1e-3
    )
    assert "downarrow" in rmse
    assert not any("iou/" in line and "miou" not in line for line in body)  # those of single classes
    assert "a\\_copy, 100\\%" in ran.out
    for place in content["not_above_trivial"]:
        assert place.split()[1] in ran.out


def test_several_files_leave_the_table(cli: Callable[..., Any], run: Path) -> None:
    ran = cli("eval", run, "--csv", "--latex", "--limit", 2)
    assert ran.code == 0
    paths = [line for line in ran.out.splitlines() if line.startswith(str(run))]
    assert paths == [str(run / "eval-val-2images.csv"), str(run / "eval-val-2images.tex")]
    found = json.loads(cli("eval", run, "--csv", "--confusion", "--json").out)
    assert found["files"] == {"csv": str(run / "eval-val.csv")}
    assert [Path(path).name for path in found["confusions"]["tiny"]["semseg"]] == [
        "confusion-tiny-semseg-val.csv",
        "confusion-tiny-semseg-val.png",
    ]
    plain = json.loads(cli("eval", run, "--json").out)
    assert not {"files", "confusions"} & plain.keys()


def test_the_confusion_matrix_is_counted_pixel_by_pixel(tiny: Any, run: Path) -> None:
    found = evaluate_run(run, EvalOptions(confusion=True, trivial=False))
    table, drawn = (Path(path) for path in found["confusions"]["tiny"]["semseg"])
    with table.open(newline="") as file:
        heads, *rows = csv.reader(file)
    loaded = load_run(run)
    classes = loaded.tasks["semseg"].classes
    assert (heads[1:], [row[0] for row in rows]) == ([*classes], [*classes])
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows])
    wanted = np.zeros_like(counts)
    settings = loaded.settings.model_copy(update={"data_dir": tiny.data_dir})
    for batch in build_eval(open_reader(settings, "tiny", "val"), loaded.tasks, 1, None):
        with torch.no_grad():
            said = loaded.model(batch["image"])["semseg"].argmax(1)
        truth = batch["targets"]["semseg"]
        for t, p in zip(truth[truth != 255].tolist(), said[truth != 255].tolist(), strict=True):
            wanted[t, p] += 1
    np.testing.assert_array_equal(counts, wanted)
    assert counts.sum() == found["counts"]["tiny"]["semseg"]["pixels"]
    with Image.open(drawn) as picture:
        assert min(picture.size) > 200


def test_the_picture_leaves_out_what_is_not_there() -> None:
    counts = np.zeros((60, 60), int)
    counts[3, 3], counts[3, 7], counts[9, 9] = 90, 10, 5
    few = confusion_picture(counts, [f"class {i}" for i in range(60)], "t", "f")
    many = confusion_picture(np.eye(60, dtype=int), [f"class {i}" for i in range(60)], "t", "f")
    assert few.shape[0] < many.shape[0]
    assert confusion_picture(np.zeros((2, 2), int), ["a", "b"], "t", "f").shape[2] == 3


def test_signs_of_other_languages() -> None:
    assert latex_text("50 % of a_b & c#\\d {~^} <x> $1") == (
        "50 \\% of a\\_b \\& c\\#\\textbackslash{}d \\{\\textasciitilde{}\\textasciicircum{}\\} "
        "\\textless{}x\\textgreater{} \\$1"
    )
    rows = [["a, b", 'say "hi"', None], ["line\nbreak", 1.5, True]]
    assert list(csv.reader(io.StringIO(csv_text(["x", "y", "z"], rows)))) == [
        *(["x", "y", "z"], ["a, b", 'say "hi"', ""], ["line\\nbreak", "1.5", "True"]),
    ]
    table = latex_table(["a", "b"], [["1", "2"]], "50 %", ["über\nall"])
    assert table.startswith("% \\usepackage{booktabs}\n% ?ber all\n\\begin{table}")
    assert "{lr}" in table
    assert "\\caption{50 \\%}" in table
