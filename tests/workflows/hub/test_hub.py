"""Runs on the Hub: what is uploaded, what the card says, and back again, by a stand-in with the layout of its cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import yaml
from huggingface_hub.utils import filter_repo_objects
from PIL import Image

import vtadapt
from vtadapt.checked import json_text, parse_json
from vtadapt.errors import ConfigError, DataError, UsageError, VtadaptError
from vtadapt.workflows.hub.pull import WANTED, pull
from vtadapt.workflows.hub.push import push
from vtadapt.workflows.run.cached import repository_of
from vtadapt.workflows.run.folder import find_run, output_folder


class StandIn:
    """A hub of repositories in memory; what is downloaded lies as the real one leaves it in its cache.

    CACHE/models--OWNER--NAME: blobs/DIGEST, snapshots/COMMIT/FILE (links to them), refs/main (the commit).
    """

    def __init__(self, cache: Path) -> None:
        self.cache, self.private = cache, {}
        self.commits: dict[str, list[dict[str, bytes]]] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private.setdefault(repo_id, private)
        self.commits.setdefault(repo_id, [])

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, allow_patterns: list[str]) -> Any:
        assert commit_message
        folder = Path(folder_path)
        paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        kept = filter_repo_objects(paths, allow_patterns=allow_patterns)
        self.commits[repo_id].append({name: paths[name].read_bytes() for name in kept})
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/{len(self.commits[repo_id])}")

    def snapshot_download(
        self, repo_id: str, *, revision: str | None, allow_patterns: list[str], cache_dir: Path
    ) -> str:
        assert Path(cache_dir) == self.cache
        if repo_id not in self.commits:
            response: Any = SimpleNamespace(headers={}, request=None, status_code=404)
            raise huggingface_hub.errors.RepositoryNotFoundError("404 Client Error", response=response)
        number = len(self.commits[repo_id]) if revision in (None, "main") else int(str(revision), 16)
        folder, commit = self.cache / f"models--{repo_id.replace('/', '--')}", f"{number:040x}"
        stored = self.commits[repo_id][number - 1]
        for name in filter_repo_objects(stored, allow_patterns=allow_patterns):
            content = stored[name]
            blob, place = folder / "blobs" / hashlib.sha256(content).hexdigest(), folder / "snapshots" / commit / name
            for path in (blob, place):
                path.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(content)
            place.unlink(missing_ok=True)
            place.symlink_to(os.path.relpath(blob, place.parent))
        (folder / "refs").mkdir(exist_ok=True)
        if revision in (None, "main"):
            (folder / "refs" / "main").write_text(commit)
        return str(folder / "snapshots" / commit)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn(tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: found)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", found.snapshot_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(found.cache))
    found.cache = Path(huggingface_hub.constants.HF_HUB_CACHE)
    return found


def test_there_and_back(cli: Callable[..., Any], tiny: Any, hub: StandIn, tmp_path: Path) -> None:
    ran = cli("push", tiny.run, "jane/tiny.rooms", "--licence", "apache-2.0", "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["repository"], said["url"]) == ("jane/tiny.rooms", "https://hub/jane/tiny.rooms/commit/1")
    (stored,) = hub.commits["jane/tiny.rooms"]
    assert {name: len(content) for name, content in stored.items()} == said["files"]
    assert stored.keys() <= {*WANTED}
    assert hub.private == {"jane/tiny.rooms": False}

    with pytest.raises(ConfigError, match="vtadapt pull jane/tiny.rooms downloads it"):
        vtadapt.load("jane/tiny.rooms")
    ran = cli("pull", "jane/tiny.rooms", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["tasks"] == [*vtadapt.load(tiny.run).tasks]
    assert find_run("jane/tiny.rooms", tmp_path) == Path(found["folder"])
    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    wanted = vtadapt.load(tiny.run).predict(picture)
    for name, array in vtadapt.load("jane/tiny.rooms").predict(picture).items():
        np.testing.assert_array_equal(array, wanted[name])

    Image.fromarray(picture).save(tmp_path / "a.png")
    before = sorted(path.name for path in Path(found["folder"]).iterdir())
    ran = cli("predict", tmp_path / "a.png", "--run", "jane/tiny.rooms", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert output_folder(Path(found["folder"]), tmp_path / "runs") == tmp_path / "runs" / "jane--tiny.rooms"
    assert sorted(path.name for path in Path(found["folder"]).iterdir()) == before


def test_added_tasks_go_there_and_come_back(runs: Callable[..., Path], hub: StandIn, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs(tasks=["semseg", "depth"]), tmp_path / "run"))
    wanted = vtadapt.add_task(run, "normals", steps=1)
    (run / "added" / "normals.training").mkdir()  # what an addition leaves that is under way
    (run / "added" / "normals.training" / "last.pt").write_bytes(b"x")
    (run / "added" / "note.txt").write_text("mine")
    push(run, "jane/rooms")
    (stored,) = hub.commits["jane/rooms"]
    assert {name for name in stored if name.startswith("added")} == {"added/normals.safetensors"}
    assert pull("jane/rooms")["tasks"] == ["semseg", "depth", "normals"]
    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    found = vtadapt.load("jane/rooms")
    assert all((found.predict(picture)[name] == array).all() for name, array in wanted.predict(picture).items())
    with pytest.raises(ConfigError, match=r"save\('runs/mine'\)"):  # the cache is nobody's folder
        vtadapt.add_task(found, "edges")

    whole = stored["added/normals.safetensors"]
    stored["added/normals.safetensors"] = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(ConfigError, match=r"normals.safetensors.*damaged"):
        pull("jane/rooms")
    push(vtadapt.create(["depth"], size=(64, 64)).save(tmp_path / "other"), "jane/rooms")
    hub.commits["jane/rooms"][-1]["added/normals.safetensors"] = whole
    with pytest.raises(ConfigError, match="was added to other weights"):
        pull("jane/rooms")


@pytest.mark.parametrize("name", ["config.json", "settings.yaml", "model.safetensors"])
def test_a_changed_byte_is_told(tiny: Any, hub: StandIn, name: str) -> None:
    push(tiny.run, "jane/rooms")
    content = hub.commits["jane/rooms"][0]
    place = content[name].index(b"tiny") if name != "model.safetensors" else -1
    changed = bytearray(content[name])
    changed[place] ^= 1
    content[name] = bytes(changed)
    with pytest.raises(ConfigError, match=f"{name}.*damaged"):
        pull("jane/rooms")


def test_revisions(tiny: Any, hub: StandIn, tmp_path: Path) -> None:
    push(tiny.run, "jane/rooms", private=True)
    push(vtadapt.create(["depth"], size=(64, 64)).save(tmp_path / "other"), "jane/rooms")
    assert hub.private == {"jane/rooms": True}
    first = f"{1:040x}"
    assert pull(f"jane/rooms@{first}")["revision"] == first
    assert len(vtadapt.load(f"jane/rooms@{first}").tasks) == 4
    assert [*vtadapt.load("jane/rooms", download=True).tasks] == ["depth"]
    assert len(vtadapt.load(f"jane/rooms@{first}").tasks) == 4


def test_nothing_of_this_machine_is_uploaded(tiny: Any, hub: StandIn, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny.run, tmp_path / "run"))
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "secret.txt").write_text("x")
    config = parse_json((run / "config.json").read_bytes())
    place = {"path": "/home/jane/secret/w.pth", "bytes": 1, "mtime_ns": 1, "sha256": "0" * 64}
    config["backbone"] |= {"file": place}
    (run / "config.json").write_text(json_text(config))
    push(run, "jane/rooms")
    (stored,) = hub.commits["jane/rooms"]
    for name, content in stored.items():
        assert str(tmp_path).encode() not in content, name
        assert str(tiny.data_dir.parent).encode() not in content, name
        assert b"/home/jane" not in content, name
    assert "secret.txt" not in stored
    assert stored["model.safetensors"] == (run / "model.safetensors").read_bytes()


def test_the_card_is_true(cli: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    ran = cli("push", tiny.run, "jane/rooms", "--licence", "mit", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == str(tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert (metadata["library_name"], metadata["license"]) == ("vtadapt", "mit")
    assert huggingface_hub.ModelCard(text).data.license == "mit"
    results, model = tiny.results, vtadapt.load(tiny.run)
    for name, task in model.tasks.items():
        value = results["metrics"]["tiny"][name][task.headline]
        row = next(
            line
            for line in body.splitlines()
            if f"| {task.headline} |".replace("_", "\\_") in line or (f"| {name} | {task.headline} |" in line)
        )
        assert float(row.split(" | ")[3]) == pytest.approx(value, rel=1e-3)
    trained = sum(parameter.numel() for parameter in model.parameters())
    assert f"{trained:,} trained parameters of" in body
    assert "licence: none, its weights were drawn by chance" in body
    assert "Synthetic furnished rooms" in body
    assert 'vtadapt.load("jane/rooms", download=True)' in body
    demo = cli("push", "demo", "jane/demo", "--out", tmp_path / "demo")
    assert demo.code == 0, demo.err
    body = (tmp_path / "demo" / "README.md").read_text()
    assert "`swin_lite`, weights `auto`, licence: Apache-2.0." in body
    assert "Licence of what was trained: its owner has not said." in body
    assert "license:" not in body
    own = vtadapt.create(["depth"], size=(64, 64)).save(tmp_path / "own")
    push(own, "jane/own", out=tmp_path / "unmeasured")
    body = (tmp_path / "unmeasured" / "README.md").read_text()
    assert "Nobody has measured it" in body
    assert "| own | not known | not known |" in body
    with pytest.raises(UsageError, match="holds files already"):
        push(own, "jane/own", out=tmp_path / "unmeasured")


@pytest.mark.parametrize("name", ["rooms", "a/b/c", "../x", "jane/", "/x", "jane/x y", ""])
def test_what_is_no_repository(cli: Callable[..., Any], name: str, tiny: Any) -> None:
    for command in (["push", tiny.run, name], ["pull", name]):
        ran = cli(*command)
        assert (ran.code, ran.out) == (2, "")
        assert "wanted OWNER/NAME" in ran.err


def test_what_is_not_there_or_no_run(tiny: Any, hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot pull jane/nothing: not found"):
        pull("jane/nothing")
    push(tiny.run, "jane/rooms")
    good = hub.commits["jane/rooms"][0]
    archive = hub.cache.parent / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.pkl", b"")
    for change, why in (
        ({"model.safetensors": None}, "holds no run of vtadapt \\(no model.safetensors"),
        ({"model.safetensors": archive.read_bytes()}, "broken checkpoint"),
        ({"config.json": b"[]"}, "wanted a JSON object"),
        ({"settings.yaml": b"stepz: 3"}, "settings"),
    ):
        changed = {name: content for name, content in {**good, **change}.items() if content is not None}
        hub.commits["jane/rooms"].append(changed)
        with pytest.raises((DataError, ConfigError, UsageError), match=why):
            pull("jane/rooms")
    hub.commits["jane/rooms"].append({**good, "pytorch_model.bin": b"pickle", "x.py": b"import os"})
    folder = Path(pull("jane/rooms")["folder"])
    assert {path.name for path in folder.iterdir()} == {*good}  # nothing that could run

    def offline(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(VtadaptError, match="cannot pull jane/rooms \\(no route to host\\)"):
        pull("jane/rooms")
    assert vtadapt.load("jane/rooms").tasks  # what was downloaded stays


def test_folders_of_the_cache_are_known(tmp_path: Path) -> None:
    assert repository_of(tmp_path / "models--jane--a-b" / "snapshots" / "0") == "jane/a-b"
    for other in ("models--jane/snapshots/0", "x/snapshots/0", "models--jane--x/other/0", "."):
        assert repository_of(tmp_path / other) is None
    folder = tmp_path / "jane" / "rooms"
    shutil.copytree(find_run("demo", tmp_path), folder)
    assert find_run("jane/rooms", tmp_path) == folder  # a folder of that name is the run
