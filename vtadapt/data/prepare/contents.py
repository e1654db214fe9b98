"""What goes into a pack: samples and labels as found, written part by part, and described for the manifest."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtadapt.atomic import exchange_folder
from vtadapt.data.pack.labels import LabelStats
from vtadapt.data.pack.manifest import write_manifest
from vtadapt.data.prepare.aspect import joined
from vtadapt.data.prepare.find_samples import absent_labels, find_splits, labelled_tasks
from vtadapt.data.prepare.inside import led_outside, need_not_led_outside
from vtadapt.data.prepare.options import Plan
from vtadapt.data.prepare.place import Site
from vtadapt.data.prepare.shard_jobs import Job, Part, cut, write_parts
from vtadapt.data.readers.table import Item, Reader, make_reader
from vtadapt.data.source.source import called
from vtadapt.errors import DataError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Contents:
    """What there is to be prepared.

    Attributes:
        plan: the tasks in it are those that have labels.
        reader: that knows the files.
        items: split -> its samples.
        left_out: task -> why it is not prepared.
        parts: the files to be written.
        key: equal keys make equal packs.
        noted: what parts of an interrupted run must have been made with, to be taken up.
        source: where the files are; None for synthetic sets.
        archives: what that was unpacked from.
    """

    plan: Plan
    reader: Reader
    items: Mapping[str, Sequence[Item]]
    left_out: dict[str, str]
    parts: Sequence[Part]
    key: str
    noted: dict[str, Any]
    source: Path | None = None
    archives: Sequence[Path] = ()

    @property
    def given(self) -> Sequence[Path]:
        """What the user gave."""
        return self.archives or ([self.source] if self.source else [])


def find_contents(plan: Plan, source: Path | None, state: str | None, archives: Sequence[Path]) -> Contents:
    """Find the samples of all splits, and the tasks that have labels.

    Args:
        plan: what is to be done.
        source: the user's folder or file; None for synthetic sets.
        state: what tells whether the source has changed, where its files do not.
        archives: what ``source`` was unpacked from.
    """
    reader = make_reader(plan.recipe, plan.size, plan.tasks)
    items = find_splits(reader, source, plan.splits, plan.limit, plan.skip_broken)
    if source is not None and not archives and not plan.follow_links:
        need_not_led_outside((item for found in items.values() for item in found), source)
    tasks, left_out = labelled_tasks(reader, items, plan.tasks, plan.asked)
    parts = cut(items, source, plan.shard_size)
    key = plan.key(state or {part.file: part.files for part in parts})
    decided = json.loads(json.dumps(reader.decided))
    noted = {"key": plan.key(), "source": state or str(source), "decided": decided}
    plan = dataclasses.replace(plan, tasks=tasks)
    return Contents(plan, reader, items, left_out, parts, key, noted, source, archives)


def write_contents(
    site: Site,
    contents: Contents,
    origin: Mapping[str, Any],
    workers: int,
    on_progress: Progress | None,
) -> dict[str, Any]:
    """Write the pack and put it in its place; returns its manifest.

    Args:
        site: the folders to build it in.
        contents: what was found.
        origin: what the manifest says of where the files were.
        workers: processes that load and derive.
        on_progress: called with (split, done, total).

    Raises:
        DataError: broken files, a full disk, or a task all of whose labels are empty.
    """
    job = Job(contents.plan, contents.reader, site.building, site.notes)
    written = write_parts(job, contents.parts, workers, _counter(contents.items, on_progress))
    content = _facts(contents, written)
    if contents.source is not None:
        if contents.archives:
            content = called(content, contents.source, contents.archives)
        content |= origin
    manifest = write_manifest(site.building, content)
    exchange_folder(site.building, site.target, site.previous)
    return manifest


def _facts(contents: Contents, written: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of a pack, but for where its files came from."""
    splits = _describe(contents.plan, contents.items, contents.parts, written)
    content = {**_content(contents.plan, contents.key, contents.left_out), "decided": contents.reader.decided}
    if near := contents.reader.passed_over.lines():
        content["passed_over"] = near
    if contents.source is not None and not contents.archives:
        every = (item for items in contents.items.values() for item in items)
        if outside := led_outside(every, contents.source):
            content["outside"] = outside
    content["splits"] = splits
    _need_labels(contents.plan, splits)
    return content


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
