"""Whether the files of samples lie in the source that the user gave."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vtadapt.data.readers.files.links import RealPaths
from vtadapt.data.readers.item import Item
from vtadapt.data.source.links import HOW, is_below, source_roots
from vtadapt.errors import DataError


def need_inside(items: Iterable[Item], source: Path) -> None:
    """Raise a DataError where a list or a recipe, which may come from anybody, leads out of the source by its names.

    Links are another matter, see :func:`need_not_led_outside`.

    Args:
        items: as a reader found them.
        source: the user's folder or file. Readers take its parent where it is one of the folders that they look for.
    """
    roots = {str(source), str(source.parent), str(source.resolve().parent)}
    good: set[Path] = set()
    for item in items:
        for path in item.paths.values():
            if path.parent not in good:
                if not any(_below(str(path.parent), root) for root in roots):
                    raise DataError(f"{path}: a name that leads out of the source {source}; wanted one below it")
                good.add(path.parent)
            if path.name == "..":
                raise DataError(f"{path}: no name of a file")


def led_outside(items: Iterable[Item], source: Path) -> list[str]:
    """A line on the files that lie outside the source, to which links in it lead; none where there are none."""
    found = list(_outside(items, source))
    first = " -> ".join(found[0]) if found else ""
    return [f"{len(found)} files outside the source, to which links lead, the first: {first}"] * bool(found)


def need_not_led_outside(items: Iterable[Item], source: Path) -> None:
    """Raise a DataError where a link leads out of the source, or out of its parent where files there were found.

    The door of sources (:mod:`vtadapt.data.source.links`) has seen all links but hidden ones and those in the parent.
    """
    for path, where in _outside(items, source):
        raise DataError(f"{path} -> {where}: a link that leads out of the source {source}; {HOW}")


def _outside(items: Iterable[Item], source: Path) -> Iterator[tuple[str, str]]:
    """Paths of files, and where they lie, that is outside."""
    real, below = RealPaths(), str(source)
    own, parent = source_roots(source), source_roots(source.absolute().parent)
    for item in items:
        for path in item.paths.values():
            where = real.of(path)
            if not is_below(where, own if _below(str(path), below) else parent):
                yield str(path), where


def _below(path: str, root: str) -> bool:
    """Whether a path goes on from ``root`` without ``..``."""
    if path == root or root == ".":
        rest = "" if path == root else path
        return not os.path.isabs(rest) and ".." not in Path(rest).parts
    return path.startswith(root.rstrip(os.sep) + os.sep) and ".." not in Path(path[len(root) :]).parts
