"""From what people have on disk to a pack: find, load, resize, derive, write, describe.

The pack is built in ``.NAME.building`` beside its place and exchanged by renaming when it is whole, so a run that is
killed at any point leaves the previous pack; the splits that it had finished (noted in ``.NAME.state``) are not done
again by the next run if their files are the same. A run that ends with an error leaves nothing but such splits.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtadapt.data.atomic import disk_error, folder_lock, remove_leftovers, sync, write_json
from vtadapt.data.finding import find_splits, listing
from vtadapt.data.manifest import describe_split, locate, open_manifest, verify, write_manifest
from vtadapt.data.pack import PackWriter
from vtadapt.data.process import process_sample
from vtadapt.data.readers import Item, Reader, make_reader
from vtadapt.data.readers.base import Arrays, need_folder
from vtadapt.data.recipe import Recipe
from vtadapt.errors import DataError, UsageError, VtadaptError, near_matches

Progress = Callable[[str, int, int], None]
_How = tuple[int, Progress | None]
PLAN, ENTRY = "plan.json", "{}.entry.json"


@dataclass(frozen=True)
class PrepareOptions:
    """What can be chosen when preparing.

    Attributes:
        splits: only these; default all of the recipe.
        size: (height, width), "native", or None for the recipe's own.
        tasks: only these; default all of the recipe.
        limit: at most so many samples per split.
        workers: processes that load and derive; 0 = in this one.
        skip_broken: leave samples with broken or missing files out and list them in the manifest, instead of stopping.
        force: prepare again even if the same pack is there.
    """

    splits: Sequence[str] | None = None
    size: tuple[int, int] | str | None = None
    tasks: Sequence[str] | None = None
    limit: int | None = None
    workers: int = 0
    skip_broken: bool = False
    force: bool = False


@dataclass(frozen=True)
class _Plan:
    """The options, resolved against the recipe."""

    recipe: Recipe
    splits: tuple[str, ...]
    tasks: tuple[str, ...]
    size: tuple[int, int] | None
    limit: int | None
    skip_broken: bool

    def key(self, listings: dict[str, str] | None = None) -> str:
        """Equal keys make equal packs; without ``listings`` (of the files of each split) only from equal files."""
        content: list[Any] = [self.recipe.hash, self.splits, self.tasks, self.size, self.limit, self.skip_broken]
        if listings is not None and not self.recipe.source.synthetic:
            content.append(listings)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def prepare(
    recipe: Recipe,
    source: Path | None,
    out_dir: Path,
    options: PrepareOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the pack ``out_dir/NAME`` and return its manifest.

    A pack that was made with the same recipe, options and files (by path, size and time of change) and whose checksums
    are right is kept as it is; the manifest returned (not the one on disk) then has ``"kept": True``.

    Args:
        recipe: the data set (``load_recipe``).
        source: the user's folder; None for synthetic sets.
        out_dir: folder of the packs.
        options: see ``PrepareOptions``.
        on_progress: called with (split, done, total) after each sample.

    Raises:
        DataError: no such source, a split without samples, missing or broken files (the first is named, all are
            counted), a full disk, another run at work.
        UsageError: unknown split or task.
        ConfigError: options that the reader does not know.
    """
    options = options or PrepareOptions()
    plan = _resolve(recipe, options)
    if source is None and not recipe.source.synthetic:
        raise UsageError(f"data set {recipe.name!r} needs --source PATH: {recipe.source.hint or recipe.source.layout}")
    if source is not None and not recipe.source.synthetic:
        need_folder(source, recipe.source.layout or "the files")
    out_dir = Path(out_dir)
    with disk_error(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    with folder_lock(out_dir / f".{recipe.name}.lock"):
        _tidy(out_dir, recipe.name)
        reader = make_reader(recipe, plan.size, plan.tasks)
        items = find_splits(reader, source, plan.splits, plan.limit, plan.skip_broken)
        work = {split: (found, listing(found, source)) for split, found in items.items()}
        key = plan.key({split: files for split, (_, files) in work.items()})
        if not options.force and (kept := _reusable(out_dir, recipe.name, key)):
            return {**kept, "kept": True}
        building, notes = (out_dir / f".{recipe.name}.{what}" for what in ("building", "state"))
        try:
            _start(building, notes, {"key": plan.key(), "source": str(source)})
            how = (options.workers, on_progress)
            splits = {s: _prepare_split(plan, reader, (building, notes, s), work[s], how) for s in work}
            write_manifest(building, _content(plan, key, splits))
            _exchange(building, out_dir / recipe.name)
        except VtadaptError:
            if not any(notes.glob(ENTRY.format("*"))):  # nothing that the next run could take up
                shutil.rmtree(building, ignore_errors=True)
                shutil.rmtree(notes, ignore_errors=True)
            raise
        shutil.rmtree(notes, ignore_errors=True)
    return open_manifest(out_dir, recipe.name)


def _content(plan: _Plan, key: str, splits: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says beside its format."""
    recipe = plan.recipe
    return {
        "name": recipe.name,
        "key": key,
        "recipe_hash": recipe.hash,
        "recipe": recipe.model_dump(mode="json"),
        "tasks": list(plan.tasks),
        "derived": [t for t in plan.tasks if recipe.tasks[t].derived],
        "size": plan.size,
        "limit": plan.limit,
        "splits": splits,
    }


def _tidy(out_dir: Path, name: str) -> None:
    """Undo or finish an exchange that a killed run left half done."""
    if (left := locate(out_dir, name)) != out_dir / name:
        left.rename(out_dir / name)
    shutil.rmtree(out_dir / f".{name}.previous", ignore_errors=True)


def _resolve(recipe: Recipe, options: PrepareOptions) -> _Plan:
    """Check the options against the recipe."""

    def subset(what: str, asked: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
        for one in asked or ():
            if one not in known:
                hint = f"{near_matches(one, known)} Known: {', '.join(known)}"
                raise UsageError(f"data set {recipe.name!r} has no {what} {one!r}.{hint}")
        return tuple(known) if asked is None else tuple(k for k in known if k in asked)

    size = recipe.size if options.size is None else options.size
    if isinstance(size, str):
        if size != "native":
            raise UsageError(f"size {size!r}, wanted HEIGHT WIDTH or 'native'")
        size = None
    if size is not None and min(size) < 8:
        raise UsageError(f"size {size[0]}x{size[1]}, wanted at least 8x8")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"limit {options.limit}, wanted at least 1")
    splits = subset("split", options.splits, recipe.splits)
    tasks = subset("task", options.tasks, list(recipe.tasks))
    return _Plan(recipe, splits, tasks, size, options.limit, options.skip_broken)


def _reusable(out_dir: Path, name: str, key: str) -> dict[str, Any] | None:
    """The manifest of the pack in place if it is the one that would be made, and whole."""
    try:
        manifest = open_manifest(out_dir, name)
        same = manifest.get("key") == key and not verify(out_dir, name)
    except DataError:
        return None
    return manifest if same else None


def _start(building: Path, notes: Path, plan: dict[str, str]) -> None:
    """Make the folders to build in; keep what a killed run with the same plan finished there."""
    try:
        same = json.loads((notes / PLAN).read_text(encoding="utf-8")) == plan
    except (OSError, ValueError):
        same = False
    for folder in (building, notes):
        if not same:
            shutil.rmtree(folder, ignore_errors=True)
        with disk_error(folder):
            folder.mkdir(exist_ok=True)
            remove_leftovers(folder)
    write_json(notes / PLAN, plan)


def _finished(building: Path, described: Path, files: str) -> dict[str, Any] | None:
    """The entry of a split that an interrupted run finished from the same files, if it is still there."""
    if not described.is_file():
        return None
    noted = json.loads(described.read_text(encoding="utf-8"))
    entry: dict[str, Any] = noted.get("entry", {})
    path = building / entry.get("file", "")
    whole = noted.get("files") == files and path.is_file() and path.stat().st_size == entry["bytes"]
    return entry if whole else None


def _prepare_split(
    plan: _Plan, reader: Reader, place: tuple[Path, Path, str], work: tuple[list[Item], str], how: _How
) -> dict[str, Any]:
    """Write one split, unless an interrupted run finished it, and describe it."""
    (building, notes, split), (items, files), (workers, on_progress) = place, work, how
    described = notes / ENTRY.format(split)
    if entry := _finished(building, described, files):
        return entry
    described.unlink(missing_ok=True)
    broken: list[dict[str, str]] = []
    tasks = {t: plan.recipe.tasks[t] for t in plan.tasks}
    path = building / f"{split}.h5"
    with PackWriter(path, tasks) as writer:
        results = _load_all(reader, items, plan, workers)
        for done, (item, loaded) in enumerate(zip(items, results, strict=True), start=1):
            if isinstance(loaded, str):
                broken.append({"name": item.name, "problem": loaded})
            else:
                writer.add(item.name, loaded["image"], {t: loaded[t] for t in plan.tasks if t in loaded})
            if on_progress is not None:
                on_progress(split, done, len(items))
        if broken and not plan.skip_broken:
            count = f"{len(broken)} of {len(items)} samples of split {split!r} are broken"
            raise DataError(f"{broken[0]['problem']} ({count}; --skip-broken leaves them out)")
        if len(broken) == len(items):
            raise DataError(f"{broken[0]['problem']} (every sample of split {split!r} is broken)")
    stats = {t: writer.stats[t].summary(tasks[t]) for t in plan.tasks}
    entry = describe_split(path, stats, writer.names, broken)
    write_json(described, {"files": files, "entry": entry})
    return entry


class _Load:
    """Picklable: loads one item and brings it into its final form; a DataError comes back as its message."""

    def __init__(self, reader: Reader, plan: _Plan) -> None:
        self.reader, self.plan = reader, plan

    def __call__(self, item: Item) -> Arrays | str:
        try:
            plan, camera = self.plan, functools.partial(self.reader.camera, item)
            return process_sample(self.reader.load(item), plan.recipe, plan.tasks, plan.size, item.name, camera)
        except DataError as error:
            return str(error)


def _load_all(reader: Reader, items: list[Item], plan: _Plan, workers: int) -> Iterator[Arrays | str]:
    """Processed samples in the order of ``items``; with workers only a few wait in memory."""
    load = _Load(reader, plan)
    if workers < 1:
        yield from map(load, items)
        return
    waiting: deque[Future[Arrays | str]] = deque()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(load, item))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError("a worker process died (out of memory?); try fewer --workers") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _exchange(building: Path, target: Path) -> None:
    """Put the finished folder in its place; ``locate`` finds the previous one if this is cut in the middle."""
    previous = target.with_name(f".{target.name}.previous")
    with disk_error(target):
        shutil.rmtree(previous, ignore_errors=True)
        if target.exists():
            target.rename(previous)
        building.rename(target)
        sync(target.parent)
    shutil.rmtree(previous, ignore_errors=True)
