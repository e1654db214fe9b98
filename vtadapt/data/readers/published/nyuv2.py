"""NYUv2 as published: ``nyu_depth_v2_labeled.mat``, a MATLAB file of version 7.3, which is HDF5.

HDF5 shows MATLAB's axes in reverse: ``images`` is (1449, 3, 640, 480), so a sample's slab is transposed, never rotated,
to (480, 640, 3). Cells of text (``names``, ``sceneTypes``) are object references to arrays of character codes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from vtadapt.data.hdf5 import dataset, has, referred
from vtadapt.data.readers.base import Arrays, Item, Reader, ReaderOptions
from vtadapt.data.readers.files.arrays import metres
from vtadapt.data.readers.raw.child import ParserError, run_in_child
from vtadapt.data.recipe.label_sets import LabelSet
from vtadapt.data.recipe.recipe import Intrinsics, Recipe
from vtadapt.errors import ConfigError, DataError

FILE = "nyu_depth_v2_labeled.mat"
BYTES = 2_972_037_809
COUNT, HEIGHT, WIDTH = 1449, 480, 640
LONGEST = 1 << 16  # elements of a list of texts, letters of one
SECONDS = 10.0  # of CPU time for one question to the file: hundreds of times what it takes
HIGHEST = 894  # of the numbers in the label maps
OFFICIAL = {"train": "train", "val": "test", "test": "test"}  # our split -> the table's
# Rows and columns that are kept. Border: every official test label is void outside of rows 5..477 and columns 7..635.
# Eigen: of Eigen, Puhrsch, Fergus: Depth map prediction from a single image using a multi-scale deep network, 2014.
CROPS = {
    None: (slice(0, 480), slice(0, 640)),
    "border": (slice(5, 478), slice(7, 636)),
    "eigen": (slice(45, 471), slice(41, 601)),
}


_opened: dict[Path, h5py.File] = {}  # in the child process that reads the file


class Nyuv2Options(ReaderOptions):
    """How the file is read.

    ``depth``: ``filled`` (the file's ``depths``: holes were painted in) or ``raw`` (``rawDepths``, 0 = not measured).
    ``crop``: null, ``border`` (the white frame) or ``eigen``. ``scene_types``: only samples of these, such as
    ``kitchen``; empty = all. ``allow_partial``: take a file with fewer than the 1449 samples, in the same order.
    """

    depth: Literal["filled", "raw"] = "filled"
    crop: Literal["border", "eigen"] | None = None
    scene_types: tuple[str, ...] = ()
    allow_partial: bool = False


@functools.cache
def nyu_tables() -> dict[str, Any]:
    """The official splits and the lists of classes with their maps; ``usage`` in the file says how they count."""
    path = Path(__file__).resolve().parents[2] / "tables" / "nyu.json"
    tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tables


def nyu_ids(label_set: str) -> dict[int, str]:
    """Class name of each number 1..894 of the label maps in ``nyu13``, ``nyu40`` or ``nyu894``; KeyError for others."""
    tables = nyu_tables()
    numbers = range(1, HIGHEST + 1)
    if label_set == "nyu894":
        return dict(zip(numbers, tables[label_set], strict=True))
    names = tables[label_set]
    fortieth = tables["to40"]
    position = fortieth if label_set == "nyu40" else [tables["to13"][c - 1] for c in fortieth]
    return dict(zip(numbers, (names[p - 1] for p in position), strict=True))


class Nyuv2(Reader):
    """Samples are read one at a time by their place in the file; every process opens it for itself.

    Splits: ``train`` are the official 795 samples, ``val`` (or ``test``) the official 654 test samples.
    """

    Options = Nyuv2Options
    every_sample_has = f"{FILE}, {BYTES} bytes"

    def __init__(self, recipe: Recipe, size: tuple[int, int] | None = None, tasks: Any = None) -> None:
        super().__init__(recipe, size, tasks)
        self._counts: dict[Path, int] = {}  # samples of the files whose structure was checked
        known = recipe.label_set("semseg") if "semseg" in recipe.tasks else None
        self._classes = None if known is None else _with_ids(known, recipe.tasks["semseg"].label_set, recipe.name)
        if "semseg" in self.wanted and self._classes is None:
            raise ConfigError(f"recipe {recipe.name!r}: semseg needs one of 'label_sets': nyu13, nyu40 or nyu894")

    def find(self, source: Path | None, split: str) -> list[Item]:
        """One item per sample of the official split, named by its number from 0001; the file's structure is checked."""
        path = _mat(source, self.recipe.source.layout)
        if path not in self._counts:
            self._counts[path] = _ask(_check_structure, path, self._needed(), self.options.allow_partial)
        count = self._counts[path]
        if split not in OFFICIAL:
            raise DataError(f"{path}: no split {split!r}; the official ones are train and val (its 654 test samples)")
        numbers = [n for n in nyu_tables()[OFFICIAL[split]] if n <= count]
        if self.options.scene_types:
            numbers = self._of_scenes(path, numbers)
        paths = {role: path for role in self._needed() if role != "names"}
        items = [Item(f"{n:04d}", paths, index=n - 1) for n in numbers]
        if not items and split not in self.options.optional_splits:
            raise DataError(f"{path}: none of its {count} samples is in split {split!r}")
        return items

    def load(self, item: Item) -> Arrays:
        """The picture, class ids and depth of one sample, (480, 640) or cropped."""
        path, index = item.paths["image"], item.index
        assert index is not None, "find() sets it"
        where = f"{path}, sample {item.name}"
        result: Arrays = {"image": _ask(_slab, path, "images", index).transpose(2, 1, 0)}
        if "semseg" in item.paths:
            assert self._classes is not None, "checked when the reader was made"
            raw = _ask(_slab, path, "labels", index).T
            result["semseg"] = self._classes.convert(raw, where)
        if "depth" in item.paths:
            result["depth"] = metres(_ask(_slab, path, self._needed()["depth"], index).T, Path(where))
        rows, columns = CROPS[self.options.crop]
        return {key: np.ascontiguousarray(array[rows, columns]) for key, array in result.items()}

    def camera(self, item: Item, size: tuple[int, int]) -> Intrinsics | None:
        """The recipe's camera, moved by what is cropped from the left and the top."""
        del item
        if self.recipe.intrinsics is None:
            return None
        rows, columns = CROPS[self.options.crop]
        full = self.recipe.intrinsics.resized(HEIGHT, WIDTH)
        moved = {
            "cx": full.cx - columns.start,
            "cy": full.cy - rows.start,
            "width": columns.stop - columns.start,
            "height": rows.stop - rows.start,
        }
        return full.model_copy(update=moved).resized(*size)

    def _needed(self) -> dict[str, str]:
        """Datasets of the file by role."""
        depths = {"filled": "depths", "raw": "rawDepths"}
        labels = {"semseg": "labels", "names": "names"} if "semseg" in self.wanted else {}
        return {"image": "images", **labels} | ({"depth": depths[self.options.depth]} if "depth" in self.wanted else {})

    def _of_scenes(self, path: Path, numbers: list[int]) -> list[int]:
        types = _ask(_texts, path, "sceneTypes")
        if lost := [t for t in self.options.scene_types if t not in types]:
            known = ", ".join(sorted(set(types)))
            raise DataError(f"{path}: no scene of type {lost[0]!r} (options.scene_types); it has {known}")
        return [n for n in numbers if types[n - 1] in self.options.scene_types]


def _with_ids(known: LabelSet, key: str, recipe: str) -> LabelSet:
    """The label set with the class of each number of the file: its own ``ids``, or those of the table."""
    if known.ids:
        return known
    if key not in ("nyu13", "nyu40", "nyu894"):
        raise ConfigError(f"recipe {recipe!r}: label set {key!r} has no 'ids'; only nyu13, nyu40 and nyu894 need none")
    return LabelSet.model_validate({**known.model_dump(), "ids": nyu_ids(key), "highest": HIGHEST})


def _mat(source: Path | None, layout: str) -> Path:
    """The file: ``source`` itself, or in that folder or one directly below."""
    if source is None:
        raise DataError(f"no source given; wanted {layout or FILE} (--source PATH)")
    if not source.is_dir():
        return source
    for pattern in (FILE, f"*/{FILE}", "*.mat"):
        if len(found := sorted(source.glob(pattern))) == 1:
            return found[0]
    raise DataError(f"{source}: no {FILE} here or one level below; wanted that file ({BYTES} bytes)")


def _ask(function: Callable[..., Any], path: Path, *args: Any) -> Any:
    """What one of the functions below finds in the file, in a child process: damage can crash the HDF5 library."""
    try:
        return run_in_child(function, path, *args, seconds=SECONDS)
    except ParserError as error:
        raise DataError(f"{path}: broken HDF5 file ({_short(error)}); download it again") from error


def _open(path: Path) -> h5py.File:
    """The file, kept open until another is asked for."""
    if path not in _opened:
        while _opened:
            _opened.popitem()[1].close()
        _opened[path] = _open_mat(path)
    return _opened[path]


def _slab(path: Path, name: str, index: int) -> NDArray[Any]:
    """One sample of a dataset, its axes as HDF5 shows them."""
    try:
        array: NDArray[Any] = dataset(_open(path), name, path)[index]
    except (OSError, RuntimeError, KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path}: {name}[{index}] cannot be read ({_short(error)}); download it again") from error
    return array


def _open_mat(path: Path) -> h5py.File:
    """The file, opened for reading; a DataError says what is wrong with it."""
    wanted = f"wanted {FILE} as published ({BYTES} bytes, MATLAB v7.3 = HDF5)"
    size, start = 0, b""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(128)
        return h5py.File(path, "r", locking=False)  # it stays open: nobody else need wait for that
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {wanted}") from error
    except OSError as error:
        if start.startswith(b"MATLAB 5.0"):
            raise DataError(f"{path}: a MATLAB v5 file; {wanted}") from error
        if "truncated" in str(error):
            raise DataError(f"{path}: cut short after {size} bytes; {wanted}; download it again") from error
        raise DataError(f"{path}: no HDF5 file of {size} bytes ({_short(error)}); {wanted}") from error


def _check_structure(path: Path, needed: Mapping[str, str], allow_partial: bool) -> int:
    """Number of samples; a DataError where datasets are missing or not what MATLAB wrote."""
    while _opened:  # what it was when it was opened says nothing of what it is
        _opened.popitem()[1].close()
    file = _open(path)
    if lost := [name for name in needed.values() if not has(file, name)]:
        raise DataError(f"{path}: has no {lost[0]!r} (it has {', '.join(sorted(file)) or 'nothing'}); wanted {FILE}")
    images = dataset(file, "images", path)
    count = int(images.shape[0]) if images.ndim else 0
    kinds = {"images": "u", "labels": "ui", "depths": "f", "rawDepths": "f"}
    for name in needed.values():
        if name == "names":
            continue
        data, wanted = dataset(file, name, path), (count, *((3,) if name == "images" else ()), WIDTH, HEIGHT)
        if data.shape[1:] != wanted[1:]:
            axes = ", ".join(map(str, (COUNT, *wanted[1:])))
            hint = "axes as MATLAB writes them to HDF5; were they turned round by another program?"
            raise DataError(f"{path}: {name} is {data.shape}, wanted ({axes}): {hint}")
        if data.shape[0] != count:
            raise DataError(f"{path}: {name} has {data.shape[0]} samples, images has {count}")
        if data.dtype.kind not in kinds[name] or (name == "images" and data.dtype != np.uint8):
            raise DataError(f"{path}: {name} holds {data.dtype}, wanted uint8 images, integer labels, float depths")
    if count != COUNT and not (allow_partial and count < COUNT):
        hint = "" if count > COUNT else " (option allow_partial takes fewer)"
        raise DataError(f"{path}: {count} samples, wanted the {COUNT} that the official split counts{hint}")
    if "names" in needed and (names := _texts(path, "names")) != nyu_tables()["nyu894"]:
        raise DataError(f"{path}: its {len(names)} class names are not the {HIGHEST} of NYUv2; wanted {FILE}")
    return count


def _texts(path: Path, name: str) -> list[str]:
    """A MATLAB cell array of texts: object references to arrays of UTF-16 codes."""
    file = _open(path)
    try:
        cells = dataset(file, name, path)
        if h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
            raise TypeError(f"it holds {cells.dtype}")
        texts = [referred(file, reference, path) for reference in np.ravel(_few(cells))]
        return ["".join(map(chr, np.ravel(_few(text)))) for text in texts]
    except (KeyError, TypeError, ValueError, OSError, RuntimeError, AttributeError) as error:
        raise DataError(f"{path}: {name} is no cell array of texts ({_short(error)}); wanted {FILE}") from error


def _few(data: h5py.Dataset) -> NDArray[Any]:
    """What a dataset holds, if it is not more than texts can be: it may declare anything."""
    if data.size is None or data.size > LONGEST:
        raise ValueError(f"{data.size} elements in {data.name!r}")
    array: NDArray[Any] = data[()]
    return array


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
