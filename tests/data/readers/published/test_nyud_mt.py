from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.data.formats.nyud_mt import write_nyud_mt
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.raw.mat import read_mat
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError

NATIVE = PrepareOptions(size="native")


def degrees(found: np.ndarray, known: np.ndarray) -> float:
    return float(np.degrees(2 * np.arcsin(np.linalg.norm(found.astype(float) - known, axis=-1) / 2)).max())


@pytest.mark.parametrize(("variant", "degree"), [("mtinet", 0.1), ("invpt", 0.6), ("astmt", 4.0)])
def test_the_three_archives_give_the_same_labels(tmp_path: Path, variant: str, degree: float) -> None:
    truth = write_nyud_mt(tmp_path / "in ü" / "NYUD_MT", variant, {"train": 3, "val": 2})
    manifest = prepare(load_recipe("nyud_mt"), tmp_path / "in ü", tmp_path / "packs", NATIVE)
    assert manifest["tasks"] == ["semseg", "depth", "normals", "edges"]
    for split, names in (("train", ["0001", "0002", "0003"]), ("val", ["0004", "0005"])):
        pack = open_pack(tmp_path / "packs", "nyud_mt", split)
        assert pack.names == names
        for i, name in enumerate(names):
            sample, known = pack.read(i), truth[name]
            suffix = "png" if variant == "invpt" else "jpg"
            picture = np.asarray(Image.open(tmp_path / "in ü" / "NYUD_MT" / "images" / f"{name}.{suffix}"))
            np.testing.assert_array_equal(sample["image"], picture)
            np.testing.assert_array_equal(
                sample["semseg"], known["semseg"].astype(int) - 1 + 256 * (known["semseg"] == 0)
            )
            np.testing.assert_array_equal(sample["edges"], known["edges"])
            np.testing.assert_array_equal(sample["depth"], known["depth"])
            assert degrees(sample["normals"], known["normals"]) < degree


def test_thirteen_classes_follow_the_map(tmp_path: Path) -> None:
    truth = write_nyud_mt(tmp_path, "invpt", {"train": 1, "val": 1})
    options = PrepareOptions(size="native", label_set="13", tasks=["semseg"])
    prepare(load_recipe("nyud_mt"), tmp_path, tmp_path / "packs", options)
    recipe = load_recipe("nyud_mt")
    forty, thirteen = (recipe.label_sets[k].classes for k in ("nyu40", "nyu13"))
    found = open_pack(tmp_path / "packs", "nyud_mt", "train").read(0)["semseg"]
    for number in range(41):
        here = found[truth["0001"]["semseg"] == number]
        wanted = 255 if number == 0 else thirteen.index(recipe.class_maps["nyu13"][forty[number - 1]] or "")
        assert (here == wanted).all()
    assert recipe.class_maps["nyu13"] == load_recipe("nyuv2").class_maps["nyu40>nyu13"]


def test_a_partial_set_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write_nyud_mt(tmp_path, "mtinet", {"train": 2, "val": 1})
    (tmp_path / "normals" / "0002.npy").unlink()
    for path in (tmp_path / "edge").iterdir():
        path.unlink()
    (tmp_path / "edge").rmdir()
    reader = pickle.loads(pickle.dumps(make_reader(load_recipe("nyud_mt"))))
    items = reader.find(tmp_path, "train")
    assert dict(items[1].absent) == {
        "edges": tmp_path / "edge" / "0002.npy",
        "normals": tmp_path / "normals" / "0002.npy",
    }
    assert reader.tasks_of(items[1]) == {"semseg", "depth"}
    assert set(reader.load(items[0])) == {"image", "semseg", "depth", "normals"}
    only = make_reader(load_recipe("nyud_mt"), tasks=["depth"]).find(tmp_path, "train")[0]
    assert set(only.paths) == {"image", "depth"}


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_nyud_mt(tmp_path, "mtinet", {"train": 2, "val": 1})
    (tmp_path / "images" / "0001.jpg").unlink()
    with pytest.raises(DataError, match=r"images/0001\.\w+: no such file"):
        prepare(load_recipe("nyud_mt"), tmp_path, tmp_path / "packs", NATIVE)


def test_normals_that_face_away_are_refused(tmp_path: Path) -> None:
    write_nyud_mt(tmp_path, "invpt", {"train": 2, "val": 1})
    reader = {"flip": ["x", "y"]}
    with pytest.raises(DataError, match=r"normals face away from the camera along z; .*flip=\[x, y, z\]"):
        prepare(load_recipe("nyud_mt"), tmp_path, tmp_path / "packs", PrepareOptions(reader=reader))


def _grey_normals(root: Path) -> None:
    Image.new("L", (34, 25), 200).save(root / "normals" / "0001.png")


def _label_41(root: Path) -> None:
    Image.new("L", (34, 25), 41).save(root / "segmentation" / "0001.png")


def _colour_label(root: Path) -> None:
    Image.new("RGB", (34, 25)).save(root / "segmentation" / "0001.png")


def _wide_edges(root: Path) -> None:
    Image.fromarray(np.full((25, 34), 40000, np.uint16)).save(root / "edge" / "0001.png")


def _whole_depth(root: Path) -> None:
    np.save(root / "depth" / "0001.npy", np.full((25, 34), 2000, np.uint16))


def _small(root: Path) -> None:
    np.save(root / "depth" / "0001.npy", np.ones((10, 10), np.float32))


def _repeated(root: Path) -> None:
    (root / "gt_sets" / "train.txt").write_text("0001\n0001\n")


def _no_list(root: Path) -> None:
    (root / "gt_sets" / "train.txt").unlink()


def _empty_list(root: Path) -> None:
    (root / "gt_sets" / "train.txt").write_text("\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_grey_normals, "normals/0001.png: picture of mode L, wanted RGB normals of 8 or 16 bits"),
        (_label_41, "segmentation/0001.png: label ids 41, wanted 0..40"),
        (_colour_label, "segmentation/0001.png: picture of mode RGB, wanted one channel"),
        (_wide_edges, r"edge/0001.png: boundary values up to 40000: .* Wanted 0 and 1, or 0 to 255"),
        (_whole_depth, "depth/0001.npy: holds uint16, wanted depth in metres as floats"),
        (_small, "depth/0001.npy: label of 10x10 pixels, its image has 25x34"),
        (_repeated, "train.txt: lists '0001' more than once"),
        (_no_list, "gt_sets/train.txt: no such file; wanted a list, one name a line"),
        (_empty_list, "gt_sets/train.txt: lists no picture"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    write_nyud_mt(tmp_path, "invpt", {"train": 1})
    spoil(tmp_path)
    reader = make_reader(load_recipe("nyud_mt"))
    with pytest.raises(DataError, match=message) as caught:
        reader.load(reader.find(tmp_path, "train")[0])
    assert "\n" not in str(caught.value)


def test_matlab_files_that_cannot_be_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"depth": np.ones((4, 5))}, do_compression=True)
    assert read_mat(path, "depth", "depth").shape == (4, 5)
    with pytest.raises(DataError, match="a.mat: has no variable 'other'"):
        read_mat(path, "other", "others")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="a.mat: not a whole MATLAB v5 file"):
        read_mat(path, "depth", "depth")
    path.write_text("text")
    with pytest.raises(DataError, match="a.mat: not a whole MATLAB v5 file"):
        read_mat(path, "depth", "depth")
    scipy.io.savemat(path, {"depth": np.zeros((1000, 1000))}, do_compression=True)
    assert path.stat().st_size < 50_000  # a file so small unpacks to 8 MB
    monkeypatch.setattr("vtadapt.data.readers.raw.mat.LARGEST", 4_000_000)
    with pytest.raises(DataError, match="a.mat: unpacks to more than 4000000 bytes"):
        read_mat(path, "depth", "depth")
