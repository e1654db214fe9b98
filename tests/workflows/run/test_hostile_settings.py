"""Settings that somebody else wrote, in files, in variables and typed: bounded, and one short line each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from tests.fuzz.mutate import NUMBERS, TEXTS
from vtadapt.errors import LONGEST, ConfigError, UsageError, VtadaptError
from vtadapt.tasks import make_task
from vtadapt.workflows.run.load import read_config
from vtadapt.workflows.run.settings import TrainSettings, load, parse_assignments, resolve
from vtadapt.workflows.run.settings.fields import KEYS

COUNTS = [
    key
    for key, field in TrainSettings.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)} and field.annotation is not bool
]


@pytest.mark.parametrize("key", COUNTS)
@pytest.mark.parametrize("value", [10**12, 10**30, -1, float("nan"), float("inf"), -(10**12), "1e12", 10**400])
def test_every_number_is_bounded(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"data": "rooms"}, None, {}, {key: value})
    assert key in str(caught.value)
    assert len(str(caught.value)) < 300


def test_there_are_numbers() -> None:
    assert len(COUNTS) > 30


@pytest.mark.parametrize("key", ["size", "scale"])
@pytest.mark.parametrize("value", [[10**12, 10**12], [-1, 5], [float("nan")] * 2, [1e300, 1e300], "8x999999999999"])
def test_every_pair_of_numbers_is_bounded(key: str, value: Any) -> None:
    with pytest.raises((ConfigError, UsageError)):
        resolve({"data": "rooms"}, None, {}, {key: value})


@pytest.mark.parametrize("key", KEYS)
def test_any_value_is_taken_or_refused_in_one_line(key: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    for value in (*TEXTS, *NUMBERS, [], {}, [[]], ["a"] * 1000, {"a": {"b": 1}}, None, True):
        path.write_text(yaml.safe_dump({key: value}, allow_unicode=True), encoding="utf-8")
        try:
            resolve({"data": "rooms"}, path, {}).to_yaml()
        except VtadaptError as error:
            assert "\n" not in str(error), (key, value)
            assert len(str(error)) <= LONGEST


BOMBS = {
    "brackets": "[" * 100_000,
    "aliases": "\n".join(["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]),
    "long": "data: " + "x" * (6 << 20),
    "digits": "steps: " + "9" * 1_000_000,
    "sixties": "steps: 1" + ":1" * 500_000,
    "object": "data: !!python/object/apply:os.system [echo]",
    "keys": "{" + ",".join(f"k{i}: 1" for i in range(60_000)) + "}",
    "nul": 'data: "a\\0b"',
    "half": b"data: \xed\xa0\x80",
}


@pytest.mark.parametrize("value", ["[]", "{}", "[[]]", "{a: 1}", "1", ".nan", "null"])
def test_the_method_of_a_run_is_a_text(tmp_path: Path, value: str) -> None:
    (tmp_path / "settings.yaml").write_text(f"data: rooms\nmethod: {value}\n")
    with pytest.raises(ConfigError, match="method"):
        load(tmp_path / "settings.yaml")


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused(cli: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    path, content = tmp_path / "settings.yaml", BOMBS[kind]
    # The last is no character.
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = cli("train", "rooms", "--config", path, "--run-dir", tmp_path / "runs", "--data-dir", tmp_path)
    assert ran.code == 4
    assert ran.err.count("\n") == 1
    assert len(ran.err) < LONGEST + 50
    with pytest.raises(ConfigError):
        load(path)


@pytest.mark.parametrize("text", ["[" * 1000, "9" * 5000, "x: " * 3000, '"\\0"', "&a [*a]", "!!python/none x"])
def test_typed_bombs_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_assignments([f"steps={text}"])
    assert len(str(caught.value)) < 500


BACKBONE = {"name": "swin_lite", "weights": "auto", "sha256": "0" * 64}


def _config(tmp_path: Path, **changes: Any) -> Path:
    whole = {"format": 1, "tasks": {"depth": make_task("depth", "regression", units="m").to_dict()}}
    whole |= {"size": [64, 64], "backbone": BACKBONE, "label_sets": {}}
    (tmp_path / "config.json").write_text(json.dumps({**whole, **changes}))
    return tmp_path


def _task(**changes: Any) -> dict[str, Any]:
    return {"depth": {**make_task("depth", "regression", units="m").to_dict(), **changes}}


CONFIGS: list[dict[str, Any]] = [
    *({"size": size} for size in ([0, 64], [-1, 64], [10**12, 64], [float("inf"), 8], [float("nan"), 8], "64", [], {})),
    *({"tasks": tasks} for tasks in ([], {"depth": 1}, {"a.b": {}}, {"depth": []}, "x", None, {"x": _task()["depth"]})),
    *(
        {"tasks": _task(**{key: value})}
        for key in ("name", "kind", "channels")
        for value in (None, [], {}, "x", 10**12)
    ),
    *({"tasks": _task(max_value=value)} for value in ("x", [], float("nan"), -1.0)),
    *({"backbone": backbone} for backbone in (None, [], 1, {})),
    *({"backbone": {key: value for key, value in BACKBONE.items() if key != left_out}} for left_out in BACKBONE),
    *({"backbone": {**BACKBONE, "file": file}} for file in (1, [], {"path": "x"}, {"path": "x", "bytes": "y"})),
    *({"format": value} for value in (2, "1", None, [], "x" * 10**5)),
    {"label_sets": []},
]


@pytest.mark.parametrize("changes", CONFIGS, ids=[str(each)[:40] for each in CONFIGS])
def test_a_broken_configuration_names_its_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert read_config(_config(tmp_path)).size == (64, 64)
    with pytest.raises(ConfigError) as caught:
        read_config(_config(tmp_path, **changes))
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
