from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import write_camvid
from vtadapt.atomic import temporary_name
from vtadapt.checked import parse_json
from vtadapt.lock import folder_lock
from vtadapt.workflows.prepare.prepare_data import prepare_data


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


def test_names_that_a_terminal_or_a_table_would_obey(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "my [red] data [old]"
    write_camvid(folder, {"train": 1, "val": 1})
    shown = cli("prepare-data", "camvid", "--source", folder, "--dry-run")
    assert "my [red] data [old]" in " ".join(shown.out.split())
    (folder / "train" / "\x1b[31mred\x07.png").write_bytes(b"broken")
    (folder / "trainannot" / "\x1b[31mred\x07.png").write_bytes(b"broken")
    data = ("--data-dir", tmp_path / "data", "--workers", 0)
    refused = cli("prepare-data", "camvid", "--source", folder, *data)
    assert refused.code == 3
    assert "\\x1b[31mred\\x07.png" in refused.err
    made = cli("prepare-data", "camvid", "--source", folder, "--skip-broken", *data)
    assert made.code == 0
    assert "\\x1b[31mred\\x07.png" in made.out
    manifest = tmp_path / "data" / "camvid" / "manifest.json"
    said = parse_json(manifest.read_bytes())
    said["splits"]["\x1b[31mevil"] = said["splits"]["val"]
    manifest.write_text(json.dumps(said), encoding="utf-8")
    checked = cli("prepare-data", "camvid", "--check", "--data-dir", tmp_path / "data")
    assert checked.code == 3
    assert not any(sign in ran.out + ran.err for ran in (shown, refused, made, checked) for sign in "\x1b\x07")


@pytest.mark.slow
def test_a_dry_run_collects_what_a_killed_one_left(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, ended = tmp_path / "temporary", subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: ended.pid)
        left = temporary_name(place / "vtadapt-dry-run")
    (left / "train").mkdir(parents=True)
    write_camvid(tmp_path / "src", {"train": 1, "val": 1})
    archive = shutil.make_archive(str(tmp_path / "src"), "zip", tmp_path / "src")
    assert cli("prepare-data", "camvid", "--source", archive, "--dry-run").code == 0
    assert list(place.iterdir()) == []


def test_values_that_cannot_be(cli: Callable[..., Any], tmp_path: Path) -> None:
    asked = ("prepare-data", "camvid", "--source", tmp_path, "--data-dir", tmp_path / "data")
    assert "no task is named. Known: semseg, edges" in cli(*asked, "--tasks", ",").err
    assert "no split is named" in cli(*asked, "--splits", "").err
    refused = cli(*asked, "--size", "99999999x99999999")
    assert (refused.code, "wanted at most 268435456 pixels" in refused.err) == (2, True)


def test_a_folder_leaves_archives_alone_that_another_run_unpacks(tmp_path: Path) -> None:
    write_camvid(tmp_path / "src", {"train": 1, "val": 1})
    cache = tmp_path / "data" / ".camvid.source"
    cache.mkdir(parents=True)
    with folder_lock(cache / "lock"):
        (cache / "unpacking").mkdir()
        prepare_data("camvid", tmp_path / "src", tmp_path / "data", quiet=True)
        assert (cache / "unpacking").is_dir()
    prepare_data("camvid", tmp_path / "src", tmp_path / "data", quiet=True)
    assert not cache.exists()


def test_a_pack_names_the_archive_and_not_where_it_was_unpacked(cli: Callable[..., Any], tmp_path: Path) -> None:
    write_camvid(tmp_path / "src", {"train": 3, "val": 1})
    (tmp_path / "src" / "train" / "broken.png").write_bytes(b"broken")
    (tmp_path / "src" / "trainannot" / "broken.png").write_bytes(b"broken")
    archive = shutil.make_archive(str(tmp_path / "camvid"), "zip", tmp_path / "src")
    data = ("--data-dir", tmp_path / "data", "--workers", 0)
    made = cli("prepare-data", "camvid", "--source", archive, "--skip-broken", *data)
    assert made.code == 0
    problem = f"{archive}: train/broken.png"
    assert problem in made.out
    manifest = (tmp_path / "data" / "camvid" / "manifest.json").read_text(encoding="utf-8")
    assert problem in manifest and ".source" not in manifest


def test_a_pack_without_val_names_the_command(cli: Callable[..., Any], tmp_path: Path) -> None:
    write_camvid(tmp_path / "src", {"train": 2})
    data = ("--data-dir", tmp_path / "data")
    cli("prepare-data", "camvid", "--source", tmp_path / "src", "--splits", "train", "--workers", 0, *data)
    ran = cli("train", "camvid", "--weights", "random", "--run-dir", tmp_path / "runs", *data, "--batch-size", 1)
    assert ran.code == 3
    assert "run: vtadapt prepare-data camvid --source PATH --splits train,val" in ran.err
