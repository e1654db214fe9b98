"""What ``prepare`` is to do: the user's choices, checked against the recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vtadapt.data.pack.form import MAX_PIXELS
from vtadapt.data.recipe.recipe import Recipe
from vtadapt.errors import UsageError, near_matches

SHARD = 2000  # samples; at 480x640 with four tasks such a file has some 6 GB


@dataclass(frozen=True)
class PrepareOptions:
    """What can be chosen when preparing.

    Attributes:
        splits: only these; default all of the recipe.
        size: (height, width), "native", or None for the recipe's own.
        tasks: only these; default all of the recipe that the source has labels of.
        label_set: one of the recipe's lists of classes, by name or by its number (``nyu13`` or ``13``).
        limit: at most so many samples per split.
        workers: processes that load and derive; 0 = in this one.
        skip_broken: leave samples with broken or missing files out and list them in the manifest, instead of stopping.
        force: prepare again even if the same pack is there.
        shard_size: samples per file of a split; default 2000.
        reader: options of the reader that replace the recipe's.
        follow_links: read what links in the source lead to outside of it, too; else they are refused.
    """

    splits: Sequence[str] | None = None
    size: tuple[int, int] | str | None = None
    tasks: Sequence[str] | None = None
    label_set: str | None = None
    limit: int | None = None
    workers: int = 0
    skip_broken: bool = False
    force: bool = False
    shard_size: int | None = None
    reader: Mapping[str, Any] = field(default_factory=dict)
    follow_links: bool = False


@dataclass(frozen=True)
class Plan:
    """The options, resolved against the recipe.

    Attributes:
        shipped: the recipe before the user's choices.
        recipe: with the label set and the reader's options that were chosen.
        asked: whether the user named the tasks: one without any label is then an error, else it is left out.
        follow_links: see ``PrepareOptions``.
    """

    shipped: Recipe
    recipe: Recipe
    splits: tuple[str, ...]
    tasks: tuple[str, ...]
    asked: bool
    size: tuple[int, int] | None
    limit: int | None
    skip_broken: bool
    shard_size: int
    follow_links: bool = False

    def key(self, files: Any = None) -> str:
        """Equal keys make equal packs; without ``files`` (which tells the source's state) only from equal files."""
        content: list[Any] = [self.recipe.hash, self.splits, self.tasks, self.asked, self.size, self.limit]
        content += [self.skip_broken, self.shard_size]
        if files is not None and not self.recipe.source.synthetic:
            content.append(files)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def resolve(recipe: Recipe, options: PrepareOptions) -> Plan:
    """Check the options against the recipe.

    Raises:
        UsageError: a split, task, label set, size or number that cannot be.
    """
    chosen = recipe.with_options(options.reader) if options.reader else recipe
    if options.label_set is not None:
        chosen = chosen.with_label_set(options.label_set)
    for what, number in (("limit", options.limit), ("shard size", options.shard_size)):
        if number is not None and number < 1:
            raise UsageError(f"{what} {number}, wanted at least 1")
    return Plan(
        shipped=recipe,
        recipe=chosen,
        splits=_subset(recipe, "split", options.splits, recipe.splits),
        tasks=_subset(recipe, "task", options.tasks, list(recipe.tasks)),
        asked=options.tasks is not None,
        size=_size(recipe, options.size),
        limit=options.limit,
        skip_broken=options.skip_broken,
        shard_size=options.shard_size or SHARD,
        follow_links=options.follow_links,
    )


def _subset(recipe: Recipe, what: str, asked: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    if asked is not None and not asked:
        raise UsageError(f"no {what} is named. Known: {', '.join(known)}")
    for one in asked or ():
        if one not in known:
            hint = f"{near_matches(one, known)} Known: {', '.join(known)}"
            raise UsageError(f"data set {recipe.name!r} has no {what} {one!r}.{hint}")
    return tuple(known) if asked is None else tuple(k for k in known if k in asked)


def _size(recipe: Recipe, asked: tuple[int, int] | str | None) -> tuple[int, int] | None:
    size = recipe.size if asked is None else asked
    if isinstance(size, str):
        if size != "native":
            raise UsageError(f"size {size!r}, wanted HEIGHT WIDTH or 'native'")
        return None
    if size is not None and min(size) < 8:
        raise UsageError(f"size {size[0]}x{size[1]}, wanted at least 8x8")
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise UsageError(f"size {size[0]}x{size[1]}, wanted at most {MAX_PIXELS} pixels")
    return size
