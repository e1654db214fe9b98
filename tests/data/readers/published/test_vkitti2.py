from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.vkitti2 import COLOURS, SIZE, write_vkitti2
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.errors import ConfigError, DataError

PLACES = {
    "vkitti14": {name: i for i, name in enumerate(name for name in COLOURS if name != "Undefined")},
    "vkitti8": {
        **{"Road": 0, "Building": 1, "Pole": 2, "TrafficLight": 3, "TrafficSign": 4, "Tree": 5, "Vegetation": 5},
        **{"Sky": 6, "Truck": 7, "Car": 7, "Van": 7},
    },
}
NATIVE = PrepareOptions(size="native")


def degrees_off(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Angles between vectors; those found need not be of length 1 (they are stored as float16)."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(found, wanted), axis=-1), found @ wanted))


def the_recipe(**options: object) -> Recipe:
    return load_recipe("vkitti2").with_options(options)


@pytest.mark.parametrize(("label_set", "apart"), [("vkitti14", False), ("vkitti8", True)])
def test_the_pack_holds_what_the_files_say(tmp_path: Path, label_set: str, apart: bool) -> None:
    truth = write_vkitti2(tmp_path / "v k ü", frames=2, apart=apart)
    manifest = prepare(load_recipe("vkitti2").with_label_set(label_set), tmp_path / "v k ü", tmp_path / "data", NATIVE)
    assert {s: e["samples"] for s, e in manifest["splits"].items()} == {"train": 4, "val": 4}
    seen = []
    for split, scene in (("train", "Scene01"), ("val", "Scene02")):
        pack = open_pack(tmp_path / "data", "vkitti2", split)
        for i, name in enumerate(pack.names):
            wanted, sample = truth[name], pack.read(i)
            assert name.startswith(f"{scene}/")
            classes = [PLACES[label_set].get(c, 255) for c in wanted.classes.ravel()]
            np.testing.assert_array_equal(sample["image"], wanted.image)
            np.testing.assert_array_equal(sample["semseg"], np.reshape(classes, SIZE))
            np.testing.assert_array_equal(np.rint(sample["depth"].astype(np.float64) * 100), wanted.centimetres)
            np.testing.assert_allclose(sample["depth"], wanted.centimetres / 100, rtol=1e-6)
            assert set(sample) == {"image", "semseg", "depth", "normals", "edges"}
            seen.append(name)
    assert sorted(seen) == sorted(name for name in truth if "/Camera_0/" in name)


def test_the_recipe_shows_the_14_classes_in_the_colours_of_the_files() -> None:
    known = load_recipe("vkitti2").label_sets["vkitti14"]
    assert dict(zip(known.classes, known.colours, strict=True)) == {
        n: c for n, c in COLOURS.items() if n != "Undefined"
    }


def test_no_scene_is_in_both_splits(tmp_path: Path) -> None:
    write_vkitti2(tmp_path, ("Scene01", "Scene02", "Scene06", "Scene18", "Scene20"), ("clone",))

    def scenes(reader: Recipe, split: str) -> list[str]:
        return sorted({i.name.split("/")[0] for i in make_reader(reader).find(tmp_path, split)})

    assert scenes(the_recipe(), "train") == ["Scene01", "Scene06", "Scene20"]
    assert scenes(the_recipe(), "val") == ["Scene02", "Scene18"]
    assert scenes(the_recipe(val_scenes=["Scene20"]), "train") == ["Scene01", "Scene02", "Scene06", "Scene18"]
    assert scenes(the_recipe(val_scenes=["Scene20"]), "val") == ["Scene20"]


def test_variants_and_cameras_are_chosen(tmp_path: Path) -> None:
    write_vkitti2(tmp_path, variants=("clone", "fog", "30-deg-right"))

    def found(**options: object) -> list[str]:
        reader = pickle.loads(pickle.dumps(make_reader(the_recipe(**options))))
        return [i.name for i in reader.find(tmp_path, "val")]

    assert found() == [f"Scene02/{v}/Camera_0/00000" for v in ("30-deg-right", "clone", "fog")]
    assert found(variants=["fog"], cameras=[0, 1]) == [f"Scene02/fog/Camera_{c}/00000" for c in (0, 1)]
    with pytest.raises(DataError, match=r"no frames for split 'val' in Scene02 \(rain; found Scene01, Scene02"):
        found(variants=["rain"])


def test_labels_are_optional_and_only_asked_for_where_wanted(tmp_path: Path) -> None:
    write_vkitti2(tmp_path, variants=("clone",), frames=2)
    frames = tmp_path / "Scene01" / "clone" / "frames"
    (frames / "classSegmentation" / "Camera_0" / "classgt_00001.png").unlink()
    (frames / "depth" / "Camera_0" / "depth_00000.png").unlink()
    reader = make_reader(the_recipe())
    first, second = reader.find(tmp_path, "train")
    assert set(first.paths) == {"image", "semseg"}
    assert first.absent == {"depth": frames / "depth" / "Camera_0" / "depth_00000.png"}
    assert second.absent == {"semseg": frames / "classSegmentation" / "Camera_0" / "classgt_00001.png"}
    assert set(reader.load(second)) == {"image", "depth"}
    only = make_reader(the_recipe(), None, ["edges"]).find(tmp_path, "train")
    assert [set(i.paths) | set(i.absent) for i in only] == [{"image", "semseg"}] * 2


def test_small_letters_as_on_the_published_page(tmp_path: Path) -> None:
    write_vkitti2(tmp_path, variants=("clone",))
    frames = tmp_path / "Scene01" / "clone" / "frames"
    (frames / "classSegmentation").rename(frames / "classsegmentation")
    [item] = make_reader(the_recipe()).find(tmp_path, "train")
    assert "semseg" in item.paths


def test_depth_beyond_the_limit_is_missing(tmp_path: Path) -> None:
    write_vkitti2(tmp_path, variants=("clone",))
    [item] = make_reader(the_recipe()).find(tmp_path, "train")
    whole, cut = (make_reader(the_recipe(max_depth=m)).load(item)["depth"] for m in (None, 80))
    assert whole[2, :2].tolist() == [0, pytest.approx(655.34)]
    np.testing.assert_array_equal(cut, np.where(whole <= 80, whole, 0))


def test_normals_of_a_road(tmp_path: Path) -> None:
    # 1.5 m under the camera: row v sees it at z = 1.5 f / (v - cy), with the recipe's camera at the size of the files.
    write_vkitti2(tmp_path / "src", variants=("clone",))
    rows, columns = 375, 1242
    frames = tmp_path / "src" / "Scene01" / "clone" / "frames"
    v = np.arange(rows)[:, None] + np.zeros((1, columns))
    z = np.where(v > 187 + 30, 1.5 * 725.0087 / np.maximum(v - 187, 1), 655.35)
    Image.fromarray(np.rint(z * 100).astype(np.uint16)).save(frames / "depth" / "Camera_0" / "depth_00000.png")
    Image.new("RGB", (columns, rows)).save(frames / "rgb" / "Camera_0" / "rgb_00000.jpg")
    Image.new("RGB", (columns, rows)).save(frames / "classSegmentation" / "Camera_0" / "classgt_00000.png")
    only = PrepareOptions(tasks=["normals"], splits=["train"])
    prepare(load_recipe("vkitti2"), tmp_path / "src", tmp_path / "data", only)
    normals = open_pack(tmp_path / "data", "vkitti2", "train").read(0)["normals"].astype(np.float64)
    assert normals.shape == (192, 640, 3)
    near = normals[150:188]  # the last rows see but half a window
    assert (near != 0).any(axis=-1).all()
    assert degrees_off(near, np.array([0.0, -1.0, 0.0])).max() < 0.5


def test_normals_of_a_close_wall_survive_rounding_to_centimetres(tmp_path: Path) -> None:
    # 3 m away a step of 1 cm is large beside the 4 mm of a pixel: only a wide enough fit averages it out.
    write_vkitti2(tmp_path / "src", variants=("clone",))
    rows, columns = 375, 1242
    frames = tmp_path / "src" / "Scene01" / "clone" / "frames"
    v, u = np.mgrid[:rows, :columns]
    ray = np.stack([(u - 620.5) / 725.0087, (v - 187) / 725.0087, np.ones((rows, columns))], axis=-1)
    normal = np.array([0.1, -0.7, -0.7]) / np.sqrt(0.99)
    z = -3.0 / (ray @ normal)
    z = np.where((z > 0) & (z < 30), z, 655.35)
    Image.fromarray(np.rint(z * 100).astype(np.uint16)).save(frames / "depth" / "Camera_0" / "depth_00000.png")
    Image.new("RGB", (columns, rows)).save(frames / "rgb" / "Camera_0" / "rgb_00000.jpg")
    only = PrepareOptions(tasks=["normals"], splits=["train"], size="native")
    prepare(load_recipe("vkitti2"), tmp_path / "src", tmp_path / "data", only)
    normals = open_pack(tmp_path / "data", "vkitti2", "train").read(0)["normals"].astype(np.float64)
    off = degrees_off(normals[(normals != 0).any(axis=-1)], normal)
    assert off.size > 0.9 * (z < 30).sum()
    assert np.median(off) < 0.3
    assert np.percentile(off, 95) < 1.2


def _save(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path)


def _one_strange(path: Path) -> None:
    picture = np.asarray(Image.open(path)).copy()
    picture[7, 9] = 90, 200, 254
    Image.fromarray(picture).save(path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("task", "spoil", "message"),
    [
        ("semseg", _one_strange, r"colour \(90, 200, 254\) \(in 1 of 4788 pixels\) is no class of Virtual KITTI 2"),
        ("semseg", _save(np.full((*SIZE, 3), 255, np.uint8)), r"colour \(255, 255, 255\) \(in 4788 of 4788"),
        ("semseg", _save(np.zeros(SIZE, np.uint8)), "picture of mode L, wanted the colours"),
        ("semseg", _save(np.zeros((10, 12, 3), np.uint8)), "label of 10x12 pixels, its image has 38x126"),
        ("semseg", _cut, "broken picture"),
        ("depth", _save(np.zeros(SIZE, np.uint8)), "8-bit depth, wanted the 16-bit PNG"),
        ("depth", _save(np.zeros((*SIZE, 3), np.uint8)), "picture of mode RGB, wanted one channel"),
        ("depth", _save(np.zeros((4, 4), np.uint16)), "label of 4x4 pixels"),
        ("depth", _cut, "broken picture"),
        ("image", _cut, "broken picture"),
        ("depth", Path.unlink, "no such file"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, task: str, spoil: Callable[[Path], None], message: str) -> None:
    write_vkitti2(tmp_path, variants=("clone",))
    reader = make_reader(the_recipe())
    [item] = reader.find(tmp_path, "train")
    spoil(item.paths[task])
    with pytest.raises(DataError, match=message) as caught:
        reader.load(item)
    assert str(item.paths[task]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folders SceneXX, here or one level below; wanted SceneXX/VARIANT"):
        make_reader(the_recipe()).find(tmp_path, "train")
    write_vkitti2(tmp_path, ("Scene01",), ("clone",))
    with pytest.raises(DataError, match=r"no frames for split 'val' in no scene .*found Scene01, of which Scene02, Sc"):
        make_reader(the_recipe()).find(tmp_path, "val")
    assert make_reader(the_recipe(optional_splits=["val"])).find(tmp_path, "val") == []
    with pytest.raises(ConfigError, match="split 'test', wanted train or val"):
        make_reader(the_recipe()).find(tmp_path, "test")
