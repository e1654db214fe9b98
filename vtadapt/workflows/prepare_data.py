"""``vtadapt prepare-data``: from downloaded files, or a synthetic recipe, to a pack."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtadapt.data.manifest import has_pack
from vtadapt.data.plan import PrepareOptions, resolve
from vtadapt.data.prepare import prepare
from vtadapt.data.recipe import Recipe, load_recipe
from vtadapt.data.survey import survey
from vtadapt.workflows.progress import Progress


def prepare_data(
    name: str,
    source: Path | Sequence[Path] | None,
    out_dir: Path,
    options: PrepareOptions | None = None,
    *,
    download: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Convert and verify a data set; returns its manifest, with ``"kept": True`` where nothing had to be done.

    Args:
        name: of a shipped recipe, or the path of your own.
        source: folder, archive or file, or several; None for synthetic sets.
        out_dir: the pack is written to ``out_dir/NAME``.
        options: size, tasks, limit and so on.
        download: fetch the files that the recipe has a URL and a checksum of.
        quiet: no progress.
    """
    recipe = load_recipe(name)
    resolve(recipe, options or PrepareOptions())  # a slip in the options is told before hours of unpacking
    given = _as_list(source)
    if download:
        given = [*given, *_download(recipe, out_dir, quiet)]
    manifest = _prepare(recipe, given, out_dir, options, quiet)
    if manifest.get("kept") and not quiet:
        print(f"kept {out_dir / manifest['name']}: nothing changed; --force prepares it again", file=sys.stderr)
    return manifest


def ensure_synthetic(recipe: Recipe, out_dir: Path, *, quiet: bool = False, workers: int = 2) -> None:
    """Render a synthetic set that is not there yet; other sets are left to ``prepare-data``."""
    if recipe.source.synthetic and not has_pack(out_dir, recipe.name):
        _prepare(recipe, [], out_dir, PrepareOptions(workers=workers), quiet)


def _as_list(source: Path | Sequence[Path] | None) -> list[Path]:
    return [] if source is None else [source] if isinstance(source, Path) else list(source)


class _Shown:
    """Progress over all splits as one bar."""

    def __init__(self, title: str, quiet: bool) -> None:
        self.title, self.quiet = title, quiet
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.bar: Progress | None = None

    def __call__(self, split: str, done: int, total: int) -> None:
        self.totals[split], self.done[split] = total, done
        if done == 0:  # the splits are announced before the work begins
            return
        if self.bar is None:
            self.bar = Progress(sum(self.totals.values()), 0, self.title, self.quiet, unit="images")
            self.bar.open()
        self.bar.update(sum(self.done.values()), {})

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _prepare(
    recipe: Recipe, given: Sequence[Path], out_dir: Path, options: PrepareOptions | None, quiet: bool
) -> dict[str, Any]:
    show = _Shown(f"prepare {recipe.name}", quiet)
    try:
        return prepare(recipe, given[0] if given else None, out_dir, options, on_progress=show)
    finally:
        show.close()


def dry_run(name: str, sources: Sequence[Path], out_dir: Path, options: PrepareOptions) -> dict[str, Any]:
    """What the sources hold and lack; nothing is converted. See :func:`vtadapt.data.survey.survey`."""
    del out_dir
    return survey(resolve(load_recipe(name), options), sources[0] if sources else None)


def _download(recipe: Recipe, out_dir: Path, quiet: bool) -> list[Path]:
    raise NotImplementedError
