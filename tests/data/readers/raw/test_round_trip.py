"""Whatever is written without losses comes back the same, or is refused; never something else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.data.formats.written import WRITERS, Writer
from vtadapt.data.readers.files.strengths import decide, strengths
from vtadapt.data.readers.folder.label_files import LabelFiles
from vtadapt.data.readers.folder.labels import Labelling, read_label, read_marks
from vtadapt.data.recipe.recipe import VOID
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
FEW = settings(max_examples=120, derandomize=True, database=None)
CLASSES = (*(f"c{i}" for i in range(VOID)), "(void)", *(f"c{i}" for i in range(VOID + 1, 400)))
WITHOUT_LOSSES = [w for w in WRITERS if "RGB" not in w.name and not w.name.startswith((".webp", ".jp2"))]
THREE_TIMES = [w for w in WRITERS if "RGB" in w.name or "webp" in w.name]
# Formats that no reader takes, two arrays in one file, and what can be meant in two ways.
REFUSED = (".tga", ".pcx", ".sgi", ".im", ".spider", ".ras", ".npz of two", ".pbm", ".gif")
MAYBE = ("zstd", "LA tiff_lzw", "without its name", "cannot be")


def _read(writer: Writer, array: np.ndarray, task: RecipeTask, how: LabelFiles) -> np.ndarray | None:
    """What the folder reader makes of the array once it is written; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{writer.suffix}"
        try:
            writer.write(path, array.astype(writer.dtype))
        except (OSError, DeprecationWarning):
            return None  # this Pillow cannot write it
        given = Labelling("x", task, how)
        try:
            if task.kind == "boundary" and how.threshold is None and how.scale is None:
                return strengths(read_marks(path, given), decide([read_marks(path, given)]))
            return read_label(path, given)[0]
        except DataError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            assert (
                writer.name.startswith(REFUSED)
                or any(m in writer.name for m in MAYBE)
                or "read:" in str(error)
                or "'threshold" in str(error)
            ), error
            return None


def _whole(writer: Writer, top: int) -> st.SearchStrategy[np.ndarray]:
    """Whole numbers from 0 that a writer keeps, up to ``top``."""
    dtype = np.dtype(writer.dtype)
    if dtype.kind != "b":
        exact = 2048 if dtype == np.float16 else top  # up to there float16 holds every whole number
        limit = np.iinfo(dtype).max if dtype.kind in "iu" else exact
        top = min(top, int(limit), writer.top or top)
    return arrays(np.int64, SHAPES, elements=st.integers(0, 1 if dtype.kind == "b" else top))


@FEW
@given(data=st.data(), writer=st.sampled_from(WITHOUT_LOSSES))
def test_ids_come_back_or_are_refused(data: st.DataObject, writer: Writer) -> None:
    ids = data.draw(_whole(writer, len(CLASSES) - 1))
    found = _read(writer, ids, RecipeTask(kind="classes", classes=CLASSES), LabelFiles(files="x"))
    if found is not None:
        np.testing.assert_array_equal(found, ids)
        assert found.dtype.itemsize > 1 or ids.max() <= VOID


@FEW
@given(data=st.data(), writer=st.sampled_from(WITHOUT_LOSSES), factor=st.sampled_from([1.0, 0.001, 1 / 512]))
def test_depth_comes_back_or_is_refused(data: st.DataObject, writer: Writer, factor: float) -> None:
    dtype = np.dtype(writer.dtype)
    if dtype.kind == "f":
        width = 8 * dtype.itemsize
        numbers = st.floats(0, 1000, width=width) | st.sampled_from([np.nan, np.inf, 65.535])
        depth = data.draw(arrays(dtype.newbyteorder("="), SHAPES, elements=numbers))
    else:
        depth = data.draw(_whole(writer, 70_000)).astype(dtype)
    how = LabelFiles(files="x", factor=factor, missing=(65.535, 5) if dtype.kind == "f" else (5,))
    found = _read(writer, depth, RecipeTask(kind="regression", units="m"), how)
    if found is not None:
        known = np.isfinite(depth) & (depth != 5) & (depth != (dtype.type(65.535) if dtype.kind == "f" else -1))
        wanted = np.where(known, depth.astype(np.float64) * np.float32(factor), 0)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-37)  # below it float32 has fewer digits
        assert found.dtype == np.float32


@FEW
@given(data=st.data(), writer=st.sampled_from(WITHOUT_LOSSES))
def test_edges_of_0_and_1_come_back_or_are_refused(data: st.DataObject, writer: Writer) -> None:
    edges = data.draw(_whole(writer, 1))
    found = _read(writer, edges, RecipeTask(kind="boundary"), LabelFiles(files="x"))
    if found is not None:
        np.testing.assert_array_equal(found, edges)


@FEW
@given(data=st.data(), writer=st.sampled_from([w for w in WITHOUT_LOSSES if np.dtype(w.dtype).kind == "f"]))
def test_soft_edges_of_floats_come_back_or_are_refused(data: st.DataObject, writer: Writer) -> None:
    numbers = st.floats(0, 1, width=8 * np.dtype(writer.dtype).itemsize) | st.just(np.nan)
    edges = data.draw(arrays(np.dtype(writer.dtype).newbyteorder("="), SHAPES, elements=numbers))
    found = _read(writer, edges, RecipeTask(kind="boundary"), LabelFiles(files="x"))
    if found is not None:
        np.testing.assert_array_equal(found, edges.astype(np.float32))


@FEW
@given(data=st.data(), writer=st.sampled_from(WITHOUT_LOSSES), top=st.sampled_from([1, 255, 65535]))
def test_edges_whose_largest_number_is_a_whole_one(data: st.DataObject, writer: Writer, top: int) -> None:
    dtype = np.dtype(writer.dtype)
    if dtype.kind not in "iu" or top > min(int(np.iinfo(dtype).max), writer.top or top):
        return
    drawn = data.draw(arrays(np.uint8, SHAPES, elements=st.integers(0, 1)))
    found = _read(writer, drawn.astype(np.int64) * top, RecipeTask(kind="boundary"), LabelFiles(files="x"))
    if found is not None:
        np.testing.assert_array_equal(found, drawn)


@FEW
@given(
    data=st.data(),
    writer=st.sampled_from(WITHOUT_LOSSES),
    threshold=st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 1.5, 127.0, 254.5, 40_000.0, 1e9]),
    missing=st.sampled_from([(), (0,), (1, 255)]),
)
def test_a_threshold_is_above_what_the_file_says(
    data: st.DataObject, writer: Writer, threshold: float, missing: tuple[int, ...]
) -> None:
    dtype = np.dtype(writer.dtype)
    if dtype.kind == "f":
        numbers = st.floats(0, 300, width=8 * dtype.itemsize) | st.sampled_from([np.nan, -np.inf, 0.25, 255])
        strengths_ = data.draw(arrays(dtype.newbyteorder("="), SHAPES, elements=numbers))
    else:
        strengths_ = data.draw(_whole(writer, 70_000)).astype(dtype)
    how = LabelFiles(files="x", threshold=threshold, missing=missing)
    found = _read(writer, strengths_, RecipeTask(kind="boundary"), how)
    if found is not None:
        known = np.isfinite(strengths_) & ~np.isin(strengths_, missing)
        np.testing.assert_array_equal(found, np.where(known, strengths_.astype(np.float64) > threshold, VOID))


@FEW
@given(data=st.data(), writer=st.sampled_from(WITHOUT_LOSSES), scale=st.sampled_from([1.0, 100.0, 255.0, 65535.0]))
def test_strengths_are_shares_of_the_scale_that_is_said(data: st.DataObject, writer: Writer, scale: float) -> None:
    drawn = data.draw(_whole(writer, int(scale)))
    found = _read(writer, drawn, RecipeTask(kind="boundary"), LabelFiles(files="x", scale=scale))
    if found is not None and found.any():
        one_bit = writer.top == 1 or np.dtype(writer.dtype).kind == "b"  # which is 0 and 1 whatever is said
        np.testing.assert_allclose(found, drawn if one_bit else drawn / scale, rtol=1e-6)


@FEW
@given(data=st.data(), writer=st.sampled_from(THREE_TIMES))
def test_grey_stored_three_times_comes_back_where_grey_is_said(data: st.DataObject, writer: Writer) -> None:
    ids = data.draw(_whole(writer, 255))
    task = RecipeTask(kind="classes", classes=CLASSES)
    found = _read(writer, ids, task, LabelFiles(files="x", read="grey"))
    if found is not None:
        np.testing.assert_array_equal(found, ids)
    if writer.name.startswith((".png", ".tif tifffile")):
        assert found is not None


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_every_way_of_writing_is_read_or_refused_in_one_line(tmp_path: Path, writer: Writer) -> None:
    top = 1 if np.dtype(writer.dtype).kind == "b" else min(3, writer.top or 3)
    ids = np.arange(40).reshape(5, 8) % (top + 1)
    path = tmp_path / f"x{writer.suffix}"
    try:
        writer.write(path, ids.astype(writer.dtype))
    except (OSError, DeprecationWarning):
        pytest.skip("this Pillow cannot write it")
    given = Labelling("x", RecipeTask(kind="classes", classes=CLASSES), LabelFiles(files="x"))
    try:
        np.testing.assert_array_equal(read_label(path, given)[0], ids)
    except DataError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        refused = writer.name.startswith((*REFUSED, ".webp", ".jp2"))
        assert refused or "RGB" in writer.name or any(m in writer.name for m in MAYBE), error
