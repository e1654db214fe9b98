"""Which entry of a file of annotations belongs to a picture."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from vtadapt.data.readers.annotations.formats.table import FORMATS
from vtadapt.data.readers.annotations.shapes import Annotated
from vtadapt.data.readers.files.names import plain
from vtadapt.errors import DataError

KEPT = 4  # files of annotations that a process holds


class Index:
    """The entries of a file that holds many pictures', by the names of these."""

    def __init__(self, path: Path, entries: Iterable[Annotated]) -> None:
        self.path, self.entries = path, tuple(entries)
        self._by_name: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        for i, entry in enumerate(self.entries):
            for name in entry.names:
                parts = PurePosixPath(name.replace("\\", "/")).parts
                if parts:
                    self._by_name.setdefault(plain(parts[-1]), []).append((i, tuple(map(plain, parts))))

    def find(self, picture: Path) -> tuple[int, int] | None:
        """The entry of a picture, and how many parts of their paths agree, from the name on; None where it has none.

        Raises:
            DataError: several entries fit as well.
        """
        own = tuple(map(plain, picture.parts))
        scores: dict[int, int] = {}
        whole: set[int] = set()  # those whose names agree in all their parts
        for i, parts in self._by_name.get(own[-1], ()):
            scores[i] = max(scores.get(i, 0), agreeing := _agreeing(own, parts))
            whole |= {i} if agreeing == len(parts) else set()
        if not scores:
            return None
        best = max(scores.values())
        fits = [i for i, score in scores.items() if score == best]
        if len(fits) > 1 and not whole.issuperset(fits):
            return None  # pictures of that name in other folders
        if len(fits) > 1:
            places = " and ".join(self.entries[i].where.removeprefix(f"{self.path}: ") for i in fits[:2])
            raise DataError(f"{self.path}: {places} both are of {picture}; keep one of them")
        return fits[0], best

    def assign(self, pictures: Iterable[Path]) -> dict[Path, int]:
        """The entry of each picture that has one; of several pictures of one name that whose folders agree best.

        Raises:
            DataError: an entry that may be of two pictures, or two entries that may be of one.
        """
        claims: dict[int, list[tuple[int, Path]]] = {}
        for picture in pictures:
            if (found := self.find(picture)) is not None:
                claims.setdefault(found[0], []).append((found[1], picture))
        chosen: dict[Path, int] = {}
        for i, claim in claims.items():
            best = max(score for score, _ in claim)
            fits = [picture for score, picture in claim if score == best]
            if len(fits) > 1:
                raise DataError(
                    f"{self.entries[i].where}: may be of {fits[0]} or of {fits[1]}; name it there with its folder"
                )
            chosen[fits[0]] = i
        return chosen


def _agreeing(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """How many parts two paths have in common at their ends."""
    count = 0
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a != b:
            break
        count += 1
    return count


def index_of(path: Path, form: str) -> Index:
    """The entries of a file, which is read once while it stays as it is.

    Raises:
        DataError: it is missing, broken or of another format.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path}: no such file") from error
    return _index(path, form, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=KEPT)
def _index(path: Path, form: str, changed: int, size: int) -> Index:
    del changed, size  # parts of the key: a file that changed is read again
    return Index(path, FORMATS[form].read(path))


def entry_of(path: Path, form: str, picture: Path) -> Annotated | None:
    """What a file says of a picture; None where it says nothing of it."""
    if not FORMATS[form].many:
        return FORMATS[form].read(path)[0]
    found = index_of(path, form).find(picture)
    return None if found is None else index_of(path, form).entries[found[0]]
