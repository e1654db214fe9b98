"""``vtadapt pull``: a run from a repository of the Hub, into the Hub's cache, where every command finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtadapt.errors import DataError
from vtadapt.workflows.hub.client import library, need_repository, told
from vtadapt.workflows.run import checkpoint, files
from vtadapt.workflows.run.added import FOLDER, SUFFIX, need_same_weights, read_added
from vtadapt.workflows.run.cached import parts
from vtadapt.workflows.run.load import read_config
from vtadapt.workflows.run.settings import load

WANTED = (
    *("README.md", files.CONFIG, files.SETTINGS, files.MODEL, files.RESULTS, files.AFFINITY),
    f"{FOLDER}/*{SUFFIX}",
)
"""All that is downloaded: nothing that could run."""


def pull(repository: str) -> dict[str, Any]:
    """Download a run and see that it is one.

    Args:
        repository: owner/name, and a revision (branch, tag or commit) after an "@".

    Returns:
        {"repository", "revision", "folder", "tasks": [names], "backbone": name, "weights": as they were named}.

    Raises:
        UsageError: no such name of a repository, or huggingface_hub is not installed.
        DataError: it is not there, or holds no run of vtadapt.
        VtadaptError: the Hub cannot be reached, or refuses.
    """
    need_repository(repository)
    hub = library()
    name, revision = parts(repository)
    with told(f"pull {repository}"):
        folder = Path(
            hub.snapshot_download(
                name, revision=revision, allow_patterns=[*WANTED], cache_dir=hub.constants.HF_HUB_CACHE
            )
        )
    missing = [file for file in (files.CONFIG, files.SETTINGS, files.MODEL) if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"{repository} holds no run of vtadapt (no {', '.join(missing)}); wanted what vtadapt push makes"
        )
    found = read_config(folder)
    load(folder / files.SETTINGS)
    tensors, _ = checkpoint.read_tensors(folder / files.MODEL)
    added = read_added(folder)
    need_same_weights(folder, tensors, added)
    backbone = {"backbone": str(found.backbone["name"]), "weights": str(found.backbone["weights"])}
    return {
        "repository": name,
        "revision": folder.name,
        "folder": str(folder),
        "tasks": [*found.tasks, *added],
        **backbone,
    }
