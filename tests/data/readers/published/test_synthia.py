from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.synthia import SIZE, png_bytes, write_synthia
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.raw.png16 import read_png16
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.errors import ConfigError, DataError

# The README's classes 0..22, by the names that Cityscapes has for them where it has one.
NAMES = ["void", "sky", "building", "road", "sidewalk", "fence", "vegetation", "pole", "car", "traffic sign", "person"]
NAMES += ["bicycle", "motorcycle", "parking-slot", "road-work", "traffic light", "terrain", "rider", "truck", "bus"]
NAMES += ["train", "wall", "lanemarking"]
CLASSES16 = ["road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"]
CLASSES16 += ["sky", "person", "rider", "car", "bus", "motorcycle", "bicycle"]
CLASSES7 = {
    **dict.fromkeys(("road", "sidewalk", "lanemarking"), 0),
    **dict.fromkeys(("building", "fence"), 1),
    **dict.fromkeys(("pole", "traffic light", "traffic sign"), 2),
    **{"vegetation": 3, "sky": 4, "person": 5},
    **dict.fromkeys(("car", "bicycle"), 6),
}
PLACES = {
    "cityscapes16": {c: i for i, c in enumerate(CLASSES16)},
    "cityscapes13": {c: i for i, c in enumerate(c for c in CLASSES16 if c not in ("wall", "fence", "pole"))},
    "cityscapes7": CLASSES7,
}
NATIVE = PrepareOptions(size="native")


def degrees_off(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Angles between vectors; those found need not be of length 1 (they are stored as float16)."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(found, wanted), axis=-1), found @ wanted))


def the_recipe(**options: object) -> Recipe:
    return load_recipe("synthia").with_options(options)


@pytest.mark.parametrize(
    ("label_set", "nested", "grey"),
    [("cityscapes16", True, False), ("cityscapes13", False, False), ("cityscapes7", True, True)],
)
def test_the_pack_holds_what_the_files_say(tmp_path: Path, label_set: str, nested: bool, grey: bool) -> None:
    source = tmp_path / "RAND CITYSCAPES ü"
    truth = write_synthia(source, 5, nested_depth=nested, grey_depth=grey)
    manifest = prepare(load_recipe("synthia").with_label_set(label_set), source, tmp_path / "data", NATIVE)
    assert {s: e["samples"] for s, e in manifest["splits"].items()} == {"train": 4, "val": 1}
    table = np.array([PLACES[label_set].get(name, 255) for name in NAMES], np.uint8)
    seen = []
    for split in ("train", "val"):
        pack = open_pack(tmp_path / "data", "synthia", split)
        for i, name in enumerate(pack.names):
            wanted, sample = truth[name], pack.read(i)
            np.testing.assert_array_equal(sample["image"], wanted.image)
            np.testing.assert_array_equal(sample["semseg"], table[wanted.ids])
            np.testing.assert_array_equal(np.rint(sample["depth"].astype(np.float64) * 100), wanted.centimetres)
            np.testing.assert_allclose(sample["depth"], wanted.centimetres / 100, rtol=1e-6)
            assert set(sample) == {"image", "semseg", "depth", "normals", "edges"}
            seen.append(name)
    assert sorted(seen) == sorted(truth)


def test_the_split_is_the_documented_shuffle(tmp_path: Path) -> None:
    write_synthia(tmp_path, 20)
    reader = pickle.loads(pickle.dumps(make_reader(load_recipe("synthia"))))
    found = {s: [i.name for i in reader.find(tmp_path, s)] for s in ("train", "val")}
    order = np.random.default_rng(42).permutation(20)
    assert found["val"] == [f"{i:07d}" for i in sorted(order[16:])]
    assert found["train"] == [f"{i:07d}" for i in sorted(order[:16])]
    other = make_reader(the_recipe(split={"fractions": {"train": 0.5, "val": 0.5}, "seed": 1}))
    assert {s: len(other.find(tmp_path, s)) for s in ("train", "val")} == {"train": 10, "val": 10}
    assert not {i.name for i in other.find(tmp_path, "train")} & {i.name for i in other.find(tmp_path, "val")}


def test_all_of_it_can_be_the_source_of_an_adaptation(tmp_path: Path) -> None:
    truth = write_synthia(tmp_path / "src", 4)
    manifest = prepare(the_recipe(all_train=True), tmp_path / "src", tmp_path / "data", NATIVE)
    assert list(manifest["splits"]) == ["train"]
    assert open_pack(tmp_path / "data", "synthia", "train").names == sorted(truth)


def test_labels_are_optional_and_only_asked_for_where_wanted(tmp_path: Path) -> None:
    write_synthia(tmp_path, 2)
    (tmp_path / "GT" / "LABELS" / "0000001.png").unlink()
    recipe = the_recipe(all_train=True)
    first, second = make_reader(recipe).find(tmp_path, "train")
    assert set(first.paths) == {"image", "semseg", "depth"}
    assert set(second.paths) == {"image", "depth"}
    assert second.absent == {"semseg": tmp_path / "GT" / "LABELS" / "0000001.png"}
    assert set(make_reader(recipe, None, ["normals"]).find(tmp_path, "train")[1].paths) == {"image", "depth"}
    assert not make_reader(recipe, None, ["normals"]).find(tmp_path, "train")[1].absent
    assert set(make_reader(recipe, None, ["semseg"]).find(tmp_path, "train")[0].paths) == {"image", "semseg"}
    # the folder above, and a folder of pictures itself
    assert len(make_reader(recipe).find(tmp_path / "RGB", "train")) == 2
    outer = tmp_path.parent / f"{tmp_path.name} outer"
    outer.mkdir()
    tmp_path.rename(outer / "RAND_CITYSCAPES")
    assert len(make_reader(recipe).find(outer, "train")) == 2
    (outer / "copy" / "RGB").mkdir(parents=True)
    with pytest.raises(DataError, match="both RAND_CITYSCAPES and copy hold a folder RGB; give one"):
        make_reader(recipe).find(outer, "train")


def test_depth_beyond_the_limit_is_missing(tmp_path: Path) -> None:
    write_synthia(tmp_path, 1)
    [item] = make_reader(the_recipe(all_train=True)).find(tmp_path, "train")
    whole, cut = (make_reader(the_recipe(max_depth=m)).load(item)["depth"] for m in (None, 100))
    assert whole.max() == pytest.approx(655.34)
    np.testing.assert_array_equal(cut, np.where(whole <= 100, whole, 0))


def test_normals_of_a_wall(tmp_path: Path) -> None:
    # n . X = -8 gives z = -8 / (n . ray); the camera is that of 760x1280 with pixels ten times as wide.
    write_synthia(tmp_path / "src", 2)
    focal, cx, cy = 532.740352 / 10, (640.5 / 10) - 0.5, (380.5 / 10) - 0.5
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    ray = np.stack([(u - cx) / focal, (v - cy) / focal, np.ones(SIZE)], axis=-1)
    normal = np.array([0.3, 0.2, -np.sqrt(1 - 0.13)])
    z = -8.0 / (ray @ normal)
    stored = np.where((z > 0) & (z < 60), np.rint(z * 100), 65535).astype(np.uint16)
    (tmp_path / "src" / "Depth" / "Depth" / "0000000.png").write_bytes(png_bytes(np.repeat(stored[..., None], 3, 2)))
    prepare(the_recipe(all_train=True), tmp_path / "src", tmp_path / "data", NATIVE)
    found = open_pack(tmp_path / "data", "synthia", "train").read(0)["normals"].astype(np.float64)
    near = (z > 0) & (z < 15) & (found != 0).any(axis=-1)
    assert near.mean() > 0.5
    assert degrees_off(found[near], normal).max() < 0.5


def test_normals_of_a_close_wall_survive_rounding_to_centimetres(tmp_path: Path) -> None:
    write_synthia(tmp_path / "src", 1)
    rows, columns = 760, 1280
    v, u = np.mgrid[:rows, :columns]
    ray = np.stack([(u - 640) / 532.740352, (v - 380) / 532.740352, np.ones((rows, columns))], axis=-1)
    normal = np.array([-0.25, -0.5, -0.8]) / np.sqrt(0.9525)
    z = -4.0 / (ray @ normal)
    stored = np.where((z > 0) & (z < 30), np.rint(z * 100), 65535).astype(np.uint16)
    (tmp_path / "src" / "Depth" / "Depth" / "0000000.png").write_bytes(png_bytes(np.repeat(stored[..., None], 3, 2)))
    (tmp_path / "src" / "RGB" / "0000000.png").write_bytes(png_bytes(np.zeros((rows, columns, 3), np.uint8), 8))
    only = PrepareOptions(tasks=["normals"], size="native")
    prepare(the_recipe(all_train=True), tmp_path / "src", tmp_path / "data", only)
    found = open_pack(tmp_path / "data", "synthia", "train").read(0)["normals"].astype(np.float64)
    off = degrees_off(found[(found != 0).any(axis=-1)], normal)
    assert off.size > 0.9 * ((z > 0) & (z < 30)).sum()
    assert np.median(off) < 0.15
    assert np.percentile(off, 95) < 0.8


def _rgb16(red: int) -> bytes:
    labels = np.zeros((*SIZE, 3), np.uint16)
    labels[3, 4, 0] = red
    return png_bytes(labels)


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("semseg", lambda _: png_bytes(np.zeros((*SIZE, 3)), 8), r"8-bit picture \(RGB\), wanted the 16-bit PNG of GT"),
        ("semseg", lambda _: png_bytes(np.zeros(SIZE), 8), r"8-bit picture \(grey\), wanted the 16-bit PNG of GT"),
        ("semseg", lambda _: png_bytes(np.zeros(SIZE)), r"16-bit picture \(grey\), wanted the 16-bit PNG of GT"),
        ("semseg", lambda _: _rgb16(23), r"class 23 in the red channel, wanted 0\.\.22"),
        ("semseg", lambda _: _rgb16(768), "class 768 in the red channel"),
        ("semseg", _cut, "broken picture .PNG cut short"),
        ("semseg", lambda d: d[:-4], "broken picture .PNG cut short"),
        ("semseg", _flip, "broken picture .wrong checksum in PNG chunk b'IDAT'"),
        ("semseg", lambda _: b"", "broken picture .no PNG file"),
        ("semseg", lambda _: b"\xff\xd8\xff\xe0 JPEG", "broken picture .no PNG file"),
        ("semseg", lambda _: png_bytes(np.zeros((10, 20, 3))), "label of 10x20 pixels, its image has 76x128"),
        (
            "depth",
            lambda _: png_bytes(np.zeros((*SIZE, 3)), 8),
            r"8-bit picture \(RGB\), wanted the 16-bit PNG of Depth",
        ),
        ("depth", lambda _: png_bytes(np.zeros((20, 10))), "label of 20x10 pixels"),
        ("depth", _cut, "broken picture .PNG cut short"),
    ],
)
def test_broken_files_are_named(
    tmp_path: Path, task: str, change: Callable[[bytes], bytes], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write_synthia(tmp_path, 1)
    reader = make_reader(the_recipe(all_train=True))
    [item] = reader.find(tmp_path, "train")
    path = item.paths[task]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        reader.load(item)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_file_that_vanished_and_one_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"none.png: no such file"):
        read_png16(tmp_path / "none.png", (2,), "x")
    (tmp_path / "a.png").write_bytes(png_bytes(np.zeros((40, 50, 3))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="a.png: picture too large to be opened safely .40x50, limit 1000"):
        read_png16(tmp_path / "a.png", (2,), "x")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_bits_and_channels_are_kept(tmp_path: Path, channels: int) -> None:
    array = np.random.default_rng(0).integers(0, 65536, (9, 7, channels)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png_bytes(array))
    found = read_png16(tmp_path / "a.png", (0, 2, 4, 6), "x")
    if channels == 1:
        np.testing.assert_array_equal(found, array[..., 0])
    elif channels == 2:  # grey comes as red, green and blue
        np.testing.assert_array_equal(found[..., [0, 3]], array)
    else:
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": {"fractions": {"train": 0.9, "val": 0.2}}}, "add up to more than 1"),
        ({"split": {"fractions": {"train": 0.5}}, "optional_splits": []}, "options.split.fractions has no split 'val'"),
    ],
)
def test_shares_that_cannot_be_are_refused(tmp_path: Path, options: dict, message: str) -> None:
    write_synthia(tmp_path, 2)
    with pytest.raises(ConfigError, match=message):
        make_reader(the_recipe(**options)).find(tmp_path, "val")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    reader = make_reader(the_recipe())
    with pytest.raises(DataError, match="no folder RGB, here or one level below; wanted RGB/NAME.png"):
        reader.find(tmp_path, "train")
    (tmp_path / "RGB").mkdir()
    with pytest.raises(DataError, match="RGB: no .png pictures"):
        reader.find(tmp_path, "train")
