"""The floor beside the metrics: measured on the pack, shown by train and eval, never below the trivial predictors."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vtadapt.data.pack.pack import PackReader
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.workflows.evaluate.floor import floor_cell, floor_notes, not_beaten
from vtadapt.workflows.evaluate.trivial import Asked, trivial_metrics
from vtadapt.workflows.run.data.data_sets import find_recipe
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.sweep.spread import headlines


def test_metrics_of_the_trivial_predictors(tiny: Any) -> None:
    """On the pack itself, computed apart with NumPy."""
    tasks = build_tasks([find_recipe("tiny", tiny.data_dir)], None)
    floor = trivial_metrics(tiny.settings, {"tiny": Asked(tasks)})
    found = floor["metrics"]["tiny"]

    def labels(split: str, name: str) -> np.ndarray[Any, Any]:
        reader = open_reader(tiny.settings, "tiny", split)
        assert isinstance(reader, PackReader)
        return np.concatenate([reader.read(i)[name].astype(np.float64).reshape(-1) for i in range(len(reader))])

    train_depth, val_depth = (labels(split, "depth") for split in ("train", "val"))
    rmse = math.sqrt(((val_depth[val_depth > 0] - train_depth[train_depth > 0].mean()) ** 2).mean())
    assert found["depth"]["rmse/pixel"] == pytest.approx(rmse, rel=1e-3)
    train_ids, val_ids = (labels(split, "semseg") for split in ("train", "val"))
    most = np.bincount(train_ids[train_ids != 255].astype(int)).argmax()
    assert found["semseg"]["pixacc/dataset"] == pytest.approx((val_ids[val_ids != 255] == most).mean(), rel=1e-6)

    key, edges = tasks["edges"].headline, floor["predictors"]["tiny"]["edges"]
    assert set(edges) == {"nowhere", "everywhere", "random", "canny"}
    assert edges["nowhere"][key] == 0.0
    assert 0.1 < edges["random"][key] < 0.5  # noise alone is far above nothing, even at a tolerance below a pixel
    assert edges["canny"][key] > edges["random"][key]
    assert found["edges"][key] == edges["canny"][key]
    assert floor["of"]["tiny"]["edges"] == {key: "canny", "f1/t0.5": "canny", "l1/pixel": "nowhere"}
    assert floor_cell(floor, "tiny", "edges", key) == f"{edges['canny'][key]:.3f} canny"
    (line,) = floor_notes(floor, headlines(tasks))
    assert [word for word in line.replace(",", "").split() if word in edges][:2] == ["canny", "random"]

    better = {}
    for name, metrics in found.items():
        key = tasks[name].headline
        better[name] = {key: metrics[key] + (0.01 if tasks[name].higher_is_better(key) else -0.01)}
    assert not_beaten({"tiny": better}, {"tiny": found}, tasks) == []
    assert not_beaten({"tiny": found}, {"tiny": found}, tasks) == [f"tiny {name}" for name in tasks]
    assert not_beaten({"tiny": {**better, "depth": {"rmse/pixel": math.nan}}}, {"tiny": found}, tasks) == ["tiny depth"]


def test_batches_and_order_do_not_count(tiny: Any, tmp_path: Any) -> None:
    tasks = build_tasks([find_recipe("tiny", tiny.data_dir)], ["edges", "depth"])
    first = trivial_metrics(tiny.settings, {"tiny": Asked(tasks)}, limit=5)
    again = trivial_metrics(tiny.other(tmp_path, batch_size=3), {"tiny": Asked(tasks)}, limit=5)
    assert first == again


def test_train_and_eval_show_the_floor(tiny: Any, cli: Callable[..., Any], tmp_path: Any) -> None:
    saved = json.loads((tiny.run / "results.json").read_text())
    tasks = build_tasks([find_recipe("tiny", tiny.data_dir)], None)
    floor = trivial_metrics(tiny.settings, {"tiny": Asked(tasks)})
    assert saved["trivial"] == floor
    assert saved["not_above_trivial"] == not_beaten(saved["metrics"], floor["metrics"], tasks)
    run = shutil.copytree(tiny.run, tmp_path / tiny.run.name)  # eval writes into it
    shown = cli("eval", run, "--run-dir", tmp_path)
    key = tasks["edges"].headline
    row = next(line for line in shown.out.splitlines() if key in line)
    assert row.split("│")[3].strip() == f"{saved['metrics']['tiny']['edges'][key]:.4f}"
    assert row.split("│")[4].split() == [f"{floor['metrics']['tiny']['edges'][key]:.3f}", "canny"]
    ran = cli("eval", run, "--run-dir", tmp_path, "--limit", 3, "--json")
    few = json.loads(ran.out)["trivial"]
    assert few == trivial_metrics(tiny.settings, {"tiny": Asked(tasks)}, limit=3)
    assert few["metrics"]["tiny"]["depth"] != floor["metrics"]["tiny"]["depth"]
