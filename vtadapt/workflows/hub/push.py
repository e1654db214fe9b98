"""``vtadapt push``: a run to a repository of the Hub, with its card and without what is nobody's business."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from vtadapt.atomic import need_writable, temporary_folder, whole_file, write_json, write_text
from vtadapt.checked import yaml_text
from vtadapt.errors import UsageError
from vtadapt.workflows.hub.card import card, facts_of
from vtadapt.workflows.hub.client import library, need_repository, told
from vtadapt.workflows.run import files
from vtadapt.workflows.run.added import FOLDER
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.run.settings.fields import TrainSettings

CARD = "README.md"
PLACES = ("data_dir", "run_dir")
"""Settings that name folders of a machine."""


def push(
    run: Path,
    repository: str,
    *,
    private: bool = False,
    licence: str | None = None,
    out: Path | None = None,
    weights: str | None = None,
    message: str | None = None,
) -> dict[str, Any]:
    """Upload a run.

    Args:
        run: a finished run.
        repository: owner/name; made where it is not there.
        private: whether others may not see it, where it is made now.
        licence: of what was trained, as the Hub names it, such as apache-2.0.
        out: write the files to this folder, and upload nothing.
        weights: of the run's backbone, where they are not found.

    Returns:
        {"run", "repository", "files": {name: bytes}, "url" (None where nothing was uploaded), "folder" (with ``out``)}.

    Raises:
        UsageError: no such name of a repository, or huggingface_hub is not installed.
        ConfigError: the run does not load.
        VtadaptError: the Hub refuses.
    """
    need_repository(repository)
    if "@" in repository:
        raise UsageError(f"repository {repository!r}; a revision is for pull, push makes the next one")
    if out is not None:
        need_writable(out)
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"--out {out} holds files already; name a folder that is empty or not there")
    hub = None if out is not None else library()
    loaded = load_run(run, weights=weights)  # that it does is the first thing that a stranger will see
    if out is not None:
        write_layout(loaded, repository, licence, out)
        return {"run": str(run), "repository": repository, "files": _sizes(out), "url": None, "folder": str(out)}
    with temporary_folder("push") as folder:
        write_layout(loaded, repository, licence, folder)
        with told(f"push to {repository}"):
            api = hub.HfApi() if hub is not None else None
            assert api is not None
            api.create_repo(repo_id=repository, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repository,
                folder_path=str(folder),
                commit_message=message or f"Run {run.resolve().name} of vtadapt",
                allow_patterns=[*_sizes(folder)],
            )
        url = getattr(done, "commit_url", None) or f"https://huggingface.co/{repository}"
        return {"run": str(run), "repository": repository, "files": _sizes(folder), "url": str(url)}


def write_layout(run: Loaded, repository: str, licence: str | None, folder: Path) -> None:
    """Write the files of a repository: the card, what rebuilds the run, and its results where there are some."""
    config = files.read_json(run.path / files.CONFIG)
    if "file" in config["backbone"]:
        place = dict(config["backbone"]["file"])
        config["backbone"]["file"] = {**place, "path": Path(str(place["path"])).name}
        config["backbone"]["weights"] = _bare(str(config["backbone"]["weights"]))
    write_json(folder / files.CONFIG, config, checked=True)
    write_text(folder / files.SETTINGS, yaml_text(_settings(run.path / files.SETTINGS)))
    for name in (files.RESULTS, files.AFFINITY):
        if (run.path / name).is_file():
            content = files.read_json(run.path / name)
            for key in ("run", "panels"):
                content.pop(key, None)
            write_json(folder / name, content, checked=True)
    for source in (run.path / files.MODEL, *(each.path for each in run.added.values())):
        copy = folder / source.relative_to(run.path)
        copy.parent.mkdir(exist_ok=True)
        with whole_file(copy) as temporary:
            shutil.copyfile(source, temporary)
    write_text(folder / CARD, card(facts_of(run, repository, licence)))


def _settings(path: Path) -> str:
    """The run's settings less the folders of the machine that it was trained on."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in PLACES:
        content[key] = str(TrainSettings.model_fields[key].default)
    for key in ("weights", "start"):
        if isinstance(content.get(key), str):
            content[key] = _bare(content[key])
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _bare(text: str) -> str:
    """A path without its folders; the Hub's and timm's names as they are."""
    return text if text.startswith("hf-hub:") or os.sep not in text else Path(text).name


def _sizes(folder: Path) -> dict[str, int]:
    found = [*folder.iterdir(), *(folder / FOLDER).glob("*")]
    files_of = [path for path in sorted(found) if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files_of}
