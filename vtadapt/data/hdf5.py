"""The one door to what lies in HDF5 files, packs and sources alike: nothing that leads out of the file is followed.

HDF5 can say that the numbers of a dataset lie in another file (external storage, a virtual dataset) or that a whole
dataset does (an external link). In a file from elsewhere that is a way to bring any file of this machine into a pack,
so it is refused by name. Links are looked at before they are followed: asking h5py whether ``a/b`` is there would open
what they point to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from vtadapt.errors import DataError

_SORTS = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}
_WANTED = "wanted numbers that lie in this file"


def has(file: h5py.Group, key: str) -> bool:
    """Whether there is something of that name; links on the way to it are not followed."""
    *above, last = _parts(key)
    node: Any = file
    for part in above:
        if not _is_hard(node, part):
            # A link: `dataset` says so, which "not there" would not.
            return isinstance(node, h5py.Group) and node.id.links.exists(part.encode())
        node = node[part]
    return isinstance(node, h5py.Group) and bool(node.id.links.exists(last.encode()))


def dataset(file: h5py.Group, key: str, path: Path) -> h5py.Dataset:
    """The dataset ``key``, which lies in this file with all its numbers.

    Args:
        file: an open file or a group in it.
        key: its name, such as ``labels/depth``.
        path: of the file, for the message.

    Raises:
        DataError: there is none, or it or a group above it leads out of the file or is a soft link.
    """
    node: Any = file
    passed = ""
    for part in _parts(key):
        passed = f"{passed}/{part}".lstrip("/")
        if not isinstance(node, h5py.Group) or not node.id.links.exists(part.encode()):
            raise DataError(f"{path}: has no {key!r}")
        if not _is_hard(node, part):
            sort = _SORTS.get(node.id.links.get_info(part.encode()).type, "a link")
            raise DataError(f"{path}: {passed!r} is {sort}, which is not followed; {_WANTED}")
        node = node[part]
    return _inside(node, key, path)


def referred(file: h5py.File, reference: object, path: Path) -> h5py.Dataset:
    """The dataset that an object reference of this file points to.

    Raises:
        DataError: it points to nothing, to no dataset, or to one that leads out of the file.
    """
    if not isinstance(reference, h5py.Reference) or isinstance(reference, h5py.RegionReference) or not reference:
        raise DataError(f"{path}: a reference that points to nothing; {_WANTED}")
    return _inside(file[reference], "what a reference points to", path)


def _inside(node: object, key: str, path: Path) -> h5py.Dataset:
    """``node``, if it is a dataset all of whose numbers lie in its own file."""
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{path}: {key!r} is no dataset inside this file; {_WANTED}")
    if node.external:
        raise DataError(f"{path}: {key!r} keeps its numbers in other files ({node.external[0][0]!r}); {_WANTED}")
    if node.is_virtual:
        raise DataError(f"{path}: {key!r} is a virtual dataset, made of other files' numbers; {_WANTED}")
    return node


def _is_hard(node: object, part: str) -> bool:
    if not isinstance(node, h5py.Group) or not node.id.links.exists(part.encode()):
        return False
    return bool(node.id.links.get_info(part.encode()).type == h5py.h5l.TYPE_HARD)


def _parts(key: str) -> list[str]:
    return [part for part in key.split("/") if part]
