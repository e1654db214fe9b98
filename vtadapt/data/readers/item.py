"""One sample before it is loaded, kept small: a data set may have millions of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

Packed = tuple[str, ...]  # role, folder, file; role, folder, file; ...


class Item:
    """One sample before it is loaded.

    Roles and folders are shared between all items and a file's name is kept as text, some 100 bytes a file; the paths
    are put together when they are asked for.

    Args:
        name: its name in the pack.
        paths: files by role, "image" or the task whose label they hold; each is required to be there.
        seed: of a rendered sample.
        index: its place in a file that holds many.
        absent: tasks that it has no label of, with the file that was looked for.
    """

    __slots__ = ("_absent", "_paths", "index", "name", "seed")

    def __init__(
        self,
        name: str,
        paths: Mapping[str, Path] | None = None,
        seed: int | None = None,
        index: int | None = None,
        absent: Mapping[str, Path] | None = None,
    ) -> None:
        self.name, self.seed, self.index = name, seed, index
        self._paths, self._absent = _pack(paths), _pack(absent)

    @property
    def paths(self) -> dict[str, Path]:
        """Files by role."""
        return _unpack(self._paths)

    @property
    def absent(self) -> dict[str, Path]:
        """The file that was looked for, by task."""
        return _unpack(self._absent)

    @property
    def roles(self) -> tuple[str, ...]:
        """Keys of ``paths``."""
        return self._paths[::3]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Item({self.name!r}, {self.paths!r}, seed={self.seed}, index={self.index}, absent={self.absent!r})"

    def _key(self) -> tuple[object, ...]:
        return self.name, self.seed, self.index, self._paths, self._absent


def _pack(paths: Mapping[str, Path] | None) -> Packed:
    parts: list[str] = []
    for role, path in (paths or {}).items():
        parts += (sys.intern(role), sys.intern(str(path.parent)), path.name)
    return tuple(parts)


def _unpack(packed: Packed) -> dict[str, Path]:
    return {packed[i]: Path(packed[i + 1], packed[i + 2]) for i in range(0, len(packed), 3)}
