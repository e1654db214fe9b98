"""From what people have on disk to a pack: find, load, resize, derive, write, describe.

The pack is built in ``.NAME.building`` beside its place and exchanged by renaming when it is whole, so a run that is
killed at any point leaves the previous pack; the parts that it had finished (noted in ``.NAME.state``) are not done
again by the next run if their files are the same. A run that ends with an error leaves nothing but such parts.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtadapt.atomic import disk_error, folder_lock, remove_leftovers, write_json
from vtadapt.data.pack.labels import LabelStats
from vtadapt.data.pack.manifest import (
    exchange,
    remove,
    reusable,
    tidy,
    write_manifest,
)
from vtadapt.data.prepare.aspect import joined
from vtadapt.data.prepare.find_samples import absent_labels, find_splits, labelled_tasks
from vtadapt.data.prepare.options import Plan, PrepareOptions, resolve
from vtadapt.data.prepare.place import need_place, need_same, origin_of
from vtadapt.data.prepare.shard_jobs import Job, Part, cut, write_parts
from vtadapt.data.readers import Item, make_reader
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.data.source.source import called
from vtadapt.errors import DataError, UsageError, VtadaptError

Progress = Callable[[str, int, int], None]
PLAN = "plan.json"

__all__ = ["PrepareOptions", "forget", "prepare", "reusable"]


def prepare(
    recipe: Recipe,
    source: Path | None,
    out_dir: Path,
    options: PrepareOptions | None = None,
    *,
    on_progress: Progress | None = None,
    state: str | None = None,
    archives: Sequence[Path] = (),
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

    Raises:
        DataError: no such source, a split or task without samples, missing or broken files (the first is named, all are
            counted), a full disk, another run at work, something else than a pack where the pack is to be.
        UsageError: unknown split, task or label set.
        ConfigError: options that the reader does not know.
    """
    plan = resolve(recipe, options or PrepareOptions())
    _need_source(recipe, source)
    out_dir = Path(out_dir)
    with disk_error(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    with folder_lock(out_dir / f".{recipe.name}.lock"):
        tidy(out_dir, recipe.name)
        reader = make_reader(plan.recipe, plan.size, plan.tasks)
        items = find_splits(reader, source, plan.splits, plan.limit, plan.skip_broken)
        tasks, left_out = labelled_tasks(reader, items, plan.tasks, plan.asked)
        parts = cut(items, source, plan.shard_size)
        key = plan.key(state or {part.file: part.files for part in parts})
        if not (options or PrepareOptions()).force and (kept := reusable(out_dir, recipe.name, key)):
            forget(out_dir, plan)
            return {**kept, "kept": True}
        need_place(out_dir, recipe)
        origin = origin_of(archives or ([source] if source else []), out_dir)
        if not (options or PrepareOptions()).force:
            need_same(out_dir, plan, origin)
        building, notes = (out_dir / f".{recipe.name}.{what}" for what in ("building", "state"))
        job = Job(dataclasses.replace(plan, tasks=tasks), reader, building, notes)
        try:
            _start(building, notes, _noted(plan, state or str(source), reader.decided))
            workers = (options or PrepareOptions()).workers
            written = write_parts(job, parts, workers, _counter(items, on_progress))
            content = _facts(job, key, left_out, _describe(job.plan, items, parts, written))
            content = called(content, source, archives) if source and archives else content
            manifest = write_manifest(building, {**content, **(origin if source else {})})
            exchange(building, out_dir / recipe.name)
        except VtadaptError:
            if not any(notes.glob("*.h5.json")):  # nothing that the next run could take up
                shutil.rmtree(building, ignore_errors=True)
                shutil.rmtree(notes, ignore_errors=True)
            raise
        shutil.rmtree(notes, ignore_errors=True)
    return manifest


def _facts(job: Job, key: str, left_out: Any, splits: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of a pack, but for where its files came from."""
    content = {**_content(job.plan, key, left_out), "decided": job.reader.decided}
    if near := job.reader.passed_over.lines():
        content["passed_over"] = near
    content["splits"] = splits
    _need_labels(job.plan, splits)
    return content


def _need_source(recipe: Recipe, source: Path | None) -> None:
    """Raise where files are needed and there are none."""
    if recipe.source.synthetic:
        return
    wanted = recipe.source.layout or "the files"
    if source is None:
        raise UsageError(f"data set {recipe.name!r} needs --source PATH: {recipe.source.hint or wanted}")
    if not source.exists():
        raise DataError(f"{source}: no such folder; wanted one with {wanted}")


def _counter(items: Mapping[str, Sequence[Item]], on_progress: Progress | None) -> Callable[[str], None]:
    """A function that counts the samples of each split as they are done."""
    done: Counter[str] = Counter()
    if on_progress is not None:
        for split, found in items.items():
            on_progress(split, 0, len(found))

    def tick(split: str) -> None:
        done[split] += 1
        if on_progress is not None:
            on_progress(split, done[split], len(items[split]))

    return tick


def _content(plan: Plan, key: str, left_out: dict[str, str]) -> dict[str, Any]:
    """What the manifest says beside its format and the splits."""
    recipe = plan.recipe
    return {
        "name": recipe.name,
        "key": key,
        "recipe_hash": plan.shipped.hash,
        "recipe": recipe.model_dump(mode="json"),
        "tasks": list(plan.tasks),
        "left_out": left_out,
        "derived": [t for t in plan.tasks if recipe.tasks[t].derived],
        "size": plan.size,
        "limit": plan.limit,
    }


def _describe(
    plan: Plan, items: Mapping[str, Sequence[Item]], parts: Sequence[Part], written: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Entry of each split: samples, ranges and units per task, what is missing or was left out, and its files."""
    result = {}
    for split, found in items.items():
        mine = [w for part, w in zip(parts, written, strict=True) if part.split == split]
        broken = [b for w in mine for b in w["broken"]]
        shards = [w["shard"] for w in mine if w["shard"] is not None]
        if not shards:
            raise DataError(f"{broken[0]['problem']} (every sample of split {split!r} is broken)")
        stats = {t: LabelStats() for t in plan.tasks}
        for one in mine:
            for task, counts in stats.items():
                counts.merge(LabelStats.parse(one["stats"][task]))
        result[split] = {
            **({} if (aspect := joined(w.get("aspect") for w in mine)) is None else {"aspect": aspect}),
            "samples": sum(shard["samples"] for shard in shards),
            "tasks": {t: counts.summary(plan.recipe.tasks[t]) for t, counts in stats.items()},
            "missing": absent_labels(found, plan.tasks),
            "broken": broken,
            "shards": shards,
        }
    return result


def _need_labels(plan: Plan, splits: Mapping[str, Any]) -> None:
    """Raise a DataError where all labels of a task are empty: nothing could be learned from it, nor measured."""
    for task in (t for t in plan.tasks if plan.recipe.tasks[t].derive is None):
        found = [entry["tasks"][task] for entry in splits.values()]
        count = sum(one["samples"] for one in found)
        if count and not any(one["min"] is not None for one in found):
            raise DataError(
                f"{plan.recipe.name}: not one of {count} labels of {task} has a pixel that is not void or missing; see "
                "what the recipe says of 'void', 'ids' or 'missing', or leave it out with --tasks"
            )


def _noted_plan(notes: Path) -> dict[str, Any]:
    """The plan of the run whose parts are there; empty where there is none."""
    try:
        plan = json.loads((notes / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return plan if isinstance(plan, dict) else {}


def forget(out_dir: Path, plan: Plan) -> None:
    """Remove what a run with the same plan left half done of files that are now as they were before it.

    Call it only while holding ``out_dir/.NAME.lock``.
    """
    building, notes = (out_dir / f".{plan.recipe.name}.{what}" for what in ("building", "state"))
    if _noted_plan(notes).get("key") == plan.key():
        remove(building)
        remove(notes)


def _noted(plan: Plan, source: str, decided: Mapping[str, Any]) -> dict[str, Any]:
    """What parts of an interrupted run must have been made with, to be taken up."""
    return {"key": plan.key(), "source": source, "decided": json.loads(json.dumps(decided))}


def _start(building: Path, notes: Path, plan: dict[str, Any]) -> None:
    """Make the folders to build in; keep what a killed run with the same plan finished there."""
    same = _noted_plan(notes) == plan
    for folder in (building, notes):
        if not same:
            shutil.rmtree(folder, ignore_errors=True)
        with disk_error(folder):
            folder.mkdir(exist_ok=True)
            remove_leftovers(folder, alone=True)
    write_json(notes / PLAN, plan)
