"""A few damaged and hostile inputs of every kind; `benchmarks/fuzz.py` tries them by the thousand."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz import campaign, set_kinds
from tests.fuzz.campaign import Result, keep, run
from tests.fuzz.kinds import KINDS, Kind
from tests.fuzz.mutate import changed, damaged
from tests.fuzz.worker import try_case, write_case
from vtadapt.errors import DataError

CASES = 25
PATIENCE = 600.0  # seconds: a busy machine is no fault


SETS = [kind for kind, how in KINDS.items() if how.read is set_kinds.read_set]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SETS])
def test_nothing_undocumented(kind: str, tmp_path: Path) -> None:
    result = run(kind, seed=0, count=CASES, patience=PATIENCE)
    kept = [str(keep(kind, 0, number, tmp_path)) for number, _ in result.faults]
    assert not result.faults, kept
    assert result.good + result.refused == CASES
    assert result.refused


@pytest.mark.parametrize("kind", SETS)
def test_sets_with_a_damaged_file(kind: str, tmp_path: Path) -> None:
    """In this process: what may crash is in a child already. The whole ones are read, or all would be refused."""
    (tmp_path / "made").mkdir()
    seeds = KINDS[kind].make(tmp_path / "made")
    for number in range(1, len(seeds)):
        (tmp_path / f"whole {number}").mkdir()
        set_kinds.copy_set(seeds[0], seeds[number], tmp_path / f"whole {number}")
        set_kinds.read_set(tmp_path / f"whole {number}")
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        write_case(kind, 0, number, seeds, tmp_path / str(number))
        what, said = try_case(kind, tmp_path / str(number))
        assert what != "fault", f"{number}: {said}"


def test_the_same_case_is_the_same_bytes() -> None:
    data, tree = bytes(range(256)), {"a": [1, {"b": "c"}], "d": 2.5}
    for seed in range(50):
        assert damaged(Random(seed), data) == damaged(Random(seed), data)
        assert repr(changed(Random(seed), tree)) == repr(changed(Random(seed), tree))
    assert len({damaged(Random(seed), data) for seed in range(50)}) > 45
    assert tree == {"a": [1, {"b": "c"}], "d": 2.5}


def _kind(read: object) -> Kind:
    return Kind(lambda _: None, lambda *_: None, read)  # type: ignore[arg-type]


def test_what_counts_as_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> object:
        def read(_: Path) -> None:
            raise DataError(text)

        return read

    monkeypatch.setitem(KINDS, "good", _kind(lambda _: None))
    monkeypatch.setitem(KINDS, "refused", _kind(refuse("x: broken")))
    monkeypatch.setitem(KINDS, "lines", _kind(refuse("x\ny")))
    monkeypatch.setitem(KINDS, "other", _kind(lambda _: {}["x"]))
    assert [try_case(kind, tmp_path)[0] for kind in ("good", "refused", "lines", "other")] == [
        "good",
        "refused",
        "fault",
        "fault",
    ]


WORKER = """
import os, sys, time
sys.argv = sys.argv[1:]
kind, seed, first, last = sys.argv[0], *map(int, sys.argv[1:])
for n in range(first, last):
    print(n, flush=True)
    if n == 2:
        os.abort()
    if n == 4:
        time.sleep(60)
    print(f'[{n}, "{"fault" if n == 5 else "refused"}", "said"]', flush=True)
"""


@pytest.mark.slow
def test_crashes_and_hangs_are_counted_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests" / "fuzz").mkdir(parents=True)
    (tmp_path / "tests" / "fuzz" / "worker.py").write_text(WORKER)
    monkeypatch.setattr(campaign, "ROOT", tmp_path)
    result = run("pack", 0, 6, patience=3.0)
    assert [number for number, _ in result.faults] == [2, 4, 5]
    assert [said.partition(":")[0] for _, said in result.faults] == ["crash", "hang", "said"]
    assert (result.done, result.refused) == (6, 3)
    again = run("pack", 0, 6, Result(6, 0, 3, list(result.faults)))  # all done: nothing is run
    assert again.done == 6
