"""``vtadapt affinity``: what it measures, prints and writes, what it warns of, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from vtadapt.checked import parse_json
from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.workflows.affinity.run_affinity import warnings_of
from vtadapt.workflows.affinity.words import advice_of
from vtadapt.workflows.run.files import read_lines
from vtadapt.workflows.run.load import load_run
from vtadapt.workflows.run.loaders import open_reader
from vtadapt.workflows.train.troa import batch_cosines

TASKS = ["semseg", "depth", "normals", "edges"]
KEYS = {"format", "run", "data", "split", "measure", "tasks", "batches", "images_per_batch", "seed", "theta"}
KEYS |= {"left_out", "matrix", "mean", "sd", "error", "count", "marked", "split_half", "files", "images", "exhausted"}
SMALL = ("--batches", 3, "--batch-size", 4)
Cli = Callable[..., Any]


def array(matrix: Any) -> np.ndarray:
    return np.array(matrix, dtype=np.float64)


def not_blank(path: Path) -> bool:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return pixels.shape[0] > 100 and pixels.shape[1] > 100 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_what_training_leaves(runs: Callable[..., Path], tiny: Any) -> None:
    run = runs()
    learned = parse_json((run / "affinity.json").read_bytes())
    lines = read_lines(run / "metrics.jsonl")
    history = [{k: v for k, v in line.items() if k != "split"} for line in lines if line["split"] == "troa"]
    assert learned["history"] == history
    assert [record["step"] for record in history] == [1, 2, 3]
    assert (learned["tasks"], learned["step"], learned["measure"], learned["batches"]) == (TASKS, 3, "troa", 3)
    saved = load_file(run / "model.safetensors")["affinity"].numpy()
    assert array(learned["matrix"]) == pytest.approx(saved, abs=1e-6)
    assert np.abs(saved - np.eye(4)).max() > 0.01
    assert array(learned["weights"]).sum(0) == pytest.approx(np.ones(4), abs=1e-5)
    assert not (tiny.run / "affinity.json").exists(), "6 steps, and an update is due after 30"


def test_keys_and_shapes(measure: Callable[..., dict[str, Any]], runs: Callable[..., Path], tmp_path: Path) -> None:
    result = measure()
    assert result.pop("stderr")
    assert result.keys() == KEYS | {"history"}
    assert (result["tasks"], result["data"], result["split"], result["measure"]) == (TASKS, "tiny", "train", "troa")
    assert (result["batches"], result["images_per_batch"]) == (3, 4)
    assert all(array(result[key]).shape == (4, 4) for key in ("matrix", "mean", "sd", "error", "count", "marked"))
    assert result["count"] == [[12] * 4] * 4
    A, C, error = (array(result[key]) for key in ("matrix", "mean", "error"))
    assert np.diag(A) == pytest.approx(np.ones(4), abs=1e-5)
    assert bool(((A >= 0) & (A <= 1)).all())
    assert np.abs(C).max() <= 1
    off = ~np.eye(4, dtype=bool)
    shrunk = np.maximum(C, 0) ** 3 / (C**2 + error**2)
    assert A[off] == pytest.approx(shrunk[off], abs=1e-5)
    assert error == pytest.approx(array(result["sd"]) / np.sqrt(12), abs=1e-6)
    assert result["marked"] == (~(np.abs(C) >= 2 * error)).tolist()
    assert -1 <= result["split_half"] <= 1
    assert result["history"] == parse_json((runs() / "affinity.json").read_bytes())["history"]
    assert result["files"] == {"npz": str(tmp_path / "affinity.npz"), "json": str(tmp_path / "affinity.json")}
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "affinity.json", "affinity.npz"]


def test_rows_are_sources_and_columns_are_targets(
    measure: Callable[..., dict[str, Any]], runs: Callable[..., Path]
) -> None:
    loaded = load_run(runs())
    data = PackDataset(open_reader(loaded.settings, "tiny", "train"), loaded.tasks)
    found = batch_cosines(loaded.model, loaded.tasks, collate([data[i] for i in range(12)]), blocks=True)  # type: ignore[arg-type]
    mean, sd = found[0].mean(0).numpy(), found[0].std(0).numpy()
    assert np.abs(mean - mean.T).max() > 1e-3, "else this test shows nothing"
    result = measure("--per-block")
    assert array(result["mean"]) == pytest.approx(mean, abs=1e-5)
    assert array(result["sd"]) == pytest.approx(sd, abs=1e-5)
    blocks = [array(block["mean"]) for block in result["blocks"].values()]
    assert len(blocks) == len(found)
    assert np.stack(blocks) == pytest.approx(found.mean(1).numpy(), abs=1e-5)


def test_the_table_on_the_terminal(cli: Cli, runs: Callable[..., Path], tmp_path: Path) -> None:
    ran = cli("affinity", runs(), *SMALL, "--out", tmp_path, "--groups", 2, "--quiet")
    assert ran.code == 0, ran.err
    assert "source (down) helps target (across)" in ran.out
    assert "troa: tiny train, 3 batches, 12 images" in ran.out
    assert all(task in ran.out for task in TASKS)
    assert ran.out.count("1.00 ") >= 4
    assert ran.out.count("+-0.00 ") >= 4
    assert "groups for 2: " in ran.out
    assert "above the next best" in ran.out
    assert ran.out.endswith(f"{tmp_path / 'affinity.npz'}\n{tmp_path / 'affinity.json'}\n")


def test_the_default_folder_is_in_the_run(cli: Cli, runs: Callable[..., Path]) -> None:
    run = runs()
    learned = (run / "affinity.json").read_bytes()
    ran = cli("affinity", run.name, "--run-dir", run.parent, "--batches", 2, "--batch-size", 2, "--measure", "cosine")
    assert ran.code == 0, ran.err
    assert (run / "affinity" / "cosine" / "affinity.json").is_file()
    assert (run / "affinity" / "cosine" / "affinity.npz").is_file()
    assert (run / "affinity.json").read_bytes() == learned, "what training learned is not overwritten"


def test_pictures(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    files = measure("--plot", "--per-block")["files"]
    assert sorted(files) == ["blocks", "evolution", "json", "npz", "plot"]
    for kind in ("plot", "blocks", "evolution"):
        assert Path(files[kind]).parent == tmp_path
        assert not_blank(Path(files[kind])), kind


def test_blocks_are_named_and_whole(measure: Callable[..., dict[str, Any]]) -> None:
    result = measure("--per-block")
    assert list(result["blocks"]) == ["stage 3 block 5", "stage 3 block 6", "stage 4 block 1", "stage 4 block 2"]
    first = result["blocks"]["stage 3 block 5"]
    for key in ("matrix", "mean", "sd", "error", "count", "marked", "split_half"):
        assert first[key] == result[key], "the first block's features are what A is made of"
    assert result["blocks"]["stage 4 block 2"]["mean"] != first["mean"]


def test_npz_holds_the_same(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    result = measure()
    with np.load(tmp_path / "affinity.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert sorted(arrays) == ["batches", "count", "data", "error", "matrix", "mean", "measure", "sd", "tasks"]
    for key in ("matrix", "mean", "sd", "error"):
        assert arrays[key].dtype == np.float64
        np.testing.assert_array_equal(arrays[key], array(result[key]))
    assert arrays["tasks"].tolist() == TASKS
    assert (str(arrays["measure"]), str(arrays["data"]), int(arrays["batches"])) == ("troa", "tiny", 3)
    assert arrays["count"].tolist() == result["count"]


def test_cosine_is_symmetric(measure: Callable[..., dict[str, Any]]) -> None:
    result = measure("--measure", "cosine")
    C = array(result["mean"])
    assert pytest.approx(C.T, abs=1e-6) == C
    assert result["matrix"] == result["mean"], "signed: nothing is clamped"
    assert np.diag(C) == pytest.approx(np.ones(4), abs=1e-6)


def test_lookahead(measure: Callable[..., dict[str, Any]]) -> None:
    result = measure("--measure", "lookahead", "--lr", "1e-3", "--per-block", "--batches", 2, "--batch-size", 2)
    Z = array(result["matrix"])
    assert bool((np.diag(Z) > 0).all()), "a short step of its own lowers a loss"
    assert result["theta"] == "shared adapter parameters, lr 0.001"
    assert result["count"] == [[2] * 4] * 4, "one observation a batch"
    assert all(v is not None for row in result["sd"] for v in row)
    parts = sum(np.diag(array(block["matrix"])) for block in result["blocks"].values())
    assert parts == pytest.approx(np.diag(Z), rel=0.05), "to first order the blocks add up"
    assert measure("--measure", "lookahead", "--batches", 2, "--batch-size", 1)["theta"].endswith("lr 0.01"), (
        "the run's own"
    )


def test_permuted_labels_are_a_floor(measure: Callable[..., dict[str, Any]]) -> None:
    result = measure("--measure", "permuted")
    assert result["measure"] == "permuted"
    assert bool((np.diag(array(result["mean"])) < 0.999).all()), "labels of another image"
    assert result["count"] == [[12] * 4] * 4


def test_learned_is_what_training_arrived_at(measure: Callable[..., dict[str, Any]], runs: Callable[..., Path]) -> None:
    result = measure("--measure", "learned", "--groups", 2)
    wanted = {**parse_json((runs() / "affinity.json").read_bytes()), "measure": "learned"}
    assert {key: result[key] for key in wanted} == wanted
    assert sorted(sum(result["groups"]["groups"], [])) == sorted(TASKS)


def test_auto_measures_where_the_data_is_and_else_shows_what_was_learned(
    measure: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert measure("--batches", 2)["measure"] == "troa"
    result = measure("--data-dir", tmp_path / "none")
    assert [record["step"] for record in result["history"]] == [1, 2, 3]
    assert result["matrix"] == result["history"][-1]["matrix"]
    assert "tiny is not prepared here: showing the affinity that the run's training learned" in result["stderr"]


def test_the_choice_of_images(measure: Callable[..., dict[str, Any]]) -> None:
    few = ("--batches", 2, "--batch-size", 2)
    first, again, other = measure(*few), measure(*few), measure(*few, "--seed", 5)
    assert first["mean"] == again["mean"]
    assert first["mean"] != other["mean"]
    assert measure("--split", "val")["count"] == [[4] * 4] * 4  # of 6 images one whole batch


def test_groups(measure: Callable[..., dict[str, Any]]) -> None:
    groups = measure("--groups", 2)["groups"]
    assert groups["budget"] == 2
    assert sorted(sum(groups["groups"], [])) == sorted(TASKS)
    assert len(groups["groups"]) <= 2
    assert groups["total"] == pytest.approx(sum(groups["per_task"].values()))
    assert groups["lead"] >= 0
    assert groups["lead_error"] > 0
    assert groups["exact"]
    assert groups["unmeasured"] == []


def test_a_matrix_of_few_batches_says_that_it_is_noise(measure: Callable[..., dict[str, Any]]) -> None:
    for seed in range(4):
        result = measure("--batches", 2, "--batch-size", 1, "--seed", seed)
        warnings = [line for line in result["stderr"].splitlines() if line.startswith("warning: ")]
        noisy = any("largely noise; raise --batches above 2" in line for line in warnings)
        assert noisy == (result["split_half"] < 0.9)
        marked = [
            f"{s} -> {t}"
            for s, row in zip(TASKS, result["marked"], strict=True)
            for t, mark in zip(TASKS, row, strict=True)
            if mark
        ]
        told = [line for line in warnings if "not told apart from noise" in line]
        assert bool(marked) == bool(told)
        assert all(pair in told[0] for pair in marked)
        if noisy and marked:
            return
    pytest.fail("two images agreed four times")


def two_tasks(mean: float, error: float, batches: int = 8) -> dict[str, Any]:
    """What a measurement of two tasks returns, as far as its warnings read it."""
    noise = abs(mean) < 2 * error
    return {
        **{"measure": "troa", "tasks": ["depth", "normals"], "batches": batches, "images": 8 * batches},
        **{"exhausted": False, "split_half": None, "mean": [[1.0, mean], [mean, 1.0]]},
        "marked": [[False, noise], [noise, False]],
    }


def test_two_tasks_are_judged_by_their_errors() -> None:
    """Two cells correlate by 1 or -1 whatever they are."""
    assert warnings_of(two_tasks(0.3, 0.01)) == []
    (line,) = warnings_of(two_tasks(0.01, 0.1))
    assert "depth -> normals, normals -> depth" in line
    assert any("1 batches" in line for line in warnings_of(two_tasks(0.3, 0.01, batches=1)))


def test_the_advice_names_who_helps_whom_most() -> None:
    names = ["a", "b", "c"]
    mean = [[1.0, 0.2, -0.3], [0.01, 1.0, 0.4], [0.3, None, 1.0]]  # of sources down, for targets across
    noise = [[False, False, False], [True, False, False], [False, False, False]]
    error = [[0.0, 0.01, 0.01], [0.1, 0.0, 0.01], [0.01, None, 0.0]]
    result = {
        **{"measure": "learned", "tasks": names, "matrix": [[v and max(v, 0) for v in row] for row in mean]},
        **{"mean": mean, "error": error, "marked": noise},
    }
    told = advice_of(result)
    assert told[:3] == ["a is helped most by c (0.3)", "b is helped most by a (0.2)", "c is helped most by b (0.4)"]
    assert "never measured, no image has both labels: c -> b" in told
    assert "not told apart from noise: b -> a" in told
    assert "harm: a -> c (-0.3)" in told
    assert told[-1].startswith("groups for 2: ")
    assert "groups" not in result
    mean[0][1], noise[0][1] = -0.2, False
    assert "b is helped by none beyond noise" in advice_of(result | {"matrix": mean})


def test_two_tasks_are_measured_without_a_warning_of_the_halves(
    measure: Callable[..., dict[str, Any]], runs: Callable[..., Path]
) -> None:
    result = measure(run=runs(tasks=["depth", "normals"]))
    assert result["split_half"] is None
    assert "halves" not in result["stderr"]


def test_sets_that_share_no_image(
    measure: Callable[..., dict[str, Any]], runs: Callable[..., Path], tmp_path: Path
) -> None:
    run = runs(data="look+shape", batch_size=2)
    tasks = ["semseg", "edges", "depth", "normals"]
    together = np.kron(np.eye(2), np.ones((2, 2))).astype(bool)
    learned = parse_json((run / "affinity.json").read_bytes())
    assert (np.isfinite(array(learned["mean"])) == together).all()
    assert array(learned["weights"])[~together] == pytest.approx(np.full(8, 0.25), abs=1e-6)
    for name in ("lookahead", "troa"):
        result = measure(
            "--measure", name, "--batches", 4, "--groups", 2, *(["--plot"] if name == "troa" else []), run=run
        )
        assert result["tasks"] == tasks
        assert (np.isfinite(array(result["mean"])) == together).all(), "no image, no number"
        assert (array(result["count"]) > 0).tolist() == together.tolist()
        assert result["split_half"] is None or -1 <= result["split_half"] <= 1
        told = [line for line in result["stderr"].splitlines() if "no image has both labels" in line]
        assert len(told) == 1
        assert all(pair in told[0] for pair in ("semseg -> depth", "depth -> semseg", "normals -> edges"))
        assert len(result["groups"]["unmeasured"]) == 8
        with np.load(tmp_path / "affinity.npz") as file:
            assert (np.isfinite(file["mean"]) == together).all()
    assert not_blank(tmp_path / "affinity.png")


def test_another_data_set_than_the_runs(measure: Callable[..., dict[str, Any]]) -> None:
    result = measure("--data", "look")
    assert result["data"] == "look"
    seen = np.zeros((4, 4), dtype=bool)
    seen[np.ix_([0, 3], [0, 3])] = True  # semseg and edges
    assert (np.isfinite(array(result["mean"])) == seen).all()
