"""Which packs a run reads, so that one that was replaced since is noticed: resumed, it would be another run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vtadapt.atomic import write_json
from vtadapt.data.pack.manifest import has_pack, open_manifest
from vtadapt.errors import ConfigError
from vtadapt.workflows.run import files
from vtadapt.workflows.terminal.text import say

Digests = dict[str, str]
"""Data set -> SHA-256 of what its pack's files hold."""

SHORT = 12  # characters of a digest in messages


def digests_of(names: Iterable[str], data_dir: Path) -> Digests:
    """The digests of the packs that are there.

    Of the checksums of their files alone: a set that is prepared again from the same pictures is the same.

    Raises:
        DataError: a manifest is broken.
    """
    return {name: _digest(name, data_dir) for name in names if has_pack(data_dir, name)}


def _digest(name: str, data_dir: Path) -> str:
    splits = open_manifest(data_dir, name)["splits"]
    parts = {split: [[one.get("sha256"), one.get("samples")] for one in splits[split]["shards"]] for split in splits}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def note_packs(run: Path, found: Mapping[str, str]) -> None:
    """Write down, in the folder of a run that begins, the digests of its packs."""
    write_json(run / files.PACKS, {"format": 1, "packs": dict(found)}, checked=True)


def noted_packs(run: Path) -> Digests:
    """What :func:`note_packs` wrote; nothing for runs of before.

    Raises:
        ConfigError: the file is damaged.
    """
    if not (path := run / files.PACKS).is_file():
        return {}
    packs = files.read_json(path).get("packs")
    if not isinstance(packs, dict):
        raise ConfigError(f"{os.fspath(path)!r}: no packs in it; wanted what vtadapt train wrote; train again")
    return {str(name): str(digest) for name, digest in packs.items()}


def changed_pack(run: Path, found: Mapping[str, str]) -> tuple[str, str, str] | None:
    """A pack that is another than the run's: its name, the digest noted, and that found; None where all are the same.

    Args:
        run: its folder.
        found: see :func:`digests_of`; others are not looked at.
    """
    for name, noted in noted_packs(run).items():
        if name in found and found[name] != noted:
            return name, noted[:SHORT], found[name][:SHORT]
    return None


def tell_changed(run: Path, names: Iterable[str], data_dir: Path) -> None:
    """Say so where a finished run is looked at on other data than it was trained on, under the same name."""
    own = [name for name in names if name in noted_packs(run)]
    if own and (changed := changed_pack(run, digests_of(own, data_dir))):
        name, noted, now = changed
        say(
            f"note: data set {name!r} in {os.fspath(data_dir)!r} is not the one that {os.fspath(run)!r} was trained on "
            f"(digest {now}, noted {noted}): it was prepared anew or replaced"
        )


def need_same_packs(run: Path, found: Mapping[str, str], data_dir: Path) -> None:
    """Refuse to go on with a run on other data than it began with.

    Raises:
        ConfigError: names the pack.
    """
    if changed := changed_pack(run, found):
        name, noted, now = changed
        raise ConfigError(
            f"data set {name!r} in {os.fspath(data_dir)!r} is not the one that {os.fspath(run)!r} began with (digest "
            f"{now}, noted {noted}): it was prepared anew or replaced; put that pack back, name its folder with "
            "--data-dir, or train a new run"
        )
