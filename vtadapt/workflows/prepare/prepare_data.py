"""``vtadapt prepare-data``: from downloaded files, or a synthetic recipe, to a pack."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from vtadapt.atomic import temporary_folder
from vtadapt.data.pack.manifest import has_pack, in_place, is_reusable
from vtadapt.data.prepare.dry_run import survey
from vtadapt.data.prepare.options import Plan, PrepareOptions, resolve
from vtadapt.data.prepare.place import forget, need_place, need_same, origin_of
from vtadapt.data.prepare.prepare import prepare
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.data.source.cache import LOCK, discard
from vtadapt.data.source.parts import parts_of
from vtadapt.data.source.source import called, open_source, skeleton
from vtadapt.errors import DataError
from vtadapt.lock import folder_lock
from vtadapt.workflows.terminal.interrupt import going_on
from vtadapt.workflows.terminal.progress import Progress
from vtadapt.workflows.terminal.text import say


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
    given = _as_list(source) or own_folder(recipe)
    with going_on("the same command again; the parts that are finished are kept"):
        if download:
            given = [*given, *_download(recipe, out_dir, (options or PrepareOptions()).tasks, quiet)]
        manifest = _prepare(recipe, given, out_dir, options, quiet)
    if manifest.get("kept") and not quiet:
        say(f"kept {out_dir / manifest['name']}: nothing changed; --force prepares it again")
    return manifest


def ensure_synthetic(recipes: Iterable[Recipe], out_dir: Path, *, quiet: bool = False, workers: int = 2) -> None:
    """Prepare what is not there yet and needs nothing typed; other sets are left to ``prepare-data``.

    Those are synthetic sets, and sets of the user's whose recipes say where their files lie (``source.folder``).
    """
    for recipe in recipes:
        if own_folder(recipe) and not has_pack(out_dir, recipe.name):
            _prepare(recipe, own_folder(recipe), out_dir, PrepareOptions(workers=workers), quiet)
        if recipe.source.synthetic and not has_pack(out_dir, recipe.name):
            with _Shown(f"prepare {recipe.name}", quiet) as show:
                prepare(recipe, None, out_dir, PrepareOptions(workers=workers), on_progress=show, tell=say)


def own_folder(recipe: Recipe) -> list[Path]:
    """The folder that a recipe names as the place of its files; none of most."""
    return [Path(recipe.source.folder)] if recipe.source.folder else []


def _as_list(source: Path | Sequence[Path] | None) -> list[Path]:
    return [] if source is None else [source] if isinstance(source, Path) else list(source)


def _prepare(
    recipe: Recipe, given: Sequence[Path], out_dir: Path, options: PrepareOptions | None, quiet: bool
) -> dict[str, Any]:
    options = options or PrepareOptions()
    if recipe.source.synthetic or not given:
        with _Shown(f"prepare {recipe.name}", quiet) as show:
            return prepare(recipe, None, out_dir, options, on_progress=show, tell=say)
    state, cache = _state_of_archives(given), out_dir / f".{recipe.name}.source"
    there = in_place(out_dir, recipe)
    if state is not None and not options.force and there is not None:
        plan = resolve(recipe, options)
        if is_reusable(there, plan.key(state)):
            _clear_up(out_dir, plan, cache)
            return {**there.manifest, "kept": True}
    need_place(out_dir, recipe)  # this and what follows before hours of unpacking
    if state is not None and not options.force:
        need_same(there, origin_of(given, out_dir))
    with (
        _Shown("unpack", quiet, "bytes") as unpacking,
        open_source(given, cache, on_progress=unpacking.move, follow_links=options.follow_links) as source,
    ):
        unpacking.close()
        with _Shown(f"prepare {recipe.name}", quiet) as show, _naming(source, given):
            unpacked = () if source in given else given
            told: dict[str, Any] = {"state": state, "archives": unpacked, "tell": say}
            manifest = prepare(recipe, source, out_dir, options, on_progress=show, **told)
    _discard(cache)
    return manifest


def _clear_up(out_dir: Path, plan: Plan, cache: Path) -> None:
    """Remove what runs left that failed, unless another run is at work on it, or the disk is read-only."""
    with contextlib.suppress(DataError), folder_lock(out_dir / f".{plan.recipe.name}.lock"):
        forget(out_dir, plan)
    _discard(cache)


def _discard(cache: Path) -> None:
    """Remove unpacked archives, unless another run is at work on them."""
    if cache.is_dir():
        with contextlib.suppress(DataError), folder_lock(cache / LOCK):
            discard(cache)


@contextlib.contextmanager
def _naming(tree: Path, given: Sequence[Path]) -> Iterator[None]:
    """In errors, call the tree that archives were unpacked into by their names: the user knows those."""
    try:
        yield
    except DataError as error:
        if tree in given or str(tree) not in str(error):
            raise
        raise DataError(called(str(error), tree, given)) from error


def _state_of_archives(given: Sequence[Path]) -> str | None:
    """What tells whether archives have changed, without unpacking them; None where any source is no archive."""
    parts = parts_of(given)
    if any(part.kind != "archive" for part in parts):
        return None
    known = [(part.path.name, part.path.stat().st_size, part.path.stat().st_mtime_ns) for part in parts]
    return hashlib.sha256(json.dumps(sorted(known)).encode()).hexdigest()


class _Shown:
    """Progress over all parts of a job as one bar."""

    def __init__(self, title: str, quiet: bool, unit: str = "images") -> None:
        self.title, self.quiet, self.unit = title, quiet, unit
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, part: str, done: int, total: int) -> None:
        """Count; the parts are announced with 0 done before the work begins."""
        self.totals[part], self.done[part] = total, done
        if done == 0:
            return
        if self.bar is None:
            self.bar = Progress(sum(self.totals.values()), 0, self.title, self.quiet, unit=self.unit)
            self.bar.open()
        self.bar.update(sum(self.done.values()), {})

    def move(self, part: str, done: int, total: int) -> None:
        """Count where the parts come one after the other, each with a bar of its own."""
        if part not in self.totals:
            self.close()
            self.totals[part] = total
            self.bar = Progress(total, 0, f"{self.title} {part}", self.quiet, unit=self.unit)
            self.bar.open()
        assert self.bar is not None
        self.bar.update(done, {})

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def dry_run(name: str, sources: Sequence[Path], options: PrepareOptions, *, quiet: bool = False) -> dict[str, Any]:
    """What the sources hold and lack; nothing is converted. See :func:`vtadapt.data.prepare.dry_run.survey`."""
    plan = resolve(load_recipe(name), options)
    sources = sources or own_folder(plan.recipe)
    if not sources or plan.recipe.source.synthetic:
        return survey(plan, None)
    with temporary_folder("dry-run") as folder, _Shown("look into", quiet, "bytes") as reading:
        source = skeleton(sources, folder, on_progress=reading.move, follow_links=options.follow_links)
        given = {path.name: path.stat().st_size for path in sources if path.is_file()}
        for part in parts_of(sources):
            given |= {part.path.name: part.path.stat().st_size} if part.kind == "archive" else {}
        return called(survey(plan, source, given), folder, sources)


def _download(recipe: Recipe, out_dir: Path, tasks: Sequence[str] | None, quiet: bool) -> list[Path]:
    from vtadapt.data.source.download import by_hand, download

    folder = out_dir / "downloads" / recipe.name
    with _Shown("download", quiet, "bytes") as show:
        files = download(recipe, folder, show.move, tasks=tasks)
    for line in by_hand(recipe, folder, tasks=tasks):
        say(f"to fetch by hand into {folder}: {line}")
    return files
