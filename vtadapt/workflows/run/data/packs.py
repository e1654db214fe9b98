"""Data sets named by the folder of their pack, wherever that is."""

from __future__ import annotations

import os
from pathlib import Path

from vtadapt.data.pack.manifest import FILE, open_manifest
from vtadapt.errors import UsageError
from vtadapt.workflows.run.settings import TrainSettings


def packs_of(data: str, data_dir: Path) -> tuple[str, Path]:
    """Names of data sets and the folder that their packs lie in, where some were given as folders of packs.

    Args:
        data: names, recipes (``.yaml``) or folders of packs, joined with "+".
        data_dir: folder of the packs that are named.

    Raises:
        UsageError: packs of several folders, or one whose folder is called otherwise than it.
        DataError: a pack's manifest is broken.
    """
    names: list[str] = []
    folders: dict[Path, Path] = {}
    for part in (each.strip() for each in data.split("+")):
        path = Path(part).expanduser()
        if not part or not (path / FILE).is_file() or (data_dir / part / FILE).is_file() and "/" not in part:
            names.append(part)
            if not part.endswith((".yaml", ".yml")):
                folders.setdefault(data_dir.resolve(), data_dir)
            continue
        parent, name = (path.parent, path.name) if path.name else (path.resolve().parent, path.resolve().name)
        own = str(open_manifest(parent, name).get("name"))
        if own != name:
            raise UsageError(f"{os.fspath(path)!r} is the pack of {own!r}; call its folder so, or name that data set")
        names.append(name)
        folders.setdefault(parent.resolve(), parent)
    if len(folders) > 1:
        found = " and ".join(os.fspath(folder) for folder in folders.values())
        raise UsageError(f"{data!r}: packs of {found}; wanted all in one folder, named with --data-dir")
    return "+".join(names), next(iter(folders.values()), data_dir)


def with_packs(settings: TrainSettings) -> TrainSettings:
    """Settings with names for ``data`` and ``target``, and ``data_dir`` where their packs are; see :func:`packs_of`."""
    count = len(settings.data.split("+"))
    data, folder = packs_of("+".join(filter(None, (settings.data, settings.target))), settings.data_dir)
    names = data.split("+")
    found = {"data": "+".join(names[:count]), "target": names[count] if settings.target else None, "data_dir": folder}
    return settings.model_copy(update={key: value for key, value in found.items() if getattr(settings, key) != value})
