"""``vtadapt recipe``: the recipe to start from, for a folder of one's own."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from vtadapt.atomic import need_writable, write_text
from vtadapt.data.guess.guess import guess_recipe
from vtadapt.data.prepare.dry_run import survey
from vtadapt.data.prepare.options import PrepareOptions, resolve
from vtadapt.data.recipe.recipe import read_recipe
from vtadapt.data.source.links import need_no_way_out
from vtadapt.errors import UsageError


def write_recipe(
    folder: Path, out: Path | None, name: str | None, *, force: bool = False, follow_links: bool = False
) -> dict[str, Any]:
    """Look at a folder and write a recipe for it.

    Args:
        folder: with pictures and labels.
        out: the file; default: NAME.yaml here.
        name: of the data set; default: the folder's.
        force: replace a file that is there.
        follow_links: look at what links lead to outside of the folder, too.

    Returns:
        ``recipe`` (the file), ``name``, ``found`` (lines), ``problems`` (why it cannot be prepared yet) and ``next``
        (commands).

    Raises:
        UsageError: the file is there already.
        DataError: no pictures or no labels in the folder, or a link that leads out of it.
    """
    if not follow_links:
        need_no_way_out([folder])
    wanted = out or Path(f"{guess_recipe_name(folder, name)}.yaml")
    if wanted.exists() and not force:
        raise UsageError(f"{wanted} is there already; --force replaces it, --out writes another")
    need_writable(wanted.absolute().parent)
    guess = guess_recipe(folder, name, _seen_from(folder, wanted))
    write_text(wanted, guess.text)
    recipe = read_recipe(wanted)
    found = survey(resolve(recipe, PrepareOptions(follow_links=follow_links)), folder)
    typed = shlex.quote(str(wanted)) + (" --follow-links" if follow_links else "")
    return {
        "recipe": str(wanted),
        "name": guess.name,
        "found": guess.found,
        "problems": found["problems"],
        "splits": {split: entry["samples"] for split, entry in found["splits"].items()},
        "next": [f"vtadapt prepare-data {typed}", f"vtadapt train {guess.name}"],
    }


def guess_recipe_name(folder: Path, name: str | None) -> str:
    """The name that the recipe of a folder gets."""
    from vtadapt.data.guess.document import name_of

    return name or name_of(folder)


def _seen_from(folder: Path, recipe: Path) -> str:
    """The folder as the recipe names it: from where the recipe lies, so that both can be moved together."""
    try:
        return Path(os.path.relpath(folder.resolve(), recipe.absolute().parent.resolve())).as_posix()
    except ValueError:  # on another drive
        return str(folder.resolve())
