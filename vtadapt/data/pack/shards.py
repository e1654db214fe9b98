"""A split of several files, read as one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtadapt.data.pack.pack import PackReader

OPEN_FILES = 32  # at once and process; a system allows some 256 to 1024


def shard_name(split: str, number: int, count: int) -> str:
    """File of part ``number`` of ``count`` of a split: ``train.h5``, or ``train-00003-of-00012.h5``."""
    return f"{split}.h5" if count == 1 else f"{split}-{number:05d}-of-{count:05d}.h5"


class ShardedReader(PackReader):
    """Random access to a split that lies in several files; the samples are numbered through.

    Picklable and fork-safe as :class:`PackReader`; at most 32 of the files are open at once.

    Args:
        shards: readers of its files, in order, each closed.
    """

    def __init__(self, shards: Sequence[PackReader]) -> None:
        self.path = shards[0].path.parent
        self.tasks = shards[0].tasks
        self.shards = list(shards)
        self.names = [name for shard in self.shards for name in shard.names]
        self._ends = np.cumsum([len(shard) for shard in self.shards])
        self._recent: OrderedDict[int, None] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": OrderedDict()}

    def present(self, task: str) -> NDArray[np.bool_]:
        """(N) mask of the samples that have a label for ``task``."""
        return np.concatenate([shard.present(task) for shard in self.shards])

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a sample."""
        which, inside = self._place(index)
        return self.shards[which].size(inside)

    def read(self, index: int, tasks: list[str] | None = None, *, image: bool = True) -> dict[str, NDArray[Any]]:
        """Arrays of one sample as stored; see :meth:`PackReader.read`."""
        which, inside = self._place(index)
        self._recent[which] = None
        self._recent.move_to_end(which)
        if len(self._recent) > OPEN_FILES:
            self.shards[self._recent.popitem(last=False)[0]].close()
        return self.shards[which].read(inside, tasks, image=image)

    def close(self) -> None:
        """Close this process's handles; the next access opens the files again."""
        for shard in self.shards:
            shard.close()
        self._recent.clear()

    def _place(self, index: int) -> tuple[int, int]:
        """Number of the file that holds sample ``index``, and its place there."""
        if index < 0:  # as in a list
            index += len(self)
        which = int(np.searchsorted(self._ends, index, side="right"))
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return which, index - (int(self._ends[which - 1]) if which else 0)
