"""What ``vtadapt affinity`` refuses, each with one line and its exit code, and that it leaves the run as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ("--batches", 3, "--batch-size", 4)
Cli = Callable[..., Any]

REFUSED = [
    (("--measure", "troaa"), 2, "unknown measure 'troaa'; wanted one of troa, cosine, lookahead, permuted, learned"),
    (("--measure", "troaa"), 2, "Did you mean 'troa'"),
    (("--measure", "permuted", "--batch-size", 1), 2, "wanted --batch-size >= 2"),
    (("--groups", 0), 2, "--groups 0: wanted 1 to 4, the number of tasks"),
    (("--groups", 5), 2, "wanted 1 to 4"),
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
