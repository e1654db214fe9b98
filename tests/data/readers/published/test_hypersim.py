from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.data.formats.hypersim import NORMAL, SIZE, Truth, write_h5, write_hypersim, write_split
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.base import Reader
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, DataError

FRAMES = [("ai_001_001", "cam_00", 0), ("ai_001_001", "cam_01", 7), ("ai_002_001", "cam_00", 3)]
LIST = "metadata_images_split_scene_v1.csv"
SPLIT = [(*FRAMES[0], "train"), (*FRAMES[1], "train"), (*FRAMES[2], "val")]
GEOMETRY = ["semseg", "depth", "normals"]
NATIVE = PrepareOptions(size="native", tasks=GEOMETRY)


def reader(tasks: list[str] | None = None, **options: object) -> Reader:
    return make_reader(load_recipe("hypersim").with_options(options), tasks=tasks)


def tone_mapped(one: Truth) -> np.ndarray:
    """The official method, written out in doubles: the 90th percentile of the brightness becomes 0.8."""
    colour = one.colour.astype(np.float64)
    brightness = np.sort((colour @ [0.3, 0.59, 0.11])[one.entities != -1])
    place = 0.9 * (len(brightness) - 1)
    low = brightness[int(place)]
    bright = low + (brightness[int(place) + 1] - low) * (place - int(place))
    return np.minimum((colour * (0.8**2.2 / bright)) ** (1 / 2.2), 1) * 255


@pytest.mark.parametrize("label_set", ["nyu40", "nyu13"])
def test_the_pack_holds_the_plane(tmp_path: Path, label_set: str) -> None:
    root = tmp_path / "Hypersim ü"
    truth = write_hypersim(root, FRAMES)
    write_split(root / LIST, SPLIT)
    recipe = load_recipe("hypersim").with_label_set(label_set)
    prepare(recipe, root, tmp_path / "packs", NATIVE)
    for split, names in (("train", list(truth)[:2]), ("val", list(truth)[2:])):
        pack = open_pack(tmp_path / "packs", "hypersim", split)
        assert pack.names == names
        for i, name in enumerate(names):
            sample, known = pack.read(i), truth[name]
            scene, camera, frame = name.split("/")
            preview = root / scene / "images" / f"scene_{camera}_final_preview" / f"{frame}.tonemap.jpg"
            np.testing.assert_array_equal(sample["image"], np.asarray(Image.open(preview)))
            np.testing.assert_allclose(sample["depth"], known.depth, rtol=1e-6)
            wanted = np.where(known.hole[..., None], 0, NORMAL)
            np.testing.assert_allclose(sample["normals"], wanted, atol=1e-3)
            facts = classes_of(label_set)
            np.testing.assert_array_equal(sample["semseg"], facts[known.semantic])


def classes_of(label_set: str) -> np.ndarray:
    """Our id by NYU40 id (its last element, for -1, is void)."""
    if label_set == "nyu40":
        return np.array([255, *range(40), 255])
    # class 1..13 of NYU40's 1..40, as class13Mapping.mat of ankurhanda/nyuv2-meta-data has them
    of_40 = "12 5 6 1 4 9 10 12 13 6 8 6 13 10 6 13 6 7 7 5 7 3 2 6 11 7 7 7 7 7 7 6 7 7 7 7 7 7 6 7"
    return np.array([255, *(int(c) - 1 for c in of_40.split()), 255])


def test_label_sets_and_class_map_agree() -> None:
    recipe = load_recipe("hypersim")
    thirteen = recipe.label_sets["nyu13"].classes
    mapped = recipe.class_ids("semseg", "nyu13", thirteen)
    np.testing.assert_array_equal(mapped, classes_of("nyu13")[1:41])
    assert load_recipe("rooms").tasks["semseg"].classes == thirteen


def test_a_plane_has_no_occlusion_edges(tmp_path: Path) -> None:
    write_hypersim(tmp_path, [("ai_001_001", "cam_00", 0)], size=(48, 64))
    write_split(tmp_path / LIST, [("ai_001_001", "cam_00", 0, "train")])
    options = PrepareOptions(size="native", splits=["train"])
    manifest = prepare(load_recipe("hypersim"), tmp_path, tmp_path / "packs", options)
    assert manifest["derived"] == ["edges"]
    edges = open_pack(tmp_path / "packs", "hypersim", "train").read(0)["edges"]
    assert set(np.unique(edges)) == {0, 255}


def test_a_picture_without_preview_is_tone_mapped(tmp_path: Path) -> None:
    truth = write_hypersim(tmp_path, FRAMES[:1], previews=False)
    write_split(tmp_path / LIST, SPLIT)
    item = reader([]).find(tmp_path, "train")[0]
    assert sorted(item.paths) == ["entities", "image"]
    image = pickle.loads(pickle.dumps(reader([]))).load(item)["image"]
    wanted = tone_mapped(truth[item.name])
    assert np.abs(image - (wanted - 0.5)).max() <= 0.51  # cut to whole numbers
    assert (image[truth[item.name].hole] == 255).all()
    item.paths["entities"].unlink()  # then the bright pixels count, too
    darker = reader([]).load(reader([]).find(tmp_path, "train")[0])["image"]
    assert darker.mean() < image.mean() / 2


def test_the_hdr_picture_on_request_and_its_odd_numbers(tmp_path: Path) -> None:
    truth = write_hypersim(tmp_path, FRAMES[:1])
    write_split(tmp_path / LIST, SPLIT)
    one = reader([], preview=False)
    item = one.find(tmp_path, "train")[0]
    assert item.paths["image"].suffix == ".hdf5"
    before = one.load(item)["image"]
    colour = truth[item.name].colour.astype(np.float32)
    colour[0, :3] = [[np.nan], [np.inf], [-1]]
    write_h5(item.paths["image"], colour)
    after = one.load(item)["image"]
    assert after[0, :3].tolist() == [[0] * 3, [255] * 3, [0] * 3]
    assert np.abs(after[1:].astype(int) - before[1:]).max() < 12  # three pixels do not change the exposure much
    write_h5(item.paths["image"], np.zeros((*SIZE, 3), np.float16))
    assert (one.load(item)["image"] == 0).all()


def test_normals_may_stay_as_the_artist_left_them(tmp_path: Path) -> None:
    truth = write_hypersim(tmp_path, FRAMES[:1])
    write_split(tmp_path / LIST, SPLIT)
    one = reader(["normals"], face_camera=False)
    item = one.find(tmp_path, "train")[0]
    normals, hole = one.load(item)["normals"], truth[item.name].hole
    np.testing.assert_allclose(normals[:4][~hole[:4]], np.broadcast_to(-NORMAL, ((~hole[:4]).sum(), 3)), atol=1e-3)
    np.testing.assert_allclose(normals[4:][~hole[4:]], np.broadcast_to(NORMAL, ((~hole[4:]).sum(), 3)), atol=1e-3)


def test_only_public_frames_that_are_there(tmp_path: Path) -> None:
    write_hypersim(tmp_path / "evermotion_dataset" / "scenes", FRAMES)
    rows = [(*FRAMES[0], "train"), (*FRAMES[1], ""), (*FRAMES[2], "val"), ("ai_003_001", "cam_00", 0, "train")]
    write_split(tmp_path / "evermotion_dataset" / "analysis" / LIST, rows)
    assert [i.name for i in reader().find(tmp_path, "train")] == ["ai_001_001/cam_00/frame.0000"]
    assert [i.name for i in reader().find(tmp_path, "val")] == ["ai_002_001/cam_00/frame.0003"]
    assert reader().find(tmp_path, "test") == []  # optional
    with pytest.raises(DataError, match=f"no pictures for split 'test' in 2 scenes, divided by .*{LIST}"):
        reader(optional_splits=[]).find(tmp_path, "test")


def test_missing_labels_are_absent(tmp_path: Path) -> None:
    write_hypersim(tmp_path, FRAMES[:2])
    write_split(tmp_path / LIST, SPLIT)
    lost = tmp_path / "ai_001_001/images/scene_cam_01_geometry_hdf5/frame.0007.depth_meters.hdf5"
    lost.unlink()
    items = reader().find(tmp_path, "train")
    assert [dict(i.absent) for i in items] == [{}, {"depth": lost}]
    assert [sorted(reader().load(i)) for i in items] == [
        ["depth", "image", "normals", "semseg"],
        ["image", "normals", "semseg"],
    ]
    assert sorted(reader(["edges"]).find(tmp_path, "train")[0].paths) == ["depth", "image"]  # what edges are made of
    assert reader(["semseg"]).find(tmp_path, "train")[1].absent == {}


def test_without_the_list_whole_scenes_are_divided(tmp_path: Path) -> None:
    frames = [(f"ai_00{n}_001", "cam_00", i) for n in range(10) for i in range(2)]
    write_hypersim(tmp_path, frames, size=(6, 8))

    def scenes(split: str, **options: object) -> set[str]:
        items = reader([], **options).find(tmp_path, split)
        names = {i.name.split("/")[0] for i in items}
        assert len(items) == 2 * len(names)
        return names

    parts = [scenes(s) for s in ("train", "val", "test")]
    assert [len(p) for p in parts] == [8, 1, 1]
    assert len(set.union(*parts)) == 10
    assert parts[0] != scenes("train", seed=1)
    assert [len(scenes(s, fractions={"train": 0.5, "val": 0.5})) for s in ("train", "val", "test")] == [5, 5, 0]
    with pytest.raises(DataError, match="no pictures for split 'val' in 10 scenes, divided by options.fractions"):
        scenes("val", fractions={"train": 1.0})
    with pytest.raises(ConfigError, match="fractions add up to more than 1"):
        scenes("train", fractions={"train": 0.9, "val": 0.2})


def test_one_scene_may_be_the_source(tmp_path: Path) -> None:
    write_hypersim(tmp_path, FRAMES)
    items = reader([], fractions={"train": 1.0}).find(tmp_path / "ai_001_001", "train")
    assert [i.name for i in items] == ["ai_001_001/cam_00/frame.0000", "ai_001_001/cam_01/frame.0007"]
    with pytest.raises(DataError, match="no SCENE/images folders; wanted"):
        reader().find(tmp_path / "ai_001_001" / "images" / "scene_cam_00_final_hdf5", "train")


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    with h5py.File(path, "w") as file:
        file["dataset"] = h5py.ExternalLink(path.with_suffix(".other").name, "dataset")


def _elsewhere(path: Path) -> None:
    path.with_suffix(".secret").write_bytes(bytes(range(256)) * 12)
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset", SIZE, "f4", external=[(path.with_suffix(".secret"), 0, 3072)])


def _write(array: np.ndarray, key: str = "dataset") -> Callable[[Path], None]:
    return lambda path: write_h5(path, array, key)


@pytest.mark.parametrize(
    ("task", "spoil", "message"),
    [
        ("depth", _half, "broken HDF5 file"),
        ("depth", lambda path: path.write_bytes(b""), "broken HDF5 file"),
        ("depth", lambda path: path.write_text("no HDF5"), "broken HDF5 file"),
        ("depth", Path.unlink, "no such file"),
        ("depth", _link, "'dataset' is an external link, which is not followed"),
        ("depth", _elsewhere, r"'dataset' keeps its numbers in other files \(.*secret"),
        ("depth", _write(np.zeros(SIZE, np.float32), "depth"), "has no 'dataset'"),
        ("depth", _write(np.zeros((*SIZE, 3), np.float16)), r"numbers of shape \(24, 32, 3\), wanted \(H, W\)"),
        ("depth", _write(np.zeros(SIZE, np.int32)), "numbers of type int32, wanted floating-point numbers"),
        ("depth", _write(np.zeros((32, 24), np.float32)), "label of 32x24 pixels, its image has 24x32"),
        ("depth", _write(np.full(SIZE, -1, np.float32)), "negative distance -1"),
        ("normals", _write(np.zeros(SIZE, np.float16)), r"numbers of shape \(24, 32\), wanted \(H, W, 3\)"),
        ("semseg", _write(np.full(SIZE, 41, np.int16)), r"label ids 41, wanted -1\.\.40"),
        ("semseg", _write(np.full(SIZE, -2, np.int16)), "label ids -2, wanted"),
        ("semseg", _write(np.zeros(SIZE, np.float32)), "numbers of type float32, wanted whole numbers"),
        ("image", _half, "broken HDF5 file"),
        ("image", _write(np.full((*SIZE, 3), np.nan, np.float16)), "no finite number in it"),
        ("entities", _write(np.zeros((8, 8), np.int32)), "label of 8x8 pixels"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, task: str, spoil: Callable[[Path], None], message: str) -> None:
    write_hypersim(tmp_path / "in", FRAMES[:1], previews=False)
    write_split(tmp_path / "in" / LIST, SPLIT)
    item = reader().find(tmp_path / "in", "train")[0]
    path = item.paths[task]
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        reader().load(item)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene_name,frame_id\nai_001_001,0\n", "no column 'camera_name'; wanted the official list"),
        ("", "no column 'scene_name'"),
    ],
)
def test_another_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write_hypersim(tmp_path, FRAMES[:1])
    (tmp_path / LIST).write_text(text)
    with pytest.raises(DataError, match=message):
        reader().find(tmp_path, "train")
    write_split(tmp_path / LIST, [("ai_001_001", "cam_00", "first", "train")])  # type: ignore[list-item]
    with pytest.raises(DataError, match=f"{LIST}: broken list of frames"):
        reader().find(tmp_path, "train")
    (tmp_path / LIST).write_bytes(b"\xff\xfe\x00scene")
    with pytest.raises(DataError, match=f"{LIST}: broken list of frames"):
        reader().find(tmp_path, "train")


def test_another_shape_of_picture_is_refused(tmp_path: Path) -> None:
    write_hypersim(tmp_path, FRAMES[:1], size=(24, 24))
    write_split(tmp_path / LIST, SPLIT)
    with pytest.raises(DataError, match="picture of 24x24, the recipe's intrinsics are for 768x1024"):
        reader(["depth"]).load(reader(["depth"]).find(tmp_path, "train")[0])
