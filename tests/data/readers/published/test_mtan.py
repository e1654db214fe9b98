from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.formats.facing import facing_normals
from tests.data.formats.mtan import write_mtan_cityscapes, write_mtan_nyuv2
from tests.data.readers.refusing import check_refusal
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, DataError

NATIVE = PrepareOptions(size="native")


def test_nyuv2_comes_out_as_it_went_in_and_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    truth = write_mtan_nyuv2(tmp_path / "nyu v2 ü" / "nyuv2", {"train": 12, "val": 2})
    prepare(load_recipe("mtan_nyuv2"), tmp_path / "nyu v2 ü", tmp_path / "packs", NATIVE)
    for split, count in (("train", 12), ("val", 2)):
        pack = open_pack(tmp_path / "packs", "mtan_nyuv2", split)
        assert pack.names == [str(i) for i in range(count)]  # 2 before 10
        for i, known in enumerate(truth[split]):
            sample = pack.read(i)
            np.testing.assert_array_equal(sample["image"], known["image"])
            np.testing.assert_array_equal(sample["semseg"], np.where(known["label"] < 0, 255, known["label"]))
            np.testing.assert_array_equal(sample["depth"], known["depth"])
            np.testing.assert_allclose(sample["normals"], known["normals"], atol=1e-3)
            np.testing.assert_array_equal((sample["normals"] == 0).all(-1), (known["normals"] == 0).all(-1))
            assert set(sample) == {"image", "semseg", "depth", "normals", "edges"}


@pytest.mark.parametrize(("label_set", "folder"), [("7", "label_7"), ("19", "label_19")])
def test_cityscapes_has_two_label_sets_and_a_disparity_that_is_no_depth(
    tmp_path: Path, label_set: str, folder: str
) -> None:
    truth = write_mtan_cityscapes(tmp_path / "city", {"train": 2, "val": 1})
    options = PrepareOptions(size="native", label_set=label_set)
    manifest = prepare(load_recipe("mtan_cityscapes"), tmp_path / "city", tmp_path / "packs", options)
    assert manifest["tasks"] == ["semseg", "inverse_depth", "edges"]
    assert not load_recipe("mtan_cityscapes").tasks["inverse_depth"].distance
    for i, known in enumerate(truth["train"]):
        sample = open_pack(tmp_path / "packs", "mtan_cityscapes", "train").read(i)
        np.testing.assert_array_equal(sample["image"], known["image"])
        np.testing.assert_array_equal(sample["semseg"], np.where(known[folder] < 0, 255, known[folder]))
        missing = known["disparity"] == 0
        np.testing.assert_array_equal(np.isnan(sample["inverse_depth"]), missing)
        np.testing.assert_allclose(sample["inverse_depth"][~missing], known["disparity"][~missing], rtol=1e-6)


def test_label_stands_for_label_7_in_some_copies(tmp_path: Path) -> None:
    truth = write_mtan_cityscapes(tmp_path, {"train": 1})
    (tmp_path / "train" / "label_7").rename(tmp_path / "train" / "label")
    reader = make_reader(load_recipe("mtan_cityscapes"))
    known = truth["train"][0]["label_7"]
    np.testing.assert_array_equal(
        reader.load(reader.find(tmp_path, "train")[0])["semseg"], np.where(known < 0, 255, known)
    )


def test_labels_that_are_not_there_are_absent_and_others_are_not_read(tmp_path: Path) -> None:
    write_mtan_nyuv2(tmp_path, {"train": 3})
    (tmp_path / "train" / "depth" / "1.npy").unlink()
    (tmp_path / "train" / "normal" / "0.npy").write_text("broken")
    reader = pickle.loads(pickle.dumps(make_reader(load_recipe("mtan_nyuv2"), tasks=["depth"])))
    items = reader.find(tmp_path, "train")
    assert dict(items[1].absent) == {"depth": tmp_path / "train" / "depth" / "1.npy"}
    assert reader.tasks_of(items[1]) == set()
    assert set(reader.load(items[0])) == {"image", "depth"}


@pytest.mark.parametrize("flip", [[], ["x", "z"], ["y"]])
def test_normals_that_face_away_are_refused_with_the_remedy(tmp_path: Path, flip: list[str]) -> None:
    write_mtan_nyuv2(tmp_path, {"train": 2, "val": 1})
    recipe = load_recipe("mtan_nyuv2")
    wrong = [axis for axis in "xyz" if axis not in flip]
    said = rf"normals face away from the camera along {' and '.join(wrong)}; .*flip=\[x, y, z\]"
    with pytest.raises(DataError, match=said):
        prepare(recipe, tmp_path, tmp_path / "packs", PrepareOptions(size="native", reader={"flip": flip}))
    options = PrepareOptions(size="native", reader={"flip": flip, "check_axes": False}, tasks=["normals"])
    prepare(recipe, tmp_path, tmp_path / "packs", options)
    stored = open_pack(tmp_path / "packs", "mtan_nyuv2", "val").read(0)["normals"]
    means = [-stored[..., 2].mean(), -stored[:10, :, 1].mean() + stored[10:, :, 1].mean()]
    assert (means[0] > 0) == ("z" in flip)


@pytest.mark.parametrize("turned", ["", "x", "y", "z", "xy", "xz", "yz", "xyz"])
def test_axes_are_told_from_the_normals_themselves(tmp_path: Path, turned: str) -> None:
    random, signs = np.random.default_rng(0), np.array([-1.0 if axis in turned else 1.0 for axis in "xyz"])
    write_mtan_nyuv2(tmp_path, {"train": 2, "val": 1})
    facing = facing_normals(random, 20, 30).astype(np.float32)
    for path in tmp_path.glob("*/normal/*.npy"):
        facing = facing_normals(random, *np.load(path).shape[:2]).astype(np.float32)
        np.save(path, facing * signs)
    manifest = prepare(
        load_recipe("mtan_nyuv2"), tmp_path, tmp_path / "packs", PrepareOptions(size="native", workers=1)
    )
    assert manifest["decided"] == {"flip": list(turned)}
    stored = open_pack(tmp_path / "packs", "mtan_nyuv2", path.parts[-3]).read(int(path.stem))["normals"]
    np.testing.assert_allclose(stored, facing, atol=1e-3)


def test_normals_that_tell_nothing_stay_as_they_are(tmp_path: Path) -> None:
    write_mtan_nyuv2(tmp_path, {"train": 1, "val": 1})
    random = np.random.default_rng(1)
    for path in tmp_path.glob("*/normal/*.npy"):
        vectors = random.normal(size=np.load(path).shape)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        np.save(path, vectors)
    assert prepare(load_recipe("mtan_nyuv2"), tmp_path, tmp_path / "packs")["decided"] == {"flip": []}


def _write(name: str, array: np.ndarray) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        np.save(root / name / "0.npy", array, allow_pickle=True)

    return spoil


def _cut(root: Path) -> None:
    path = root / "image" / "0.npy"
    path.write_bytes(path.read_bytes()[:-50])


def _empty(root: Path) -> None:
    (root / "depth" / "0.npy").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_write("image", np.full((24, 32, 3), 200.0)), "image/0.npy: values from 200 to 200, wanted .* floats 0..1"),
        (_write("image", np.full((24, 32, 3), np.nan)), "image/0.npy: values from nan"),
        (_write("image", np.zeros((24, 32, 3), np.uint8)), "image/0.npy: holds uint8"),
        (_write("image", np.zeros((3, 24, 32))), r"image/0.npy: holds float64 \(3, 24, 32\)"),
        (_write("label", np.full((24, 32), 13)), "label/0.npy: label ids 13, wanted -1..12"),
        (_write("label", np.full((24, 32), 0.5)), "label/0.npy: label ids that are no whole numbers"),
        (_write("label", np.full((24, 32), np.nan)), "label/0.npy: label ids that are not finite"),
        (_write("label", np.zeros((32, 24))), "label/0.npy: label of 32x24 pixels, its image has 24x32"),
        (_write("label", np.zeros((24, 32, 2))), r"label/0.npy: holds an array of shape \(24, 32, 2\)"),
        (_write("depth", np.full((24, 32, 1), -1.0)), "depth/0.npy: negative distance -1"),
        (_write("normal", np.zeros((24, 32))), r"normal/0.npy: holds float64 \(24, 32\), wanted normals"),
        (_write("depth", np.array([{"a": 1}], object)), "depth/0.npy: broken or unsafe .npy"),
        (_cut, "image/0.npy: broken or unsafe .npy"),
        (_empty, "depth/0.npy: broken or unsafe .npy"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    write_mtan_nyuv2(tmp_path, {"train": 1})
    spoil(tmp_path / "train")
    check_refusal("mtan_nyuv2", tmp_path, message)


def test_folders_and_options_are_checked(tmp_path: Path) -> None:
    write_mtan_nyuv2(tmp_path, {"train": 1})
    reader = make_reader(load_recipe("mtan_nyuv2"))
    with pytest.raises(DataError, match="no folder val"):
        reader.find(tmp_path, "val")
    for path in (tmp_path / "train" / "image").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="image: no .npy pictures"):
        reader.find(tmp_path, "train")
    with pytest.raises(ConfigError, match="options.folders names no folder for .*'depth'|no folder for 'nyu13'"):
        make_reader(load_recipe("mtan_nyuv2").with_options({"folders": {"semseg": ["label"]}}))
    with pytest.raises(ConfigError, match="flip"):
        make_reader(load_recipe("mtan_nyuv2").with_options({"flip": ["w"]}))


def test_the_classes_of_cityscapes_map_as_in_its_own_recipe() -> None:
    ours, theirs = load_recipe("mtan_cityscapes"), load_recipe("cityscapes")
    assert ours.class_maps == theirs.class_maps
