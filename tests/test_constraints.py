"""The two files of versions follow pyproject.toml: the oldest are its lower bounds, the tested ones are no older."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, Version]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    return {plain(name): Version(version) for name, _, version in (line.partition("==") for line in lines if line)}


def bounds() -> dict[str, Version]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    found = {plain(one.name): [s.version for s in one.specifier if s.operator == ">="] for one in wanted}
    assert all(len(versions) == 1 for versions in found.values()), "every dependency has one lower bound"
    return {name: Version(versions[0]) for name, versions in found.items()}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-oldest.txt"])
def test_every_dependency_is_pinned(file: str) -> None:
    assert not bounds().keys() - pins(file).keys()


def test_the_oldest_are_the_lower_bounds() -> None:
    for name, version in bounds().items():
        found = pins("constraints-oldest.txt")[name]
        assert found.release[: len(version.release)] == version.release, name


def test_the_tested_are_no_older() -> None:
    tested = pins("constraints.txt")
    for name, version in bounds().items():
        assert tested[name] >= version, name
