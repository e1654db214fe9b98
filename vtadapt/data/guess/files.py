"""The files of a folder, sorted into groups of one place, ending and suffix; words of splits become ``{split}``."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from vtadapt.data.readers.base import need_folder
from vtadapt.data.readers.files.names import PICTURES, is_data
from vtadapt.errors import DataError

T = TypeVar("T")

MOST = 300_000  # files that are looked at
ARRAYS = (".npy", ".npz", ".mat", ".pgm", ".pnm", ".exr")
WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of splits as people write them -> ours."""
_WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(sorted(WORDS, key=len, reverse=True))})(?![A-Za-z])", re.IGNORECASE)
_TAIL = re.compile(r"^(.+?)([_\-. ]+[A-Za-z][A-Za-z_]*)$")


@dataclass
class Group:
    """Files of one place (``{split}`` stands for the words of splits), one ending of their names, and one suffix.

    Attributes:
        place: folder below the source; "" for itself.
        ending: what follows the picture's name in theirs, such as ``_mask``.
        suffix: in small letters.
        files: by the word of the split in their path, "" where there is none; paths below the source.
    """

    place: str
    ending: str
    suffix: str
    files: dict[str, list[PurePosixPath]] = field(default_factory=lambda: defaultdict(list))

    @property
    def every(self) -> list[PurePosixPath]:
        """All files."""
        return [path for paths in self.files.values() for path in paths]

    def stem(self, path: PurePosixPath) -> str:
        """The name of a file's picture, without suffix."""
        return path.stem.removesuffix(self.ending)

    @property
    def words(self) -> list[str]:
        """The words of splits, in the order train, val, test; none unless there are two."""
        found = sorted((word for word in self.files if word), key=lambda word: [*WORDS].index(word.lower()))
        return found if len({WORDS[word.lower()] for word in found}) > 1 else []


def all_files(root: Path) -> list[PurePosixPath]:
    """The files below a folder, sorted, without hidden ones.

    Raises:
        DataError: no such folder, nothing in it, or more than 300 000 files.
    """
    need_folder(root, "pictures and their labels")
    found: list[PurePosixPath] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if is_data(name))
        place = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found += [place / name for name in sorted(names) if is_data(name)]
        if len(found) > MOST:
            raise DataError(f"{root}: more than {MOST:,} files; give the folder of one data set")
    if not found:
        raise DataError(f"{root}: no files in it; wanted pictures and their labels")
    return found


def templated(path: PurePosixPath) -> tuple[str, str]:
    """A path with ``{split}`` in place of the word of a split, and that word; the path itself and "" without one."""
    text = "" if str(path) == "." else path.as_posix()
    words = {match[1] for match in _WORD.finditer(text)}
    if len(words) != 1:
        return text, ""
    word = words.pop()
    return _WORD.sub("{split}", text) if "{" not in text else text, word


def group_pictures(files: Iterable[PurePosixPath]) -> list[Group]:
    """Pictures and arrays by place, ending and suffix.

    An ending is told from a name by another file that is called as what comes before it.
    """
    wanted = [path for path in files if path.suffix.lower() in (*PICTURES, *ARRAYS)]
    stems = {path.stem for path in wanted}
    groups: dict[tuple[str, str, str], Group] = {}
    for path in wanted:
        tail = _TAIL.match(path.stem)
        ending = tail[2] if tail and tail[1] in stems else ""
        place, word = templated(path.parent)
        key = (place, ending, path.suffix.lower())
        groups.setdefault(key, Group(*key)).files[word].append(path)
    return [_settled(group) for group in groups.values()]


def group_texts(files: Iterable[PurePosixPath], suffix: str) -> list[Group]:
    """Other files of a suffix by place; those of which each picture may have one."""
    groups: dict[str, Group] = {}
    for path in files:
        if path.suffix.lower() == suffix:
            place, word = templated(path.parent)
            groups.setdefault(place, Group(place, "", suffix)).files[word].append(path)
    return [_settled(group) for group in groups.values()]


def _settled(group: Group) -> Group:
    """A group whose place has its own name again where only one split is there."""
    if group.words or "{split}" not in group.place:
        return group
    first = group.every[0].parent
    place = "" if str(first) == "." else first.as_posix()
    return Group(place, group.ending, group.suffix, defaultdict(list, {"": group.every}))


def common_place(places: Sequence[str]) -> str:
    """The folder that all places lie in; "" for the source itself."""
    parts = [PurePosixPath(place).parts for place in places]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "/".join(shared)


def spread_over(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of some items, evenly over all."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]
