from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image
from skimage.morphology import thin

from tests.data.formats.pascal_context import SIZE, write_parts, write_pascal_context
from tests.data.readers.refusing import check_refusal
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.published.pascal_context import PARTS, boundaries, read_parts
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import DataError

NATIVE = PrepareOptions(size="native")


def test_the_pack_holds_every_label(tmp_path: Path) -> None:
    root = tmp_path / "in ü" / "PASCAL_MT"
    truth = write_pascal_context(root, {"train": 4, "val": 2})
    manifest = prepare(load_recipe("pascal_context"), tmp_path / "in ü", tmp_path / "packs", NATIVE)
    assert manifest["tasks"] == ["semseg", "human_parts", "saliency", "normals", "edges"]
    for split, count in (("train", 4), ("val", 2)):
        pack = open_pack(tmp_path / "packs", "pascal_context", split)
        assert len(pack) == count
        for i, name in enumerate(pack.names):
            sample, known = pack.read(i), truth[name]
            picture = np.asarray(Image.open(root / "JPEGImages" / f"{name}.jpg"))
            np.testing.assert_array_equal(sample["image"], picture)
            np.testing.assert_array_equal(sample["semseg"], known["semseg"])
            np.testing.assert_array_equal(sample["human_parts"], known["human_parts"])
            np.testing.assert_array_equal(sample["saliency"], known["saliency"] / 255 > 0.5)
            missing = (known["normals"] == 0).all(axis=-1)
            np.testing.assert_array_equal((sample["normals"] == 0).all(axis=-1), missing)
            chord = np.linalg.norm(sample["normals"].astype(float) - known["normals"], axis=-1)
            assert np.degrees(2 * np.arcsin(chord / 2)).max() < 0.6
            # As ASTMT writes it, with another library's Laplacian.
            reference = thin(np.abs(cv2.Laplacian(known["context"], cv2.CV_64F)) > 0)
            np.testing.assert_array_equal(sample["edges"], reference)
    assert {int(v) for k in truth.values() for v in np.unique(k["human_parts"])} == {0, 1, 2, 3, 4, 5, 6, 255}


def test_boundaries_are_one_pixel_wide_and_beside_the_border() -> None:
    labels = np.zeros((20, 30), np.uint16)
    labels[:, 12:] = 400
    edges = boundaries(labels)
    assert set(np.flatnonzero(edges.any(axis=0))) <= {11, 12}
    assert (edges[2:-2].sum(axis=1) == 1).all()
    assert not boundaries(np.full((9, 9), 7)).any()


def test_parts_are_where_published_readers_look_for_them(tmp_path: Path) -> None:
    label = write_parts(tmp_path / "a.mat", people=2)
    anno = scipy.io.loadmat(tmp_path / "a.mat")["anno"][0][0][1][0]  # the path that ASTMT's reader takes
    assert [int(one[1][0][0]) for one in anno] == [2, 15, 15, 15]
    assert str(anno[1][3][0][1][0][0]) == "leye"
    np.testing.assert_array_equal(read_parts(tmp_path / "a.mat", SIZE), label)
    assert len(PARTS) == len(load_recipe("pascal_context").tasks["human_parts"].classes) - 1
    assert sum(map(len, PARTS.values())) == 24
    write_parts(tmp_path / "b.mat", people=1, names=["head", "tail"])
    with pytest.raises(DataError, match="b.mat: part 'tail' of a person, wanted one of hair"):
        read_parts(tmp_path / "b.mat", SIZE)
    with pytest.raises(DataError, match=r"a.mat: label of 30x40 pixels, its image has 10x10"):
        read_parts(tmp_path / "a.mat", (10, 10))
    scipy.io.savemat(tmp_path / "c.mat", {"anno": np.ones((3, 3))})
    with pytest.raises(DataError, match="c.mat: anno is not laid out as in PASCAL-Part"):
        read_parts(tmp_path / "c.mat", SIZE)


def test_only_files_of_wanted_tasks_are_looked_for(tmp_path: Path) -> None:
    write_pascal_context(tmp_path, {"train": 3, "val": 1})
    context = tmp_path / "pascal-context" / "trainval" / "2008_000001.mat"
    context.unlink()
    (tmp_path / "human_parts" / "2008_000000.mat").unlink()
    recipe = load_recipe("pascal_context")
    reader = pickle.loads(pickle.dumps(make_reader(recipe)))
    items = reader.find(tmp_path, "train")
    assert set(items[0].absent) == {"human_parts"}
    assert dict(items[1].absent) == {"edges": context, "normals": context}
    assert reader.tasks_of(items[1]) == {"semseg", "human_parts", "saliency"}
    assert set(make_reader(recipe, tasks=["saliency"]).find(tmp_path, "train")[0].paths) == {"image", "saliency"}
    assert set(make_reader(recipe, tasks=["normals"]).find(tmp_path, "train")[0].paths) == {
        "image",
        "normals",
        "context",
    }
    everywhere = make_reader(recipe.with_options({"normals_classes": {}}), tasks=["normals"])
    item = everywhere.find(tmp_path, "train")[1]
    assert set(item.paths) == {"image", "normals"}
    assert (everywhere.load(item)["normals"] != 0).any(axis=-1).all()


def test_normals_that_face_away_are_refused(tmp_path: Path) -> None:
    write_pascal_context(tmp_path, {"train": 2, "val": 1})
    options = PrepareOptions(size="native", reader={"flip": ["z"]})
    with pytest.raises(DataError, match=r"face away from the camera along x and y; .*flip=\[x, y, z\]"):
        prepare(load_recipe("pascal_context"), tmp_path, tmp_path / "packs", options)


NAME = "2008_000000"


def _semseg(root: Path) -> None:
    Image.new("L", SIZE[::-1], 21).save(root / "semseg" / "pascal-context" / f"{NAME}.png")


def _saliency(root: Path) -> None:
    Image.new("RGB", SIZE[::-1]).save(root / "sal_distill" / f"{NAME}.png")


def _deep_saliency(root: Path) -> None:
    Image.fromarray(np.full(SIZE, 999, np.uint16)).save(root / "sal_distill" / f"{NAME}.png")


def _context(root: Path) -> None:
    scipy.io.savemat(root / "pascal-context" / "trainval" / f"{NAME}.mat", {"LabelMap": np.ones((5, 5))})


def _other_variable(root: Path) -> None:
    scipy.io.savemat(root / "pascal-context" / "trainval" / f"{NAME}.mat", {"labels": np.ones(SIZE)})


def _truncated(root: Path) -> None:
    path = root / "human_parts" / f"{NAME}.mat"
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_semseg, f"pascal-context/{NAME}.png: label ids 21, wanted"),
        (_saliency, f"sal_distill/{NAME}.png: picture of mode RGB"),
        (_deep_saliency, f"sal_distill/{NAME}.png: uint16 saliency, wanted 8 bits"),
        (_context, f"{NAME}.mat: label of 5x5 pixels, its image has 30x40"),
        (_other_variable, f"{NAME}.mat: has no variable 'LabelMap'"),
        (_truncated, f"human_parts/{NAME}.mat: not a whole MATLAB v5 file"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    write_pascal_context(tmp_path, {"train": 1})
    spoil(tmp_path)
    check_refusal("pascal_context", tmp_path, message)


def test_lists_are_checked(tmp_path: Path) -> None:
    write_pascal_context(tmp_path, {"train": 2})
    listed = tmp_path / "ImageSets" / "Context" / "train.txt"
    reader = make_reader(load_recipe("pascal_context"))
    for text, message in (("", "lists no picture"), (f"{NAME}\n{NAME}\n", f"lists '{NAME}' more than once")):
        listed.write_text(text)
        with pytest.raises(DataError, match=f"train.txt: {message}"):
            reader.find(tmp_path, "train")
    listed.unlink()
    with pytest.raises(DataError, match=r"train.txt: no such file; wanted a list"):
        reader.find(tmp_path, "train")
    with pytest.raises(DataError, match="no folder JPEGImages"):
        reader.find(tmp_path / "ImageSets", "train")
