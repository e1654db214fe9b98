"""Files of a run with one byte changed: none is read for what was written, and each is one line with its exit code."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtadapt.data.pack.manifest import read_manifest
from vtadapt.errors import ConfigError, DataError
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.data.same_packs import noted_packs
from vtadapt.workflows.run.load import read_config
from vtadapt.workflows.run.settings import load
from vtadapt.workflows.train.state import BEST, LAST

READ: dict[str, Callable[[Path], Any]] = {
    "settings.yaml": load,
    "config.json": lambda path: read_config(path.parent),
    "results.json": files.read_json,
    "packs.json": lambda path: noted_packs(path.parent),
    "metrics.jsonl": files.read_lines,
    "model.safetensors": checkpoint.read_tensors,
    str(BEST): checkpoint.read_tensors,
    str(LAST): checkpoint.load_state,
}


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.run, tmp_path / "run"))


def places(data: bytes, count: int) -> list[int]:
    """Many of the beginning, where the header is, some of the end, and some of what is between."""
    random.seed(len(data))
    ends = [*range(min(count, len(data))), *range(max(0, len(data) - 40), len(data))]
    return sorted({*ends, *(random.randrange(len(data)) for _ in range(count))})


@pytest.mark.parametrize("name", READ)
def test_no_changed_byte_is_read(run: Path, name: str) -> None:
    path, read = run / name, READ[name]
    data = path.read_bytes()
    read(path)
    random.seed(1)
    for place in places(data, 60):
        changed = data[:place] + bytes([(data[place] + random.randrange(1, 256)) % 256]) + data[place + 1 :]
        path.write_bytes(changed)
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)
        assert caught.value.exit_code == 4


def test_no_changed_byte_of_a_manifest_is_read(tiny: Any, tmp_path: Path) -> None:
    data = (tiny.data_dir / "tiny" / "manifest.json").read_bytes()
    for place in places(data, 100):
        (tmp_path / "manifest.json").write_bytes(data[:place] + bytes([data[place] ^ 2]) + data[place + 1 :])
        with pytest.raises(DataError, match="manifest.json"):
            read_manifest(tmp_path)


def test_tensors_of_all_kinds_come_back(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3, 2).to(torch.bfloat16),
        "empty": torch.zeros(0, 4),
        "one": torch.tensor(7),
        "yes": torch.tensor([True, False]),
        "turned": torch.arange(6.0).reshape(2, 3).T,
    }
    for about in ({}, {"step": 3, "name": "ü"}, None):
        checkpoint.write_tensors(tmp_path / "t.safetensors", tensors, about)
        found, said = checkpoint.read_tensors(tmp_path / "t.safetensors")
        assert said == (about or {})
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_tensors_from_elsewhere_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for metadata in (None, {"format": "pt"}, {"about": '{"step": 3}'}):
        save_file({"a": torch.ones(2)}, tmp_path / "t.safetensors", metadata=metadata)
        assert checkpoint.read_tensors(tmp_path / "t.safetensors")[1] == (
            {"step": 3} if metadata and "about" in metadata else {}
        )


@pytest.mark.parametrize("name", ["settings.yaml", "metrics.jsonl", "packs.json", str(LAST)])
def test_what_resuming_reads_is_one_line(cli: Callable[..., Any], run: Path, name: str) -> None:
    data = bytearray((run / name).read_bytes())
    data[len(data) // 2] ^= 1
    (run / name).write_bytes(data)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ran = cli("train", "--resume", run, "--quiet")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.count("\n") == 1 and Path(name).name in ran.err
    assert {path: path.read_bytes() for path in before if path.name != ".lock"} == {
        path: data for path, data in before.items() if path.name != ".lock"
    }


def test_a_line_that_a_kill_left_half_written_is_dropped(run: Path) -> None:
    path = run / "metrics.jsonl"
    records = files.read_lines(path)
    with path.open("a") as file:
        file.write('{"step": 7, "spl')
    assert files.read_lines(path) == records
    files.cut_lines(path, 4)
    assert [r["step"] for r in files.read_lines(path)] == [r["step"] for r in records if r["step"] <= 4]
    path.unlink()
    assert files.read_lines(path) == []
