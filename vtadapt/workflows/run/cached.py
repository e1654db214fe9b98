"""Runs that were downloaded from the Hugging Face Hub, found in its cache; nothing is downloaded here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vtadapt.workflows.run.files import CONFIG, MODEL, SETTINGS

NAMED = re.compile(r"([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
"""owner/name, and a revision after an "@"."""


def is_repository(name: str) -> bool:
    """Whether it may be a repository of the Hub, owner/name[@revision]."""
    return NAMED.fullmatch(name) is not None


def parts(name: str) -> tuple[str, str | None]:
    """("owner/name", revision or None) of what :func:`is_repository`."""
    repository, _, revision = name.partition("@")
    return repository, revision or None


def cached_run(name: str) -> Path | None:
    """The folder of a downloaded run, owner/name[@revision]; None where the cache has not all of it."""
    repository, revision = parts(name)
    try:
        from huggingface_hub import constants, try_to_load_from_cache
    except ImportError:
        return None
    found = None
    for file in (SETTINGS, MODEL, CONFIG):
        path = try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE, revision=revision)
        if not isinstance(path, str):
            return None
        found = Path(path).parent
    return found


def repository_of(run: Path) -> str | None:
    """owner/name of a run in the Hub's cache, models--OWNER--NAME/snapshots/REVISION; None for other folders."""
    path = Path(os.path.abspath(run))
    parts_of = path.parents[1].name.split("--") if len(path.parents) > 1 and path.parent.name == "snapshots" else []
    return "/".join(parts_of[1:]) if len(parts_of) == 3 and parts_of[0] == "models" else None
