"""What cannot be prepared, or not read again, is one line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import write_sevenscenes
from tests.data.prepare.conftest import SMALL
from vtadapt.checked import parse_json
from vtadapt.data.pack.manifest import open_manifest, open_pack, prepare_command, verify
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.errors import ConfigError, DataError, UsageError
from vtadapt.lock import folder_lock


def test_two_runs_at_once_are_refused(camvid: Path, tmp_path: Path) -> None:
    with folder_lock(tmp_path / ".camvid.lock"), pytest.raises(DataError, match="another run is preparing"):
        prepare(load_recipe("camvid"), camvid, tmp_path, SMALL)


def test_a_missing_pack_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set 'camvid' in .*vtadapt prepare-data camvid --source PATH"):
        open_pack(tmp_path, "camvid", "train")
    assert prepare_command("rooms", splits=["val"]) == "vtadapt prepare-data rooms --splits val"
    assert prepare_command("mine") == "vtadapt prepare-data YOUR.yaml --source PATH"
    own = load_recipe("rooms").model_copy(update={"name": "mine"})
    assert prepare_command("mine", own) == "vtadapt prepare-data YOUR.yaml"


def test_broken_packs_are_named(camvid: Path, tmp_path: Path) -> None:
    prepare(load_recipe("camvid"), camvid, tmp_path, SMALL)
    path = tmp_path / "camvid" / "train.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match="train.h5: .* bytes, the manifest says .*cut short"):
        open_pack(tmp_path, "camvid", "train")
    path.unlink()
    with pytest.raises(DataError, match="train.h5: no such file"):
        open_pack(tmp_path, "camvid", "train")
    assert "no such file" in verify(tmp_path, "camvid")[0]
    manifest_path = tmp_path / "camvid" / "manifest.json"
    manifest = parse_json(manifest_path.read_bytes())
    for spoil, message in (
        ({**manifest, "version": 99}, "found format vtadapt-manifest 99"),
        ({**manifest, "recipe": {**manifest["recipe"], "new": 1}}, "its recipe cannot be read .unknown key 'new'"),
        ({**manifest, "splits": {"train": {"shards": [{"file": "../x.h5"}]}}}, "outside its folder"),
    ):
        manifest_path.write_text(json.dumps(spoil))
        with pytest.raises(DataError, match=message):
            open_pack(tmp_path, "camvid", "train")
    manifest_path.write_text("{")
    with pytest.raises(DataError, match="broken manifest"):
        open_manifest(tmp_path, "camvid")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (PrepareOptions(splits=["trian"]), UsageError, "no split 'trian'. Did you mean 'train'"),
        (PrepareOptions(tasks=["semsg"]), UsageError, "no task 'semsg'. Did you mean 'semseg'"),
        (PrepareOptions(size="big"), UsageError, "size 'big', wanted HEIGHT WIDTH or 'native'"),
        (PrepareOptions(size=(4, 100)), UsageError, "size 4x100, wanted at least 8x8"),
        (PrepareOptions(limit=0), UsageError, "limit 0"),
    ],
)
def test_wrong_options(camvid: Path, tmp_path: Path, options: PrepareOptions, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        prepare(load_recipe("camvid"), camvid, tmp_path / "out", options)


def test_a_set_with_files_needs_a_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data set 'camvid' needs --source PATH: download"):
        prepare(load_recipe("camvid"), None, tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        prepare(load_recipe("camvid"), tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="unknown key 'voids'"):
        prepare(load_recipe("camvid").with_options({"voids": 1}), tmp_path, tmp_path / "out")


def test_intrinsics_of_another_aspect_ratio_are_refused(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path / "src", 1)
    recipe = load_recipe("sevenscenes").with_options({"depth_camera": None})
    wide = Recipe.model_validate(recipe.model_dump() | {"intrinsics": recipe.intrinsics.model_dump() | {"width": 900}})
    with pytest.raises(DataError, match="picture of 480x640, the recipe's intrinsics are for 480x900"):
        prepare(wide, tmp_path / "src", tmp_path / "out")
