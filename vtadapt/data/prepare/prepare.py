"""From what people have on disk to a pack: find, load, resize, derive, write, describe.

The pack is built in ``.NAME.building`` beside its place and exchanged by renaming when it is whole, so a run that is
killed at any point leaves the previous pack; the parts that it had finished (noted in ``.NAME.state``) are not done
again by the next run if their files are the same. A run that ends with an error leaves nothing but such parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error
from vtadapt.data.pack.manifest import in_place, is_reusable, tidy
from vtadapt.data.prepare.contents import Progress, find_contents, write_contents
from vtadapt.data.prepare.options import PrepareOptions, resolve
from vtadapt.data.prepare.place import building_site, forget, need_place, need_same, origin_of
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import DataError, UsageError
from vtadapt.lock import folder_lock

__all__ = ["PrepareOptions", "prepare"]


def prepare(
    recipe: Recipe,
    source: Path | None,
    out_dir: Path,
    options: PrepareOptions | None = None,
    *,
    on_progress: Progress | None = None,
    state: str | None = None,
    archives: Sequence[Path] = (),
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write the pack ``out_dir/NAME`` and return its manifest.

    A pack that was made with the same recipe, options and files (by path, size and time of change) and whose checksums
    are right is kept as it is; the manifest returned (not the one on disk) then has ``"kept": True``.

    Args:
        recipe: the data set (``load_recipe``).
        source: the user's folder or file; None for synthetic sets.
        out_dir: folder of the packs.
        options: see ``PrepareOptions``.
        on_progress: called with (split, done, total) for each split at the start and after each sample.
        state: what tells whether the source has changed, where its files do not (they were unpacked).
        archives: what ``source`` was unpacked from; the manifest names them in its place.
        tell: called with a line where a run before this one was killed.

    Raises:
        DataError: no such source, a split or task without samples, missing or broken files, a full disk, another run
            at work, something else than a pack where the pack is to be.
        UsageError: unknown split, task or label set.
        ConfigError: options that the reader does not know.
    """
    options, out_dir = options or PrepareOptions(), Path(out_dir)
    plan = resolve(recipe, options)
    _need_source(recipe, source)
    with disk_error(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    with folder_lock(out_dir / f".{recipe.name}.lock", tell=tell):
        tidy(out_dir, recipe.name)
        contents, there = find_contents(plan, source, state, archives), in_place(out_dir, recipe)
        if there is not None and not options.force and is_reusable(there, contents.key):
            forget(out_dir, plan)
            return {**there.manifest, "kept": True}
        need_place(out_dir, recipe)
        origin = origin_of(contents.given, out_dir)
        if not options.force:
            need_same(there, origin)
        with building_site(out_dir, recipe.name, contents.noted) as site:
            return write_contents(site, contents, origin, options.workers, on_progress)


def _need_source(recipe: Recipe, source: Path | None) -> None:
    """Raise where files are needed and there are none."""
    if recipe.source.synthetic:
        return
    wanted = recipe.source.layout or "the files"
    if source is None:
        raise UsageError(f"data set {recipe.name!r} needs --source PATH: {recipe.source.hint or wanted}")
    if not source.exists():
        raise DataError(f"{source}: no such folder; wanted one with {wanted}")
