"""How much cached features may take: the limit, who goes first, and who stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vtadapt.errors import ConfigError, DataError
from vtadapt.workflows.train.cached import budget
from vtadapt.workflows.train.cached.form import Form
from vtadapt.workflows.train.cached.slots import HEADER, Slots, file_size

FORM = Form([(5000 - HEADER // 2,)])  # 10 000 bytes an entry with its header


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTADAPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv(budget.VARIABLE, str(100_000 / 2**30))


def key(digit: int) -> str:
    return str(digit) * 64


def opened(digit: int, entries: int) -> Slots:
    return budget.open_slots(key(digit), {"of": digit}, FORM, entries)


def there() -> set[str]:
    return {path.stem[0] for path in budget.folder().glob("*.features")}


def test_the_caches_used_longest_ago_go_first(tmp_path: Path) -> None:
    assert file_size(FORM, 10) == 100_000
    for digit in (1, 2, 3):
        opened(digit, 3)
        os.utime(budget.folder() / f"{key(digit)}.features", (digit, digit))
    opened(1, 3)  # used again
    kept = opened(4, 4)
    assert there() == {"1", "3", "4"}
    assert {path.stem[0] for path in budget.folder().glob("*.json")} == {"1", "3", "4"}
    assert kept.path.stat().st_size == file_size(FORM, 4)
    assert sum(path.stat().st_size for path in budget.folder().glob("*.features")) <= 100_000
    assert not list(tmp_path.rglob("*.partial"))


def test_what_a_run_uses_stays_and_the_next_one_is_told(tmp_path: Path) -> None:
    del tmp_path
    used = opened(1, 6)
    with pytest.raises(ConfigError, match=r"of the limit of 0\.095 MiB other runs use 0\.057 MiB.*VTADAPT_CACHE_LIMIT"):
        opened(2, 5)
    assert there() == {"1"}
    assert opened(1, 3).path == used.path
    del used
    opened(2, 5)
    assert there() == {"2"}


def test_one_that_grows_makes_room_for_its_new_size() -> None:
    opened(1, 4)
    opened(2, 4)
    opened(2, 7)
    assert there() == {"2"}


def test_a_full_disk_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(1, 2)
    usage = type("Usage", (), {"free": 15_000})
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="where 0.014 MiB are free"):
        opened(2, 2)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VTADAPT_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write"):
        opened(1, 1)


@pytest.mark.parametrize("text", ["much", "0", "-3", "inf", "nan"])
def test_the_limit_is_a_number_of_gib(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(budget.VARIABLE, text)
    with pytest.raises(ConfigError, match="GiB above 0"):
        budget.limit("disk")


def test_the_limit_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(budget.VARIABLE)
    assert budget.limit("disk") == 20 * 2**30
    monkeypatch.setattr(budget, "free_memory", lambda: 3 * 2**30)
    assert budget.limit("memory") == 1.5 * 2**30
    budget.check_need(2**30, "x", "memory")
    with pytest.raises(ConfigError, match=r"need 1 GiB of memory in each of 2 processes .* 1\.5 GiB, half"):
        budget.check_need(2**30, "x", "memory", copies=2)


def test_free_memory_is_some_of_what_there_is() -> None:
    assert 0 < budget.free_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("limits", "left"), [(("max", "max"), None), (("9000", "max"), 8000), (("9000", "5000"), 4000)]
)
def test_memory_of_a_container_or_a_job_is_bounded_by_its_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, str], left: int | None
) -> None:
    own = tmp_path / "groups" / "slurm" / "job"
    own.mkdir(parents=True)
    for group, limit in zip((own, own.parent), limits, strict=True):
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text("1000\n")
    (tmp_path / "own").write_text("0::/slurm/job\n")
    whole = budget.free_memory()
    monkeypatch.setattr(budget, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(budget, "OF_THIS_PROCESS", tmp_path / "own")
    assert budget.free_memory() == left if left else budget.free_memory() > min(whole, 2**30) // 2
