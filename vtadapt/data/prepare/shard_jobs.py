"""The parts that a pack is made of: one file each, written by itself, so that one that fails does not lose the rest.

A part is loaded, checked, resized, derived, written, read back and described. What is finished is noted beside the
pack, and a later run with the same plan and files takes it as it is.
"""

from __future__ import annotations

import functools
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtadapt.atomic import write_json
from vtadapt.data.pack.blocks import has_table
from vtadapt.data.pack.manifest import blocks_of, describe_file
from vtadapt.data.pack.pack import PackWriter
from vtadapt.data.pack.shards import shard_name
from vtadapt.data.prepare.aspect import tally
from vtadapt.data.prepare.convert_sample import process_sample
from vtadapt.data.prepare.find_samples import listing
from vtadapt.data.prepare.options import Plan
from vtadapt.data.prepare.workers import SPAWN, pool_of
from vtadapt.data.readers.base import Arrays
from vtadapt.data.readers.table import Item, Reader
from vtadapt.data.recipe.fit import change
from vtadapt.errors import DataError, VtadaptError
from vtadapt.strict_json import read_checked

Tick = Callable[[str], None]  # called with the split after each sample
DIED = "a worker process died (out of memory?); what was finished is kept: run the same again with fewer --workers"
Loaded = tuple[Arrays, float] | str  # a sample and how much its aspect ratio changes, or what is wrong with it
_channel: Any = None  # in a worker: where it tells the main process of each sample


@dataclass(frozen=True)
class Part:
    """One file to write."""

    split: str
    file: str
    items: Sequence[Item]
    files: str  # digest of the samples' files

    @property
    def note(self) -> str:
        """Name of the file that says it is finished."""
        return f"{self.file}.json"


@dataclass(frozen=True)
class Job:
    """What every part needs to be written. Picklable."""

    plan: Plan
    reader: Reader
    building: Path
    notes: Path


def cut(items: Mapping[str, Sequence[Item]], source: Path | None, size: int) -> list[Part]:
    """The splits' samples in parts of at most ``size``."""
    parts = []
    for split, found in items.items():
        pieces = [found[i : i + size] for i in range(0, len(found), size)]
        for number, piece in enumerate(pieces):
            parts.append(Part(split, shard_name(split, number, len(pieces)), piece, listing(piece, source)))
    return parts


def finished(job: Job, part: Part) -> dict[str, Any] | None:
    """What an interrupted run noted of a part that it finished from the same files, if it is still there."""
    try:
        noted: dict[str, Any] = read_checked(job.notes / part.note)
        path = job.building / part.file
        whole = noted["files"] == part.files and path.stat().st_size == noted["shard"]["bytes"]
        whole = whole and has_table(path, noted["shard"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return noted if whole else None


def write_part(job: Job, part: Part, workers: int, tick: Tick) -> dict[str, Any]:
    """Write one part and note that it is finished.

    Returns:
        ``shard`` (its entry in the manifest; None where every sample was left out), ``stats`` per task, ``broken`` and
        ``aspect`` (pictures whose aspect ratio changed).

    Raises:
        DataError: broken samples (unless they are to be skipped), a full disk, a file that reads back different.
    """
    (job.notes / part.note).unlink(missing_ok=True)
    tasks = {t: job.plan.recipe.tasks[t] for t in job.plan.tasks}
    broken: list[dict[str, str]] = []
    changes: list[float] = []
    path = job.building / part.file
    try:
        with PackWriter(path, tasks) as writer:
            for item, loaded in zip(part.items, _load_all(job, part.items, workers), strict=True):
                if isinstance(loaded, str):
                    broken.append({"name": item.name, "problem": loaded})
                else:
                    sample, factor = loaded
                    changes.append(factor)
                    writer.add(item.name, sample["image"], {t: sample[t] for t in job.plan.tasks if t in sample})
                tick(part.split)
            if broken and not job.plan.skip_broken:
                raise BrokenSamplesError(part.split, broken)
    except BrokenSamplesError:
        path.unlink(missing_ok=True)
        raise
    shard = describe_file(path, len(writer.names)) if writer.names else None
    if shard is None:
        path.unlink()
    else:
        # By the checksums, so that these are known to be of what was handed in, too.
        writer.reread(blocks_of(path, shard))
    stats = {task: counts.dump() for task, counts in writer.stats.items()}
    result = {"files": part.files, "shard": shard, "stats": stats, "broken": broken, "aspect": tally(changes)}
    if shard is not None:
        write_json(job.notes / part.note, result, checked=True)
    return result


class BrokenSamplesError(DataError):
    """Samples of a part whose files are broken or missing."""

    def __init__(self, split: str, broken: list[dict[str, str]]) -> None:
        """Keep what is needed to count them over all parts."""
        super().__init__(split, broken)
        self.split, self.broken = split, broken

    def __str__(self) -> str:
        return self.broken[0]["problem"]


def write_parts(job: Job, parts: Sequence[Part], workers: int, tick: Tick) -> list[dict[str, Any]]:
    """Write those parts that are not finished; every part is tried before the first error is raised.

    With several workers and at least as many parts each worker writes whole parts; else the parts are written one
    after the other and the workers load their samples.

    Returns:
        what :func:`write_part` gives, in the order of ``parts``.

    Raises:
        DataError: what was wrong with the first part that failed, and how many samples are broken in all.
    """
    done = {part.file: noted for part in parts if (noted := finished(job, part))}
    for part in parts:
        if part.file in done:
            for _ in part.items:
                tick(part.split)
    todo = [part for part in parts if part.file not in done]
    failed: dict[str, VtadaptError] = {}
    run = _together if workers > 1 and len(todo) >= workers else _in_turn
    for part, result in run(job, todo, workers, tick):
        if isinstance(result, VtadaptError):
            failed[part.file] = result
        else:
            done[part.file] = result
    if failed:
        raise _summary(parts, failed)
    return [done[part.file] for part in parts]


def _summary(parts: Sequence[Part], failed: Mapping[str, VtadaptError]) -> VtadaptError:
    """One error for all parts that failed: the first, in the order of the parts, and how many there are."""
    errors = [failed[part.file] for part in parts if part.file in failed]
    first = errors[0]
    kept = f"; {len(parts) - len(failed)} of {len(parts)} parts are finished and kept" if len(parts) > 1 else ""
    if not isinstance(first, BrokenSamplesError):
        return type(first)(f"{first}{kept}")
    broken = Counter({e.split: 0 for e in errors if isinstance(e, BrokenSamplesError)})
    for error in errors:
        if isinstance(error, BrokenSamplesError):
            broken[error.split] += len(error.broken)
    total = sum(len(part.items) for part in parts if part.split == first.split)
    count = f"{broken[first.split]} of {total} samples of split {first.split!r} are broken"
    others = "".join(f", {n} of {split!r}" for split, n in broken.items() if split != first.split)
    return DataError(f"{first} ({count}{others}; --skip-broken leaves them out{kept})")


_Results = Iterator[tuple[Part, "dict[str, Any] | VtadaptError"]]


def _in_turn(job: Job, parts: Sequence[Part], workers: int, tick: Tick) -> _Results:
    for part in parts:
        try:
            yield part, write_part(job, part, workers, tick)
        except VtadaptError as error:
            yield part, error


def _together(job: Job, parts: Sequence[Part], workers: int, tick: Tick) -> _Results:
    """Whole parts in worker processes; few are handed out at a time, since each is sent with its samples' names."""
    channel = SPAWN.Queue()
    waiting = deque(parts)
    running: dict[Future[dict[str, Any]], Part] = {}
    with pool_of(workers, _connect, channel, job) as pool:
        try:
            while waiting or running:
                while waiting and len(running) <= workers:
                    part = waiting.popleft()
                    running[pool.submit(_write_in_worker, part)] = part
                ready, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                _tell(channel, tick)
                for future in ready:
                    part = running.pop(future)
                    try:
                        yield part, future.result()
                    except VtadaptError as error:
                        yield part, error
        except BrokenProcessPool as error:
            raise DataError(DIED) from error
    _tell(channel, tick)
    channel.close()


def _tell(channel: Any, tick: Tick) -> None:
    """Pass on what the workers have said."""
    try:
        while True:
            tick(channel.get_nowait())
    except queue.Empty:
        pass


def _connect(channel: Any, job: Job) -> None:
    """Begin a worker."""
    global _channel
    _channel = (channel, job)


def _write_in_worker(part: Part) -> dict[str, Any]:
    channel, job = _channel
    return write_part(job, part, 0, channel.put)


class _Load:
    """Picklable: loads one item and brings it into its final form; a DataError comes back as its message."""

    def __init__(self, job: Job) -> None:
        self.reader, self.plan = job.reader, job.plan

    def __call__(self, item: Item) -> Loaded:
        try:
            plan, camera = self.plan, functools.partial(self.reader.camera, item)
            loaded = self.reader.load(item)
            native = loaded["image"].shape[:2]
            done = process_sample(loaded, plan.recipe, plan.tasks, plan.size, item.name, camera, item.paths)
            return done, change((native[0], native[1]), plan.size or (native[0], native[1]))
        except DataError as error:
            return str(error)


def _load_all(job: Job, items: Sequence[Item], workers: int) -> Iterator[Loaded]:
    """Processed samples in the order of ``items``; with workers only a few wait in memory."""
    load = _Load(job)
    if workers < 1:
        yield from map(load, items)
        return
    waiting: deque[Future[Loaded]] = deque()
    with pool_of(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(load, item))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(DIED) from error
