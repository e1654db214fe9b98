from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data.conftest import write_camvid


def test_a_kept_pack_is_said_to_be_kept(cli: Callable[..., Any], tmp_path: Path) -> None:
    write_camvid(tmp_path / "src", {"train": 1, "val": 1})
    asked = ("prepare-data", "camvid", "--source", tmp_path / "src", "--data-dir", tmp_path / "data", "--workers", 0)
    first = cli(*asked)
    assert (first.code, "kept" in first.err) == (0, False)
    again = cli(*asked)
    assert again.code == 0
    assert f"kept {tmp_path / 'data' / 'camvid'}: nothing changed; --force prepares it again" in again.err
    assert cli(*asked[:3], tmp_path / "nonexistent", *asked[4:]).code == 3
    assert "kept" not in cli(*asked, "--force").err


def test_a_pack_without_val_names_the_command(cli: Callable[..., Any], tmp_path: Path) -> None:
    write_camvid(tmp_path / "src", {"train": 2})
    data = ("--data-dir", tmp_path / "data")
    cli("prepare-data", "camvid", "--source", tmp_path / "src", "--splits", "train", "--workers", 0, *data)
    ran = cli("train", "camvid", "--weights", "random", "--run-dir", tmp_path / "runs", *data, "--batch-size", 1)
    assert ran.code == 3
    assert "run: vtadapt prepare-data camvid --source PATH --splits train,val" in ran.err
