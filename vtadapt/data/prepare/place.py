"""The place of a pack: what lies there, what that was made from, and the folders to build the next one in."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vtadapt.atomic import disk_error, remove_leftovers, write_json
from vtadapt.data.pack.manifest import InPlace
from vtadapt.data.prepare.options import Plan
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import DataError, VtadaptError
from vtadapt.strict_json import read_checked

PLAN = "plan.json"


def origin_of(given: Sequence[Path], out_dir: Path) -> dict[str, list[str]]:
    """What the manifest says of where the files were, seen from the root and from the folder of the packs."""
    places = [str(path.resolve()) for path in given]
    return {"source": places, "source_from_here": [os.path.relpath(path, out_dir.resolve()) for path in places]}


def need_same(there: InPlace | None, origin: Mapping[str, list[str]]) -> None:
    """Raise a DataError where the pack that is there was made of another recipe of the same name, or other files.

    A project that was moved or copied with its source is the same; so are files that moved, or were packed or unpacked.
    """
    if there is None:
        return
    wrong = there.other
    if not wrong and _others(there.manifest, origin):
        wrong = ", ".join(map(str, there.manifest["source"]))
    if wrong:
        raise DataError(
            f"{there.folder} was made from {wrong}; --force replaces it, another name: in the recipe or another "
            "--data-dir keeps both"
        )


def _others(there: Mapping[str, Any], origin: Mapping[str, list[str]]) -> bool:
    """Whether a pack was made from other folders, or from other archives, that are still there."""
    before, now = [Path(p) for p in there.get("source", ())], [Path(p) for p in origin["source"]]
    if any(there.get(key, origin[key]) == origin[key] for key in origin) or not all(p.exists() for p in before):
        return False
    return {p.is_dir() for p in before} == {p.is_dir() for p in now}


def need_place(out_dir: Path, recipe: Recipe) -> None:
    """Raise a DataError unless ``out_dir/NAME`` is free or holds a pack and nothing else: it will be replaced."""
    target = out_dir / recipe.name
    advice = "choose another folder (--data-dir), or move it"
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        found = "a link" if target.is_symlink() else "a file"
        raise DataError(f"{target}: {found}, where the pack is to be; {advice}")
    splits = "|".join(map(re.escape, recipe.splits))
    ours = re.compile(rf"manifest\.json|contact\.png|({splits})(-\d+-of-\d+)?\.h5(\.crc32)?|\..*")
    for path in sorted(target.iterdir()) if target.exists() else ():
        if not ours.fullmatch(path.name) or (path.is_dir() and not path.is_symlink()):
            raise DataError(f"{path}: no part of a pack, but it lies where the pack is to be; {advice}")


class Site(NamedTuple):
    """Where a pack is built.

    Attributes:
        target: where it will lie.
        building: the folder that will take that place.
        notes: the folder to note in what is finished.
        previous: where the pack that is there now lies in the meantime.
    """

    target: Path
    building: Path
    notes: Path
    previous: Path


@contextlib.contextmanager
def building_site(out_dir: Path, name: str, noted: dict[str, Any]) -> Iterator[Site]:
    """The folders to build a pack in, and to note in what is finished of it.

    What a killed run finished there with the same plan is kept. They go at the end: the first has taken its place by
    then; after an error only if nothing is finished that the next run could take up.

    Args:
        out_dir: folder of the packs.
        name: of the pack.
        noted: the plan, and what else finished parts must have been made with.
    """
    site = _site(out_dir, name)
    same = _noted_plan(site.notes) == noted
    try:
        for folder in (site.building, site.notes):
            if not same:
                shutil.rmtree(folder, ignore_errors=True)
            with disk_error(folder):
                folder.mkdir(exist_ok=True)
                remove_leftovers(folder, alone=True)
        write_json(site.notes / PLAN, noted, checked=True)
        yield site
    except VtadaptError:
        if not any(site.notes.glob("*.h5.json")):
            shutil.rmtree(site.building, ignore_errors=True)
            shutil.rmtree(site.notes, ignore_errors=True)
        raise
    shutil.rmtree(site.notes, ignore_errors=True)


def forget(out_dir: Path, plan: Plan) -> None:
    """Remove what a run with the same plan left half done of files that are now as they were before it.

    Call it only while holding ``out_dir/.NAME.lock``.
    """
    site = _site(out_dir, plan.recipe.name)
    if _noted_plan(site.notes).get("key") == plan.key():
        shutil.rmtree(site.building, ignore_errors=True)
        shutil.rmtree(site.notes, ignore_errors=True)


def _site(out_dir: Path, name: str) -> Site:
    return Site(out_dir / name, *(out_dir / f".{name}.{what}" for what in ("building", "state", "previous")))


def _noted_plan(notes: Path) -> dict[str, Any]:
    """The plan of the run whose parts are there; empty where there is none."""
    try:
        plan = read_checked(notes / PLAN)
    except (OSError, ValueError, RecursionError):
        return {}
    return plan if isinstance(plan, dict) else {}
