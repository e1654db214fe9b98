from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.data.formats.bsds500 import write_bsds500, write_mat
from tests.data.readers.refusing import check_refusal
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.convert_sample import resize_label
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.published.bsds500 import read_boundaries
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.data.training.dataset import PackDataset, collate
from vtadapt.errors import ConfigError, DataError
from vtadapt.tasks import TASKS

NATIVE = PrepareOptions(size="native")


def test_the_pack_holds_the_mean_of_the_annotators_and_both_orientations(tmp_path: Path) -> None:
    truth = write_bsds500(tmp_path / "BSR ü" / "BSDS500" / "data", {"train": 4, "val": 2})
    manifest = prepare(load_recipe("bsds500"), tmp_path / "BSR ü", tmp_path / "packs", NATIVE)
    assert {s: e["samples"] for s, e in manifest["splits"].items()} == {"train": 4, "val": 2}  # no test: optional
    pack = open_pack(tmp_path / "packs", "bsds500", "train")
    assert [pack.size(i) for i in range(4)] == [(24, 36), (36, 24), (24, 36), (36, 24)]
    for i, name in enumerate(pack.names):
        sample, known = pack.read(i), truth[name]
        np.testing.assert_array_equal(sample["image"], known.image)
        expected = np.zeros(known.drawn.shape[1:])
        for lines in known.drawn:
            expected += lines / len(known.drawn)
        assert sample["edges"].dtype == np.float16
        np.testing.assert_allclose(sample["edges"], expected, atol=5e-4)  # float16
        assert len(np.unique(sample["edges"])) > 3


def test_samples_of_both_orientations_make_one_batch(tmp_path: Path) -> None:
    write_bsds500(tmp_path / "data", {"train": 2, "val": 1})
    prepare(load_recipe("bsds500"), tmp_path, tmp_path / "packs", NATIVE)
    pack = open_pack(tmp_path / "packs", "bsds500", "train")

    tasks = {"edges": TASKS["edges"]}
    data = PackDataset(pack, tasks)
    batch = collate([data[0], data[1]], tasks)
    assert batch["image"].shape == (2, 3, 36, 36)
    assert (batch["targets"]["edges"][0, ..., 24:, :] == -1).all()  # padding is missing, not "no boundary"


@pytest.mark.parametrize("folder", ["", "data", "BSDS500/data", "BSR/BSDS500/data"])
def test_the_folder_may_be_any_of_the_archive(tmp_path: Path, folder: str) -> None:
    write_bsds500(tmp_path / folder, {"train": 1, "test": 1})
    reader = make_reader(load_recipe("bsds500"))
    assert [i.name for i in reader.find(tmp_path, "test")] == ["test100"]
    with pytest.raises(DataError, match="images/val: no such folder; wanted one with pictures ID.jpg"):
        reader.find(tmp_path, "val")


def test_options_make_it_binary(tmp_path: Path) -> None:
    lines = np.zeros((5, 24, 36), np.uint8)
    for k in range(5):
        lines[k, : 4 * (k + 1)] = 1  # rows 0..3: all five agree, then four, three, two, one, none
    write_bsds500(tmp_path, {"train": 1})
    write_mat(tmp_path / "groundTruth" / "train" / "train100.mat", list(lines))

    def rows(**options: object) -> int:
        reader = make_reader(load_recipe("bsds500").with_options(options))
        edges = pickle.loads(pickle.dumps(reader)).load(reader.find(tmp_path, "train")[0])["edges"]
        assert edges.dtype == np.uint8
        assert (edges == edges[:, :1]).all()
        return int(edges[:, 0].sum())

    assert [rows(annotators=k) for k in (1, 3, 5)] == [20, 12, 4]
    assert [rows(threshold=t) for t in (0.2, 0.5, 0.6, 1.0)] == [20, 12, 12, 4]
    with pytest.raises(DataError, match=r"train100.mat: boundaries of 5 annotators, options.annotators wants 6"):
        rows(annotators=6)
    with pytest.raises(ConfigError, match="either 'threshold' or 'annotators', not both"):
        rows(annotators=2, threshold=0.5)


def test_a_picture_without_annotation_is_kept_and_noted(tmp_path: Path) -> None:
    write_bsds500(tmp_path, {"train": 3})
    gone = tmp_path / "groundTruth" / "train" / "train101.mat"
    gone.unlink()
    reader = make_reader(load_recipe("bsds500"))
    items = reader.find(tmp_path, "train")
    assert [dict(i.absent) for i in items] == [{}, {"edges": gone}, {}]
    assert set(reader.load(items[1])) == {"image"}
    unlabelled = make_reader(load_recipe("bsds500"), tasks=[]).find(tmp_path, "train")
    assert all(set(i.paths) == {"image"} and not i.absent for i in unlabelled)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _version_7_3(path: Path) -> None:
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + path.read_bytes()[128:])


def _other_variable(path: Path) -> None:
    scipy.io.savemat(path, {"truth": np.zeros((2, 2))})


def _no_cells(path: Path) -> None:
    scipy.io.savemat(path, {"groundTruth": np.zeros((24, 36))})


def _no_boundaries(path: Path) -> None:
    cells = np.empty((1, 1), object)
    cells[0, 0] = {"Segmentation": np.zeros((24, 36), np.uint16)}
    scipy.io.savemat(path, {"groundTruth": cells})


def _numbers_in_the_cell(path: Path) -> None:
    cells = np.empty((1, 1), object)
    cells[0, 0] = np.zeros((24, 36))
    scipy.io.savemat(path, {"groundTruth": cells})


def _text(path: Path) -> None:
    write_mat(path, [np.zeros((24, 36), np.uint8)], Boundaries="none")


def _volume(path: Path) -> None:
    write_mat(path, [np.zeros((24, 36), np.uint8)], Boundaries=np.zeros((24, 36, 2), np.uint8))


def _grey_levels(path: Path) -> None:
    write_mat(path, [np.full((24, 36), 255, np.uint8)])


def _two_sizes(path: Path) -> None:
    write_mat(path, [np.zeros((24, 36), np.uint8), np.zeros((36, 24), np.uint8)])


def _transposed(path: Path) -> None:
    write_mat(path, [np.zeros((36, 24), np.uint8)])


def _huge(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(2 << 20))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_half, "not a whole MATLAB v5 file"),
        (lambda path: path.write_bytes(b""), "not a whole MATLAB v5 file"),
        (lambda path: path.write_text("no annotation"), "not a whole MATLAB v5 file"),
        (_version_7_3, "not a whole MATLAB v5 file"),
        (Path.unlink, "no such file"),
        (_other_variable, "has no variable 'groundTruth', wanted an annotation of BSDS500, a cell array"),
        (_no_cells, "groundTruth: float64, wanted a cell array"),
        (_no_boundaries, r"groundTruth\{1\} has the fields Segmentation, wanted Boundaries"),
        (_numbers_in_the_cell, r"groundTruth\{1\} has the fields \(none\), wanted Boundaries"),
        (_text, r"groundTruth\{1\}.Boundaries is <U4 \(1,\), wanted numbers of shape \(H, W\)"),
        (_volume, r"Boundaries is uint8 \(24, 36, 2\), wanted numbers"),
        (_grey_levels, "Boundaries has values from 255 to 255, wanted 0 and 1"),
        (_two_sizes, r"groundTruth\{2\}.Boundaries has 36x24 pixels, the first has 24x36"),
        (_transposed, "label of 36x24 pixels, its image has 24x36"),
        (_huge, "bytes, wanted an annotation of BSDS500"),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    write_bsds500(tmp_path, {"train": 1})
    check_refusal("bsds500", tmp_path, message, spoil, "edges")


def test_damaged_bytes_never_end_in_another_error(tmp_path: Path) -> None:
    write_bsds500(tmp_path, {"train": 1})
    path = tmp_path / "groundTruth" / "train" / "train100.mat"
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole[: random.integers(len(whole))] if random.random() < 0.3 else whole)
        for place in random.integers(len(damaged), size=3) if damaged else ():
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_boundaries(path)
        except DataError:
            refused += 1
    assert refused > 100


def test_broken_folders_are_named(tmp_path: Path) -> None:
    reader = make_reader(load_recipe("bsds500"))
    write_bsds500(tmp_path, {"train": 1})
    Image.new("RGB", (36, 24)).save(tmp_path / "images" / "train" / "train100.png")
    with pytest.raises(DataError, match="train100.jpg and train100.png have the same name"):
        reader.find(tmp_path, "train")
    for path in (tmp_path / "images" / "train").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"images/train: no .jpg pictures"):
        reader.find(tmp_path, "train")


def test_the_generator_writes_what_the_archive_has(shared_data: Path, tmp_path: Path) -> None:
    def shape_of(path: Path) -> list[object]:
        cells = scipy.io.loadmat(path)["groundTruth"]
        first = cells[0, 0]
        kinds = {f: first[f][0, 0].dtype for f in first.dtype.names}
        return [cells.dtype, cells.ndim, len(cells), first.shape, kinds]

    write_bsds500(tmp_path, {"train": 1})
    real = sorted((shared_data / "bsds500" / "groundTruth" / "train").iterdir())[0]
    assert shape_of(real) == shape_of(tmp_path / "groundTruth" / "train" / "train100.mat")


def test_the_real_set(shared_data: Path, tmp_path: Path) -> None:
    options = PrepareOptions(limit=12)
    manifest = prepare(load_recipe("bsds500"), shared_data / "bsds500", tmp_path, options)
    assert {s: e["samples"] for s, e in manifest["splits"].items()} == {"train": 12, "val": 12}
    reader = make_reader(load_recipe("bsds500"))
    assert {s: len(reader.find(shared_data / "bsds500", s)) for s in ("train", "val", "test")} == {
        "train": 120,
        "val": 40,
        "test": 0,
    }
    pack = open_pack(tmp_path, "bsds500", "train")
    assert {pack.size(i) for i in range(12)} == {(321, 481), (481, 321)}
    task = load_recipe("bsds500").tasks["edges"]
    for i in range(12):
        edges = pack.read(i)["edges"]
        assert 0.005 < edges.astype(np.float32).mean() < 0.05
        smaller = resize_label(edges, task, (edges.shape[0] // 4, edges.shape[1] // 4))
        assert smaller.max() == edges.max()  # lines one pixel wide neither fade nor break
        assert smaller.astype(np.float32).mean() > 2 * edges.astype(np.float32).mean()
