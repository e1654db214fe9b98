"""Whether a pack may take its place: what lies there, and what an earlier pack of its name was made from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.data.pack.manifest import has_pack, locate, open_manifest, other_recipe
from vtadapt.data.prepare.options import Plan
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import DataError


def origin_of(given: Sequence[Path], out_dir: Path) -> dict[str, list[str]]:
    """What the manifest says of where the files were, seen from the root and from the folder of the packs."""
    places = [str(path.resolve()) for path in given]
    return {"source": places, "source_from_here": [os.path.relpath(path, out_dir.resolve()) for path in places]}


def need_same(out_dir: Path, plan: Plan, origin: Mapping[str, list[str]]) -> None:
    """Raise a DataError where the pack that is there was made of another recipe of the same name, or other files.

    A project that was moved or copied with its source is the same; so are files that moved, or were packed or unpacked.
    """
    name = plan.recipe.name
    if not has_pack(out_dir, name):
        return
    try:
        there = open_manifest(out_dir, name)
    except DataError:  # broken: it is replaced
        return
    wrong = ""
    if there.get("recipe_hash") not in (None, plan.shipped.hash):
        other = other_recipe(there, plan.shipped)
        wrong = f"another recipe of that name ({other})" if other else "another version of it"
    elif _others(there, origin):
        wrong = ", ".join(map(str, there["source"]))
    if wrong:
        raise DataError(
            f"{locate(out_dir, name)} was made from {wrong}; --force replaces it, another name: in the recipe or "
            "another --data-dir keeps both"
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
    ours = re.compile(rf"manifest\.json|contact\.png|({splits})(-\d+-of-\d+)?\.h5|\..*")
    for path in sorted(target.iterdir()) if target.exists() else ():
        if not ours.fullmatch(path.name) or (path.is_dir() and not path.is_symlink()):
            raise DataError(f"{path}: no part of a pack, but it lies where the pack is to be; {advice}")
