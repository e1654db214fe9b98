"""``vtadapt prepare-data``: from a source folder, or a synthetic recipe, to a pack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vtadapt.data.manifest import has_pack
from vtadapt.data.prepare import PrepareOptions, prepare
from vtadapt.data.recipe import Recipe, load_recipe
from vtadapt.workflows.progress import Progress


def prepare_data(
    name: str, source: Path | None, out_dir: Path, options: PrepareOptions | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Convert and verify a data set; returns its manifest, with ``"kept": True`` where nothing had to be done.

    Args:
        name: of a shipped recipe, or the path of your own.
        source: folder of the files; None for synthetic sets.
        out_dir: the pack is written to ``out_dir/NAME``.
        options: size, tasks, limit and so on.
        quiet: no progress.
    """
    manifest = _prepare(load_recipe(name), source, out_dir, options, quiet)
    if manifest.get("kept") and not quiet:
        print(f"kept {out_dir / manifest['name']}: nothing changed; --force prepares it again", file=sys.stderr)
    return manifest


def ensure_synthetic(recipe: Recipe, out_dir: Path, *, quiet: bool = False, workers: int = 2) -> None:
    """Render a synthetic set that is not there yet; other sets are left to ``prepare-data``."""
    if recipe.source.synthetic and not has_pack(out_dir, recipe.name):
        _prepare(recipe, None, out_dir, PrepareOptions(workers=workers), quiet)


def _prepare(
    recipe: Recipe, source: Path | None, out_dir: Path, options: PrepareOptions | None, quiet: bool
) -> dict[str, Any]:
    bars: dict[str, Progress] = {}

    def show(split: str, done: int, total: int) -> None:
        if split not in bars:
            for bar in bars.values():
                bar.close()
            bars[split] = Progress(total, 0, f"prepare {recipe.name} {split}", quiet)
            bars[split].open()
        bars[split].update(done, {})

    try:
        return prepare(recipe, source, out_dir, options, on_progress=show)
    finally:
        for bar in bars.values():
            bar.close()
