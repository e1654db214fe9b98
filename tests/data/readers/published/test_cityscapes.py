from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.cityscapes import BASELINE, FX, FY, SIZE, U0, V0, Truth, write_camera, write_cityscapes
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.errors import DataError

# labels.py of cityscapesScripts, ids 0, 1, 2, ...
FIRST = ["unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground"]
FLAT = ["road", "sidewalk", "parking", "rail track"]
BUILT = ["building", "wall", "fence", "guard rail", "bridge", "tunnel"]
THINGS = ["pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider"]
VEHICLES = ["car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle"]
NAMES = [*FIRST, *FLAT, *BUILT, *THINGS, *VEHICLES]
NOT_EVALUATED = {*FIRST, *FLAT[2:], *BUILT[3:], "polegroup", "caravan", "trailer"}
CLASSES19 = [name for name in NAMES if name not in NOT_EVALUATED]
CLASSES16 = [c for c in CLASSES19 if c not in ("terrain", "truck", "train")]
CLASSES13 = [c for c in CLASSES16 if c not in ("wall", "fence", "pole")]
CLASSES7 = {
    **dict.fromkeys(("road", "sidewalk"), 0),
    **dict.fromkeys(("building", "fence"), 1),
    **dict.fromkeys(("pole", "traffic light", "traffic sign"), 2),
    **{"vegetation": 3, "sky": 4, "person": 5},
    **dict.fromkeys(("car", "bicycle"), 6),
}
CLASSES8 = {
    **{c: i for i, c in enumerate(("road", "building", "pole", "traffic light", "traffic sign", "vegetation", "sky"))},
    **dict.fromkeys(("car", "bus"), 7),
}
PLACES = {
    "cityscapes19": {c: i for i, c in enumerate(CLASSES19)},
    "cityscapes16": {c: i for i, c in enumerate(CLASSES16)},
    "cityscapes13": {c: i for i, c in enumerate(CLASSES13)},
    "cityscapes7": CLASSES7,
    "vkitti8": CLASSES8,
}
NATIVE = PrepareOptions(size="native")


def expected(ids: np.ndarray, label_set: str) -> np.ndarray:
    """What the ids of a label file must become, from the tables above."""
    return np.array([PLACES[label_set].get(name, 255) for name in NAMES], np.uint8)[ids]


def degrees_off(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Angles between vectors; those found need not be of length 1 (they are stored as float16)."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(found, wanted), axis=-1), found @ wanted))


def the_recipe(**options: object) -> Recipe:
    return load_recipe("cityscapes").with_options(options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_cityscapes(tmp_path / "city scapes ü", {"train": 2, "val": 1})
    return tmp_path / "city scapes ü"


@pytest.mark.parametrize("label_set", list(PLACES))
def test_the_pack_holds_what_the_files_say(tmp_path: Path, label_set: str) -> None:
    truth = write_cityscapes(tmp_path / "src", {"train": 3, "val": 2})
    recipe = load_recipe("cityscapes").with_label_set(label_set)
    manifest = prepare(recipe, tmp_path / "src", tmp_path / "data", NATIVE)
    assert list(manifest["splits"]) == ["train", "val"]
    assert manifest["derived"] == ["normals", "edges"]
    seen = set()
    for split in ("train", "val"):
        pack = open_pack(tmp_path / "data", "cityscapes", split)
        for i, name in enumerate(pack.names):
            wanted, sample = truth[f"{split}/{name}"], pack.read(i)
            np.testing.assert_array_equal(sample["image"], wanted.image)
            np.testing.assert_array_equal(sample["semseg"], expected(wanted.ids, label_set))
            np.testing.assert_allclose(sample["depth"], wanted.depth, rtol=1e-6)
            assert set(sample) == {"image", "semseg", "depth", "normals", "edges"}
            seen.add(f"{split}/{name}")
    assert seen == set(truth)


def test_samples_are_ordered_by_city_and_name_and_labels_are_optional(root: Path) -> None:
    stem = "aachen/aachen_000000_000019"
    (root / "gtFine" / "train" / f"{stem}_gtFine_labelIds.png").unlink()
    (root / "leftImg8bit" / "train" / "aachen" / "Thumbs.db").write_text("no picture")
    (root / "camera" / "train" / "zürich" / "zürich_000001_000019_camera.json").unlink()
    reader = pickle.loads(pickle.dumps(make_reader(the_recipe())))
    first, second = reader.find(root, "train")
    assert (first.name, second.name) == (stem, "zürich/zürich_000001_000019")
    assert set(first.paths) == {"image", "depth", "camera"}
    assert {t: p.name for t, p in first.absent.items()} == {"semseg": "aachen_000000_000019_gtFine_labelIds.png"}
    assert set(second.paths) == {"image", "semseg"}
    assert {t: p.name for t, p in second.absent.items()} == {"depth": "zürich_000001_000019_camera.json"}
    assert reader.tasks_of(first) == {"depth", "normals"}
    assert reader.tasks_of(second) == {"semseg", "edges"}
    assert set(reader.load(first)) == {"image", "depth"}
    (root / "disparity" / "train" / "aachen" / "aachen_000000_000019_disparity.png").unlink()
    [first, _] = reader.find(root, "train")
    assert first.absent["depth"].name == "aachen_000000_000019_disparity.png"
    assert set(first.paths) == {"image"}


def test_only_files_of_wanted_tasks_are_asked_for(root: Path) -> None:
    def roles(*tasks: str) -> set[str]:
        return set(make_reader(the_recipe(), None, tasks).find(root, "val")[0].paths)

    assert roles("semseg") == roles("edges") == {"image", "semseg"}
    assert roles("normals") == roles("depth") == {"image", "depth", "camera"}


def test_test_has_no_classes_and_train_extra_coarse_ones(tmp_path: Path) -> None:
    truth = write_cityscapes(tmp_path / "src", {"train": 1, "val": 1, "test": 1, "train_extra": 2})
    reader = make_reader(the_recipe())
    [test] = reader.find(tmp_path / "src", "test")
    assert set(test.paths) == {"image", "depth", "camera"}
    assert not test.absent
    extra = reader.find(tmp_path / "src", "train_extra")
    assert [i.paths["semseg"].name for i in extra] == [
        f"{c}_00000{i}_000019_gtCoarse_labelIds.png" for i, c in enumerate(("aachen", "zürich"))
    ]
    np.testing.assert_array_equal(
        reader.load(extra[1])["semseg"], expected(truth[f"train_extra/{extra[1].name}"].ids, "cityscapes19")
    )
    coarse = make_reader(the_recipe(labels={"train": "gtCoarse"}))
    assert coarse.find(tmp_path / "src", "train")[0].absent["semseg"].parts[-4] == "gtCoarse"
    assert make_reader(the_recipe(optional_splits=["demo"])).find(tmp_path / "src", "demo") == []


def test_archives_may_lie_in_folders_of_their_own(root: Path) -> None:
    for kind in ("leftImg8bit", "gtFine", "disparity", "camera"):
        (root / f"{kind}_trainvaltest").mkdir()
        (root / kind).rename(root / f"{kind}_trainvaltest" / kind)
    reader = make_reader(the_recipe())
    items = reader.find(root, "train")
    assert [set(i.paths) for i in items] == [{"image", "semseg", "depth", "camera"}] * 2
    assert len(reader.find(root.parent / root.name / "leftImg8bit_trainvaltest" / "leftImg8bit", "val")) == 1


def test_each_sample_has_its_own_camera(root: Path) -> None:
    stem = "aachen/aachen_000000_000019"
    write_camera(root / "camera" / "train" / f"{stem}_camera.json", fx=2000.0)
    reader = make_reader(the_recipe())
    first, second = reader.find(root, "train")
    own, other = reader.camera(first, SIZE), reader.camera(second, SIZE)
    assert own is not None
    assert other is not None
    assert (own.fx, other.fx) == pytest.approx((2000 / 32, FX / 32))
    assert own.fy == pytest.approx(FY / 32)
    # the edges of the picture stay: column -1/2 of 2048 is column -1/2 of 64
    assert own.cx == pytest.approx((U0 + 0.5) / 32 - 0.5)
    assert own.cy == pytest.approx((V0 + 0.5) / 32 - 0.5)
    depth = reader.load(first)["depth"]
    assert depth[1, 2] == pytest.approx(BASELINE * 2000 * 256)
    with pytest.raises(DataError, match="aachen_000000_000019_leftImg8bit.png: picture of 64x64"):
        reader.camera(first, (64, 64))


def test_depth_beyond_the_limit_is_missing(root: Path) -> None:
    [item] = make_reader(the_recipe()).find(root, "val")
    whole, cut = (make_reader(the_recipe(max_depth=m)).load(item)["depth"] for m in (None, 5.0))
    assert whole.max() > 1000
    assert (whole == 0).sum() == 2
    np.testing.assert_array_equal(cut, np.where(whole <= 5, whole, 0))
    assert 0 < cut.max() <= 5


def test_normals_of_a_road_seen_by_stereo(tmp_path: Path) -> None:
    # Road 1.5 m under a camera that looks straight ahead: row v sees it at z = 1.5 fy / (v - cy), normal (0, -1, 0).
    write_cityscapes(tmp_path / "src", {"train": 1, "val": 1}, baselines=(BASELINE,), size=(256, 512))
    v = (np.arange(256)[:, None] + 0.5) * 4 - 0.5 + np.zeros((1, 512))
    z = np.where(v > V0 + 40, 1.5 * FY / np.maximum(v - V0, 1), np.inf)
    disparity = np.where(np.isfinite(z), np.rint(BASELINE * FX / z * 256) + 1, 0).astype(np.uint16)
    stem = "aachen/aachen_000000_000019"
    Image.fromarray(disparity).save(tmp_path / "src" / "disparity" / "train" / f"{stem}_disparity.png")
    prepare(load_recipe("cityscapes"), tmp_path / "src", tmp_path / "data", NATIVE)
    normals = open_pack(tmp_path / "data", "cityscapes", "train").read(0)["normals"].astype(np.float64)
    near = normals[225:244, 10:-10]  # farther up a window sees too much slope, elsewhere the picture ends
    assert (near != 0).any(axis=-1).all()
    assert degrees_off(near, np.array([0.0, -1.0, 0.0])).max() < 0.5


def _label(path: Path) -> Path:
    return path / "gtFine" / "val" / "aachen" / "aachen_000000_000019_gtFine_labelIds.png"


def _disparity(path: Path) -> Path:
    return path / "disparity" / "val" / "aachen" / "aachen_000000_000019_disparity.png"


def _camera(path: Path) -> Path:
    return path / "camera" / "val" / "aachen" / "aachen_000000_000019_camera.json"


def _save(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


INTRINSIC = {"fx": FX, "fy": FY, "u0": U0, "v0": V0}


@pytest.mark.parametrize(
    ("which", "spoil", "message"),
    [
        (_label, _save(np.full(SIZE, 34, np.uint8)), r"label ids 34, wanted 0\.\.33"),
        (_label, _save(np.zeros((*SIZE, 3), np.uint8)), "picture of mode RGB, wanted one channel"),
        (_label, _save(np.zeros((16, 32), np.uint8)), "label of 16x32 pixels, its image has 32x64"),
        (_label, _save(np.full(SIZE, 26001, np.uint16)), "label ids 26001"),
        (_label, _cut, "broken picture"),
        (_disparity, _save(np.zeros(SIZE, np.uint8)), "8-bit disparity, wanted the 16-bit PNG"),
        (_disparity, _save(np.zeros((*SIZE, 3), np.uint8)), "picture of mode RGB, wanted one channel"),
        (_disparity, _save(np.zeros((64, 128), np.uint16)), "label of 64x128 pixels"),
        (_disparity, _cut, "broken picture"),
        (_camera, _text("{"), "broken camera file .*StrictJsonError"),
        (_camera, _text("[]"), "broken camera file .*TypeError"),
        (_camera, _text('{"intrinsic": {}}'), r"broken camera file \(KeyError: 'extrinsic'\), wanted extrinsic"),
        (_camera, _text(json.dumps({"extrinsic": {"baseline": 0}, "intrinsic": INTRINSIC})), "wanted baseline, fx and"),
        (_camera, _text(json.dumps({"extrinsic": {"baseline": None}, "intrinsic": INTRINSIC})), "TypeError"),
        (_camera, lambda p: p.write_bytes(b"\xff\xfe\xff"), "broken camera file"),
        (_camera, Path.unlink, "no such file"),
    ],
)
def test_broken_files_are_named(
    root: Path, which: Callable[[Path], Path], spoil: Callable[[Path], None], message: str
) -> None:
    reader = make_reader(the_recipe())
    [item] = reader.find(root, "val")
    spoil(which(root))
    with pytest.raises(DataError, match=message) as caught:
        reader.load(item)
    assert which(root).name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    reader = make_reader(the_recipe())
    with pytest.raises(DataError, match=r"nowhere: no such folder; wanted one with leftImg8bit/SPLIT"):
        reader.find(tmp_path / "nowhere", "train")
    (root / "leftImg8bit" / "val").rename(root / "leftImg8bit" / "other")
    with pytest.raises(DataError, match=r"no pictures leftImg8bit/val/CITY/\*_leftImg8bit.png; wanted"):
        reader.find(root, "val")
    assert reader.find(root, "test") == []


def test_truth_of_the_generator_is_what_the_formula_says(tmp_path: Path) -> None:
    truth: dict[str, Truth] = write_cityscapes(tmp_path, {"val": 1})
    depth = truth["val/aachen/aachen_000000_000019"].depth
    assert depth[1, 3] == pytest.approx(0.209313 * 2262.52 * 256 / 65534)
    assert depth[1, :2].tolist() == [0, 0]
