"""A run and its packs: one that was replaced since is noticed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.train.cutting import CutError, assert_same, cut
from vtadapt.checked import json_text, parse_json
from vtadapt.errors import ConfigError
from vtadapt.workflows.run.data.same_packs import digests_of, noted_packs
from vtadapt.workflows.run.files import read_json
from vtadapt.workflows.sweep.trials import Trial, begin
from vtadapt.workflows.train.train import train
from vtadapt.workflows.train.trainer import Trainer


@pytest.fixture
def own_data(tiny: Any, tmp_path: Path) -> Path:
    """Packs of this test alone."""
    shutil.copytree(tiny.data_dir / "tiny", tmp_path / "data" / "tiny")
    return tmp_path / "data"


def replace(data: Path) -> None:
    """Put a pack in its place whose training split holds what its validation split holds."""
    pack = data / "tiny"
    manifest = parse_json((pack / "manifest.json").read_bytes())
    new = data / "new"
    shutil.copytree(pack, new)
    for name in ("val.h5", "val.h5.crc32"):
        shutil.copy(pack / name, new / name.replace("val", "train"))
    (shard,) = manifest["splits"]["val"]["shards"]
    manifest["splits"]["train"] = manifest["splits"]["val"] | {"shards": [{**shard, "file": "train.h5"}]}
    (new / "manifest.json").write_text(json_text(manifest))
    pack.rename(data / "old")
    new.rename(pack)


def test_the_same_files_have_the_same_digest(tiny: Any, own_data: Path) -> None:
    found = digests_of(["tiny", "none"], own_data)
    assert found == digests_of(["tiny"], tiny.data_dir) == noted_packs(tiny.run)
    assert read_json(tiny.run / "config.json")["packs"] == found
    replace(own_data)
    assert digests_of(["tiny"], own_data) != found


def test_a_run_does_not_go_on_with_another_pack(
    tiny: Any, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.other(tmp_path, data_dir=own_data)
    with monkeypatch.context() as patch:
        cut(patch, "_step", lambda t: t.step == 5)
        with pytest.raises(CutError):
            train(settings, quiet=True)
    run = tmp_path / "tiny-0001"
    state = (run / "checkpoints" / "last" / "state.safetensors").read_bytes()
    replace(own_data)
    with pytest.raises(ConfigError, match=r"data set 'tiny' in .* is not the one that .*tiny-0001' began with.*digest"):
        train(settings, resume=run, quiet=True)
    assert (run / "checkpoints" / "last" / "state.safetensors").read_bytes() == state
    train(tiny.settings, resume=run, quiet=True)  # the same pack in another folder
    assert_same(run, tiny.run)


def test_a_pack_that_is_replaced_while_a_run_reads_it(
    tiny: Any, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Trainer._step

    def replacing(self: Trainer, batch: Any) -> Any:
        if self.step == 2:
            replace(own_data)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "_step", replacing)
    results = train(tiny.other(tmp_path, data_dir=own_data), quiet=True)
    assert_same(tmp_path / "tiny-0001", tiny.run)
    assert "trivial" not in results
    assert "data set 'tiny' was replaced while the run read it" in capsys.readouterr().err


def test_a_sweep_does_not_go_on_with_another_pack(tiny: Any, own_data: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny.run, tmp_path / "run"))
    trial = Trial("adapters", 0, run, tiny.settings.model_copy(update={"data_dir": own_data}))
    begin(trial)
    replace(own_data)
    with pytest.raises(ConfigError, match="was made with the pack of 'tiny' = .*--out"):
        begin(trial)
    (run / "packs.json").unlink()  # as runs of before
    begin(trial)


def test_another_pack_is_told_by_eval(tiny: Any, own_data: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    run = shutil.copytree(tiny.run, tmp_path / "run")
    ran = cli("eval", run, "--data-dir", own_data, "--limit", 1)
    assert (ran.code, "is not the one" in ran.err) == (0, False)
    replace(own_data)
    ran = cli("eval", run, "--data-dir", own_data, "--limit", 1)
    assert (ran.code, "is not the one" in ran.err) == (0, True)
