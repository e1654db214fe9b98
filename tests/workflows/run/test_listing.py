"""``vtadapt settings``: what there is, its default, its value, and where that came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vtadapt.cli import app
from vtadapt.errors import ConfigError, UsageError, VtadaptError
from vtadapt.workflows.run.methods import METHODS
from vtadapt.workflows.run.settings.fields import GROUPS, KEYS, TrainSettings
from vtadapt.workflows.run.settings.listing import Entry, list_settings
from vtadapt.workflows.run.settings.reading import reads
from vtadapt.workflows.run.settings.resolve import gather


def listed(
    name: str | None = None, file: Path | None = None, environ: dict[str, str] | None = None, **typed: Any
) -> dict[str, Entry]:
    flags = {key: value for key, value in typed.items() if key == "method"}
    assigned = {key: value for key, value in typed.items() if key != "method"}
    return {entry.key: entry for entry in list_settings(gather(flags, file, environ or {}, assigned), name)}


def printed(*arguments: str) -> str:
    return str(CliRunner().invoke(app, ["settings", *arguments], env={"COLUMNS": "200"}, catch_exceptions=False).stdout)


def test_all_settings_in_groups_with_the_meaning_of_the_fields() -> None:
    found = listed()
    assert tuple(found) == KEYS
    assert {entry.group for entry in found.values()} == set(GROUPS)
    for key, entry in found.items():
        assert entry.meaning == TrainSettings.model_fields[key].description
        assert entry.source == (
            "" if key == "data" else "method" if key in ("backbone", "decoder", "lr") else "default"
        )
    assert found["data"].required


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_settings_are_those_that_it_reads_with_its_own_defaults(method: str) -> None:
    found = listed(method=method)
    assert tuple(found) == tuple(key for key in KEYS if reads(method, key))
    assert found["backbone"].default == METHODS[method].encoder
    assert found["lr"].default == METHODS[method].lr
    assert ("decoder" in found) == bool(METHODS[method].decoders)


def test_a_value_says_where_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("lr: 1e-3\nseed: 3\nsteps: 5\n", encoding="utf-8")
    found = listed(None, file, {"VTADAPT_SEED": "4", "VTADAPT_STEPS": "6"}, method="mult", steps=7)
    got = {key: (found[key].value, found[key].source) for key in ("lr", "seed", "steps", "method", "clip_norm")}
    assert got == {
        "lr": (0.001, "file"),
        "seed": (4, "environment"),
        "steps": (7, "--set"),
        "method": ("mult", "flag"),
        "clip_norm": (5.0, "default"),
    }
    assert (found["lr"].place, found["seed"].place) == (f"settings {str(file)!r}", "VTADAPT_SEED")
    assert (found["lr"].default, found["backbone"].source) == (METHODS["mult"].lr, "method")


def test_a_group_a_setting_and_neither() -> None:
    assert list(listed("tawt")) == ["tawt_every", "tawt_eta"]
    assert listed("tawt_eta")["tawt_eta"].read_by == ("tawt",)
    assert listed("decoder")["decoder"].choices == ("light", "swin", "aspp")
    assert listed("flip")["flip"].choices == ("true", "false")
    for wrong, hint in (("momentum", "'troa_momentum'"), ("optimization", "'optimisation'"), ("stl", "--method stl")):
        with pytest.raises(UsageError) as caught:
            listed(wrong)
        assert hint in str(caught.value)


@pytest.mark.parametrize("typed", [{"tawt_eta": 5}, {"lr": -1}, {"learning_rate": 1}, {"method": "mlut"}])
def test_what_train_refuses_is_refused(typed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        listed(**typed)


def test_the_command_prints_values_only_where_some_are_given() -> None:
    plain = printed("optimisation")
    assert "clip_norm" in plain
    assert "5.0" in plain
    assert " from " not in plain
    given = printed("optimisation", "--method", "mult", "--set", "clip_norm=2.5")
    assert all(word in given for word in ("2.5", "--set", "5.0", " from ", "0.002"))
    one = printed("adapted_blocks")
    assert "VTADAPT_ADAPTED_BLOCKS" in one
    assert "adapters" in one
    for name, method in METHODS.items():
        assert f"{name} " in printed("method")
        assert method.what in printed("method")


def test_json_has_the_same_facts() -> None:
    found = json.loads(printed("tawt", "--json", "--method", "tawt", "--set", "tawt_eta=2"))
    assert [(entry["key"], entry["default"], entry["value"], entry["source"]) for entry in found] == [
        ("tawt_every", None, None, "default"),
        ("tawt_eta", 1.0, 2.0, "--set"),
    ]


def test_brackets_in_a_value_are_no_markup() -> None:
    assert "[red]x" in printed("data", "--set", "tasks=['[red]x']")


def test_errors_keep_their_exit_codes() -> None:
    result = CliRunner().invoke(app, ["settings", "--set", "tawt_eta=5"])
    assert isinstance(result.exception, VtadaptError)
    assert result.exception.exit_code == 4
