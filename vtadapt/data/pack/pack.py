"""The one on-disk format: an HDF5 file per split, written atomically and read lazily.

Layout of ``SPLIT.h5``: attributes ``format`` and ``version``; ``name`` (N) UTF-8 strings; ``size`` (N, 2) height and
width of each sample; ``image`` (N, H, W, 3) uint8; for each task ``labels/TASK`` (see ``vtadapt.data.pack.labels``) and
``present/TASK`` (N) bool. H and W are the largest of the split; sample i is ``[i, :height, :width]``. Chunks hold one
sample each, so that random access reads one chunk per array; what is absent or beyond a sample's size takes no space
and reads as the missing value. Nothing in a pack is code: no pickle, and links out of the file are refused. Checksums
of the file's blocks lie beside it (``vtadapt.data.pack.blocks``): HDF5 sees no byte that is not as it was written.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from vtadapt.atomic import disk_error, replace_file, temporary_name
from vtadapt.data import hdf5
from vtadapt.data.pack.blocks import Blocks, CheckedFile
from vtadapt.data.pack.form import FORMAT, VERSION, index_of, names_of, one_line, open_h5
from vtadapt.data.pack.full_disk import Sink
from vtadapt.data.pack.labels import LabelStats, conform, storage
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError


class PackWriter:
    """Writes one split; the file appears under its name, whole, when the ``with`` block ends without an error.

    Example:
        >>> with PackWriter(path, recipe.tasks) as writer:  # doctest: +SKIP
        ...     writer.add("0001", image, {"depth": depth})
    """

    def __init__(self, path: Path, tasks: Mapping[str, RecipeTask]) -> None:
        self.path = path
        self.tasks = dict(tasks)
        self.stats = {task: LabelStats() for task in tasks}
        self.names: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._present: dict[str, list[bool]] = {task: [] for task in tasks}
        self._sums: list[int] = []
        # In the same folder, as a rename between disks is a copy that can end half way.
        self._temporary = temporary_name(path)
        self._file: h5py.File | None = None
        self._sink: Sink | None = None

    def __enter__(self) -> Self:
        with disk_error(self.path):
            self._sink = Sink(self._temporary)
            self._file = h5py.File(self._sink, "w")
            self._file.attrs["format"] = FORMAT
            self._file.attrs["version"] = VERSION
        return self

    def add(self, name: str, image: NDArray[np.uint8], labels: Mapping[str, NDArray[Any]]) -> None:
        """Append a sample: ``image`` uint8 (H, W, 3) RGB and those of the tasks' labels that it has.

        Raises:
            DataError: a label that does not fit its task or the image's size; a disk that is full.
        """
        assert self._file is not None and self._sink is not None, "PackWriter.add outside its with block"
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(f"{name}: image of shape {image.shape} and type {image.dtype}, wanted (H, W, 3) uint8")
        # All labels are checked before the first is written, so that a refused sample leaves nothing behind.
        stored = {}
        for task, label in labels.items():
            stored[task] = conform(label, self.tasks[task], f"{name}, {task}")
            if label.shape[:2] != image.shape[:2]:
                raise DataError(f"{name}, {task}: label of size {label.shape[:2]}, its image is {image.shape[:2]}")
        index = len(self.names)
        with disk_error(self.path):
            _put(self._file, "image", index, image, 0)
            for task, label in stored.items():
                _put(self._file, f"labels/{task}", index, label, storage(self.tasks[task], label.dtype).missing)
            self._sink.check()
        self.names.append(name.encode("utf-8", "backslashreplace").decode())  # of files whose names are no UTF-8
        # Of what was handed in, before the disk had a chance to change it.
        self._sums.append(_content_sum({"image": image, **stored}))
        self._sizes.append((image.shape[0], image.shape[1]))
        for task in self.tasks:
            self._present[task].append(task in stored)
            if task in stored:
                self.stats[task].add(stored[task], self.tasks[task])

    def reread(self, blocks: Blocks | None = None) -> None:
        """Read back what was written, once the file is whole, and compare it to the bit.

        Args:
            blocks: the file's checksums, which so are found right themselves.

        Raises:
            DataError: the first sample that differs or cannot be read: the disk (or its driver) is at fault.
        """
        reader = PackReader(self.path, self.tasks, blocks)
        try:
            for index, (name, wanted) in enumerate(zip(self.names, self._sums, strict=True)):
                if _content_sum(reader.read(index)) != wanted:
                    raise DataError(f"{self.path}: sample {name!r} reads back different from what was written")
        finally:
            reader.close()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with disk_error(self.path):
                if kind is None:
                    self._finish()
                self._close()
                if kind is None:
                    replace_file(self._temporary, self.path)
        finally:
            self._close(quiet=True)
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Write the index, and make every array as long as the split."""
        assert self._file is not None
        count = len(self.names)
        self._file.create_dataset("name", data=self.names, dtype=h5py.string_dtype("utf-8"), shape=(count,))
        self._file.create_dataset("size", data=np.array(self._sizes, np.int32).reshape(count, 2))
        for task, present in self._present.items():
            self._file.create_dataset(f"present/{task}", data=np.array(present, bool))
            if f"labels/{task}" in self._file:
                label = self._file[f"labels/{task}"]
                # A label that the last samples lack is shorter than the split; readers index all arrays alike.
                label.resize(count, axis=0)

    def _close(self, quiet: bool = False) -> None:
        (file, self._file), (sink, self._sink) = (self._file, None), (self._sink, None)
        try:
            if file is not None:
                file.close()
            if sink is not None:
                sink.close()
                sink.check()
        except (OSError, RuntimeError):
            if not quiet:
                raise


def _content_sum(arrays: Mapping[str, NDArray[Any]]) -> int:
    """A checksum over a sample's arrays, whatever their order."""
    total = 0
    # Readers return arrays in the order of the tasks, which need not be that of writing.
    for key in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[key]).tobytes(), zlib.crc32(key.encode(), total))
    return total


def _put(file: h5py.File, key: str, index: int, array: NDArray[Any], missing: float) -> None:
    """Write ``array`` as element ``index`` of a dataset that grows in every direction."""
    if key not in file:
        file.create_dataset(
            key,
            shape=(0, *array.shape),
            maxshape=(None, None, None, *array.shape[2:]),
            chunks=(1, *array.shape),
            dtype=array.dtype,
            # Chunks that are never written take no space and read as missing.
            fillvalue=np.array(missing).astype(array.dtype),
            # As small as gzip and read in a third of the time (docs/data.md); lzf's bytes are not the same each time.
            compression=hdf5plugin.Zstd(clevel=3),
            # Bytes of like weight side by side compress far better; single bytes have nothing to shuffle.
            shuffle=array.dtype.itemsize > 1,
            fletcher32=True,  # damage is noticed when reading, not in the results
        )
    data = file[key]
    if data.dtype != array.dtype:
        raise DataError(f"{key}: sample {index} is {array.dtype}, the ones before it {data.dtype}")
    grown = (index + 1, *np.maximum(data.shape[1:], array.shape))
    if data.shape != grown:
        data.resize(grown)
    data[index, : array.shape[0], : array.shape[1]] = array


class PackReader:
    """Random access to one split. Picklable (spawn) and fork-safe: each process opens the file on first use.

    Args:
        path: the ``.h5`` file.
        tasks: what the manifest's recipe says of the tasks.
        blocks: its checksums: each block is compared when it is first read. None: HDF5 reads the file as it is.
    """

    def __init__(self, path: Path, tasks: Mapping[str, RecipeTask], blocks: Blocks | None = None) -> None:
        self.path = Path(path)
        self.tasks = dict(tasks)
        self.blocks = blocks
        self._file: h5py.File | None = None
        self._source: CheckedFile | None = None
        self._pid = -1
        self._data: dict[str, h5py.Dataset] = {}
        file = self._open()
        with self._reading(f"{self.path}: broken pack"):
            self.names = names_of(file, self.path)
            self._sizes, self._present = index_of(file, self.path, self.tasks, len(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict[str, Any]:
        # HDF5 handles cannot be sent to another process; it opens its own.
        return {**self.__dict__, "_file": None, "_source": None, "_pid": -1, "_data": {}}

    def present(self, task: str) -> NDArray[np.bool_]:
        """(N) mask of the samples that have a label for ``task``."""
        return np.asarray(self._present.get(task, np.zeros(len(self), bool)))

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a sample."""
        return int(self._sizes[index][0]), int(self._sizes[index][1])

    def read(self, index: int, tasks: list[str] | None = None, *, image: bool = True) -> dict[str, NDArray[Any]]:
        """Arrays of one sample as stored: ``image`` if wanted, and the labels it has (all, or those of ``tasks``).

        Raises:
            DataError: the file is damaged at that place.
        """
        height, width = self.size(index)
        wanted = [t for t in (self.tasks if tasks is None else tasks) if t in self._present and self._present[t][index]]
        with self._reading(f"{self.path}: sample {self.names[index]!r} cannot be read"):
            result = {"image": self._array("image")[index, :height, :width]} if image else {}
            for task in wanted:
                result[task] = self._array(f"labels/{task}")[index, :height, :width]
        return result

    def close(self) -> None:
        """Close this process's handle; the next access opens the file again."""
        # A handle inherited through a fork is the parent's: it is dropped here, not closed.
        if self._file is not None and self._pid == os.getpid():
            self._file.close()
            if self._source is not None:
                self._source.close()
        self._file, self._source, self._data = None, None, {}

    @contextlib.contextmanager
    def _reading(self, where: str) -> Iterator[None]:
        """Turn what h5py raises into a DataError that begins with ``where``."""
        if self._source is not None:
            self._source.wrong = ""
        try:
            yield
            wrong: object = self._source.wrong if self._source is not None else ""
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise DataError(f"{where} ({one_line(error)}); prepare it again") from error
        if wrong:  # HDF5 met a damaged block and went on
            raise DataError(f"{where} ({wrong}); prepare it again")

    def _array(self, key: str) -> h5py.Dataset:
        file = self._open()
        if key not in self._data:
            self._data[key] = hdf5.dataset(file, key, self.path)
        return self._data[key]

    def _open(self) -> h5py.File:
        """This process's handle: one inherited through a fork shares its file position, so it is not used."""
        if self._file is None or self._pid != os.getpid():
            self._data = {}
            self._file, self._source = open_h5(self.path, self.blocks)
            self._pid = os.getpid()
        return self._file
