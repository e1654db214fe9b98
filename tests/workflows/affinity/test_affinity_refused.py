"""What ``vtadapt affinity`` refuses, each with one line and its exit code, and that it leaves the run as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtadapt.checked import parse_json
from vtadapt.workflows.affinity.measure import AffinityOptions, _batches
from vtadapt.workflows.affinity.pictures import displayed
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.load import load_run

SMALL = ("--batches", 3, "--batch-size", 4)
Cli = Callable[..., Any]

REFUSED = [
    (("--measure", "troaa"), 2, "unknown measure 'troaa'; wanted one of troa, cosine, lookahead, permuted, learned"),
    (("--measure", "troaa"), 2, "Did you mean 'troa'"),
    (("--measure", "permuted", "--batch-size", 1), 2, "wanted --batch-size >= 2"),
    (("--groups", 0), 2, "--groups 0: wanted 1 to 4, the number of tasks"),
    (("--groups", 5), 2, "wanted 1 to 4"),
    (("--lr", 0), 2, "--lr 0: wanted a positive number"),
    (("--measure", "learned", "--per-block"), 2, "found --per-block beside it"),
    (("--data", "tiny+tiny"), 4, "named twice"),
    (("--measure", "lookahead", "--lr", 1e30), 3, "no loss was finite after the look-ahead's steps; lower --lr"),
    (("--data", "lok"), 2, "unknown data set 'lok'"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_what_is_refused(
    cli: Cli, runs: Callable[..., Path], tmp_path: Path, arguments: tuple[Any, ...], code: int, said: str
) -> None:
    ran = cli("affinity", runs(), "--batches", 2, "--batch-size", 2, "--quiet", "--out", tmp_path, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("vtadapt: error: ")
    assert said in ran.err
    assert not list(tmp_path.iterdir())


def test_one_batch_is_no_choice(cli: Cli, runs: Callable[..., Path]) -> None:
    ran = cli("affinity", runs(), "--batches", 1)
    assert ran.code == 2
    assert "Usage" in ran.err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ["depth"]}, "has one task (depth); an affinity wants two or more in --tasks"),
        ({"method": "linear"}, "is a 'linear' run without adapters"),
    ],
    ids=["one task", "linear"],
)
def test_runs_without_an_affinity(cli: Cli, runs: Callable[..., Path], changes: dict[str, Any], said: str) -> None:
    run = runs(batch_size=12, **changes)
    assert not (run / "affinity.json").exists()
    for measure, text in (("troa", said), ("learned", "learned no affinity")):
        ran = cli("affinity", run, "--measure", measure, "--json")
        assert (ran.code, ran.out) == (4, "")
        assert len(ran.err.splitlines()) == 1
        assert text in ran.err
        assert not (run / "affinity").exists()


def test_no_image_with_two_labels(cli: Cli, runs: Callable[..., Path], tmp_path: Path) -> None:
    run = runs(data="look+shape", tasks=["semseg", "depth"], batch_size=6)
    for name in ("troa", "cosine", "lookahead"):
        ran = cli("affinity", run, *SMALL, "--measure", name, "--out", tmp_path, "--json")
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == (
            "vtadapt: error: no image has labels of two of the tasks, so nothing can be compared; wanted such images\n"
        )
    assert not list(tmp_path.iterdir())


def test_measuring_does_not_change_the_run(measure: Callable[..., dict[str, Any]], runs: Callable[..., Path]) -> None:
    before = (runs() / "model.safetensors").read_bytes()
    arguments = ("--measure", "lookahead", "--batches", 2, "--batch-size", 1)
    first = measure(*arguments)
    assert measure(*arguments)["mean"] == first["mean"]
    assert (runs() / "model.safetensors").read_bytes() == before


def test_the_runs_own_file_is_not_overwritten(cli: Cli, runs: Callable[..., Path]) -> None:
    before = (runs() / "affinity.json").read_bytes()
    ran = cli("affinity", runs(), *SMALL, "--out", runs())
    assert (ran.code, ran.out) == (2, "")
    assert "is the run's own folder" in ran.err
    assert (runs() / "affinity.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 1}, "found format 1, wanted 2"),
        ({"mean": None}, "is broken"),
        ({"matrix": [[1.0]]}, "matrix is not 4 x 4"),
        ({"tasks": ["a"]}, "are not those of the run"),
        ({"history": "x"}, "is broken"),
    ],
    ids=str,
)
def test_a_broken_file_of_the_run(
    cli: Cli, runs: Callable[..., Path], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs(), run)
    content = parse_json((run / "affinity.json").read_bytes())
    (run / "affinity.json").write_text(json.dumps({**content, **change}))
    learned = cli("affinity", run, "--measure", "learned", "--out", tmp_path / "out")
    assert (learned.code, learned.out) == (4, "")
    assert len(learned.err.splitlines()) == 1
    assert said in learned.err
    assert "vtadapt affinity RUN --measure troa" in learned.err
    ran = cli(
        "affinity", run, "--batches", 2, "--batch-size", 2, "--measure", "troa", "--plot", "--out", tmp_path / "o"
    )
    assert ran.code == 0, "what is broken there costs the history and nothing else"
    assert "warning: without the history of training" in ran.err
    assert (tmp_path / "o" / "affinity.png").is_file()
    assert not (tmp_path / "o" / "evolution.png").exists()


def test_halves_of_several_sets_hold_images_of_each(runs: Callable[..., Path]) -> None:
    run = runs(data="look+shape", tasks=["semseg", "edges", "depth", "normals"], batch_size=2)
    loaded = load_run(run)
    fabric = open_fabric(loaded.settings)
    wanted = _batches(loaded, AffinityOptions(batches=4, batch_size=2), fabric, True)
    assert {(id(batch.data), batch.half) for batch in wanted} == {
        (id(data), half) for data in {id(b.data): b.data for b in wanted}.values() for half in (0, 1)
    }


def test_harm_is_shown() -> None:
    mean = [[1.0, -0.3, 0.1], [0.2, 1.0, None], [-0.01, 0.0, 1.0]]
    result = {"mean": mean, "matrix": [[1.0, 0.0, 0.1], [0.2, 1.0, None], [0.0, 0.0, 1.0]]}
    result["marked"] = [[False, False, False], [False, False, True], [True, True, False]]  # type: ignore[assignment]
    assert displayed(result).tolist()[0] == [1.0, -0.3, 0.1]
    assert displayed(result).tolist()[2] == [0.0, 0.0, 1.0]
