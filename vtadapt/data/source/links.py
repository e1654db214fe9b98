"""Links in a source: those that lead out of it are refused, since whoever made a folder may name any file in one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from vtadapt.errors import DataError

HOW = "--follow-links (follow_links=True) reads them all the same"
"""What allows such links."""


def need_no_way_out(sources: Sequence[Path]) -> None:
    """Refuse folders in which a link leads to a file or folder outside of all that was named.

    Links to nothing and hidden ones are never read. The content of a Hugging Face snapshot lies in the ``blobs`` beside
    it, as its store has it: that is inside.

    Raises:
        DataError: names the first such link, where it leads, and how to allow it.
    """
    roots = [root for source in sources for root in source_roots(source)]
    count, first = 0, ""
    for source in sources:
        if os.path.isdir(source):
            for link, target in _links(Path(source), roots):
                if not is_below(target, roots):
                    count, first = count + 1, first or f"{link} -> {target}"
    if count:
        raise DataError(
            f"{first}: a link that leads out of the source{_more(count)}; copy what it leads to, or, where you trust "
            f"whoever made the folder, {HOW}"
        )


def source_roots(source: Path) -> list[str]:
    """The real folder or file that was named, and where else its content may lie."""
    place = os.path.realpath(source)
    return [place, *_store_of(place)]


def is_below(path: str, roots: Iterable[str]) -> bool:
    """Whether a real path is one of the real ``roots``, or below one."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def _store_of(place: str) -> list[str]:
    """The folder beside ``snapshots`` that the files of a snapshot of the Hugging Face Hub lie in; none of others."""
    parts = Path(place).parts
    at = next((i for i in range(len(parts) - 1, 0, -1) if parts[i] == "snapshots"), None)
    store = None if at is None else os.path.join(*parts[:at], "blobs")
    return [os.path.realpath(store)] if store is not None and os.path.isdir(store) else []


def _links(folder: Path, roots: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Links below a folder that lead somewhere, and where; linked folders inside of ``roots`` are looked into, too."""
    left, seen = [folder], {*roots}
    while left:
        with suppress(OSError), os.scandir(left.pop()) as found:  # what cannot be read, readers tell
            for entry in found:
                if entry.name.startswith("."):
                    continue
                path = Path(entry.path)
                if entry.is_symlink():
                    target = os.path.realpath(path)
                    if not os.path.exists(target):
                        continue
                    yield path, target
                    if target not in seen and is_below(target, roots) and os.path.isdir(target):
                        seen.add(target)
                        left.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    left.append(path)


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
