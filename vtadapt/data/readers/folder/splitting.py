"""Which pictures belong to a split: by shares of all, or by lists of names or paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

import numpy as np

from vtadapt.data.readers.base import need_once, read_lines
from vtadapt.data.readers.files.names import plain
from vtadapt.errors import DataError


def share(names: Sequence[str], fractions: Mapping[str, float], split: str, seed: int) -> list[str]:
    """The split's share of the names, shuffled with ``seed``; sorted."""
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.round(np.cumsum(list(fractions.values())) * len(names)).astype(int)
    which = list(fractions).index(split)
    chosen = order[ends[which - 1] if which else 0 : ends[which]]
    return sorted(names[i] for i in chosen)


def read_list(path: Path, root: Path, pictures: Mapping[str, Path]) -> list[str]:
    """The names of the pictures that a list gives, one a line.

    A line may be a name (``a/x``), a file name with or without suffix (``x.jpg``), a path below the source
    (``images/a/x.jpg``), with the source's own name before it, or an absolute path that ends so.

    Args:
        path: the list.
        root: the source.
        pictures: all pictures by name.

    Raises:
        DataError: a line that is no picture, or may be several, or comes twice.
    """
    meant: dict[str, set[str]] = {}
    for name, picture in pictures.items():
        below = picture.relative_to(root)
        with_source = _both(root.resolve().name / below)
        for key in (picture.stem, picture.name, f"{name}{picture.suffix}", *_both(below), *with_source):
            meant.setdefault(plain(key), set()).add(name)
    meant |= {plain(name): {name} for name in pictures}
    whole = {plain(key): name for name, picture in pictures.items() for key in _both(picture.relative_to(root))}
    lines = read_lines(path)
    found = [_meant(line, meant, whole) for line in lines]
    if lost := [line for line, fits in zip(lines, found, strict=True) if not fits]:
        columns = lost[0].replace(",", " ").replace(";", " ").split()
        hint = "; wanted one picture a line, it has several columns" if len(columns) > 1 and columns[0] in meant else ""
        raise DataError(f"{path}: {lost[0]!r} is none of the {len(pictures)} pictures ({len(lost)} such lines){hint}")
    for line, fits in zip(lines, found, strict=True):
        if len(fits) > 1:
            one, other = sorted(fits)[:2]
            raise DataError(f"{path}: {line!r} may be more than one picture, {one!r} or {other!r}; write it so")
    listed = [next(iter(fits)) for fits in found]
    need_once(path, listed)
    return listed


def _both(path: Path) -> tuple[str, str]:
    """A path with and without its suffix, with "/"."""
    return path.as_posix(), path.with_suffix("").as_posix()


def _meant(line: str, meant: Mapping[str, set[str]], whole: Mapping[str, str]) -> set[str]:
    """The names that a line may mean."""
    text = plain(line)
    text = text if text in meant else text.replace("\\", "/").removeprefix("./")
    if text in meant:
        return meant[text]
    if text.startswith("/") or PureWindowsPath(text).drive:
        parts = text.split("/")
        tails = ("/".join(parts[i:]) for i in range(1, len(parts)))
        return next(({whole[tail]} for tail in tails if tail in whole), set())
    return set()
