from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from tests.data.formats.nyuv2 import CLASSES, Sample, write_nyuv2
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.readers.published.nyuv2 import nyu_ids, nyu_tables
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError, DataError

NAME = "nyu_depth_v2_labeled.mat"
FIRST = (1, 2, 3, 4)  # 3 and 4 are the first of the official training split, 1 and 2 of the test split


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Sample]]:
    folder = tmp_path_factory.mktemp("NYU v2 ü")
    return folder, write_nyuv2(folder / NAME, FIRST)


def test_the_table_is_the_published_one() -> None:
    tables = nyu_tables()
    train, test = tables["train"], tables["test"]
    assert (len(train), train[:7], len(set(train))) == (795, [3, 4, 5, 6, 7, 8, 10], 795)
    assert (len(test), test[:5]) == (654, [1, 2, 9, 14, 15])
    assert sorted(train + test) == list(range(1, 1450))
    for number, (fortieth, thirteenth) in CLASSES.items():
        assert nyu_ids("nyu40").get(number) == fortieth
        assert nyu_ids("nyu13").get(number) == thirteenth
    recipe = load_recipe("nyuv2")
    assert {key: len(known.classes) for key, known in recipe.label_sets.items()} == {
        "nyu13": 13,
        "nyu40": 40,
        "nyu894": 895,  # with the reserved one
    }
    assert recipe.label_sets["nyu13"].classes == load_recipe("rooms").tasks["semseg"].classes
    thirteen = {c: recipe.class_maps["nyu40>nyu13"][c] for c in recipe.label_sets["nyu40"].classes}
    assert all(thirteen[nyu_ids("nyu40")[n]] == nyu_ids("nyu13")[n] for n in range(1, 895))


def expected(labels: np.ndarray, label_set: str) -> np.ndarray:
    """Positions in the lists of classes, void = 255, from the mapping of the generator."""
    recipe = load_recipe("nyuv2")
    names = list(recipe.label_sets[label_set].classes)
    result = np.full(labels.shape, 255, np.uint16)
    for number, (fortieth, thirteenth) in CLASSES.items():
        if number:
            name = {"nyu13": thirteenth, "nyu40": fortieth}.get(label_set)
            result[labels == number] = number - (number < 256) if name is None else names.index(name)
    return result


@pytest.mark.parametrize("label_set", ["nyu13", "nyu40", "nyu894"])
def test_the_pack_holds_what_matlab_shows(
    published: tuple[Path, dict[int, Sample]], tmp_path: Path, label_set: str
) -> None:
    folder, truth = published
    count = 2 if label_set == "nyu13" else 1
    options = PrepareOptions(size="native", limit=count, label_set=label_set, tasks=["semseg", "depth"])
    prepare(load_recipe("nyuv2"), folder / NAME, tmp_path, options)
    for split, numbers in (("train", (3, 4)), ("val", (1, 2))):
        pack = open_pack(tmp_path, "nyuv2", split)
        assert pack.names == [f"{n:04d}" for n in numbers[:count]]
        for i, number in enumerate(numbers[:count]):
            sample = pack.read(i)
            np.testing.assert_array_equal(sample["image"], truth[number].image)
            np.testing.assert_array_equal(sample["semseg"], expected(truth[number].labels, label_set))
            assert sample["semseg"].dtype == (np.uint16 if label_set == "nyu894" else np.uint8)
            np.testing.assert_array_equal(sample["depth"], truth[number].depth)


def test_normals_fit_the_plane_also_where_it_is_cropped(
    published: tuple[Path, dict[int, Sample]], tmp_path: Path
) -> None:
    folder, truth = published
    for crop, (rows, columns) in {
        "border": (slice(5, 478), slice(7, 636)),
        "eigen": (slice(45, 471), slice(41, 601)),
    }.items():
        options = PrepareOptions(
            size="native", limit=1, splits=["val"], tasks=["depth", "normals"], reader={"crop": crop}
        )
        prepare(load_recipe("nyuv2"), folder, tmp_path / crop, options)
        sample = open_pack(tmp_path / crop, "nyuv2", "val").read(0)
        np.testing.assert_array_equal(sample["image"], truth[1].image[rows, columns])
        np.testing.assert_array_equal(sample["depth"], truth[1].depth[rows, columns])
        plane = np.array([0.36, -0.48, 0.8])
        known = (sample["normals"] != 0).any(axis=-1)
        assert known.mean() > 0.9
        chord = np.linalg.norm(sample["normals"][known].astype(float) + plane, axis=-1)  # it faces the camera
        assert np.degrees(2 * np.arcsin(chord / 2)).max() < 0.1


def test_the_camera_moves_with_the_crop(published: tuple[Path, dict[int, Sample]]) -> None:
    reader = make_reader(load_recipe("nyuv2").with_options({"crop": "eigen"}))
    camera = reader.camera(reader.find(published[0], "val")[0], (426, 560))
    assert camera is not None
    assert (camera.fx, camera.width, camera.height) == (518.86, 560, 426)
    assert (camera.cx, camera.cy) == pytest.approx((325.58 - 41, 253.74 - 45))
    half = reader.camera(reader.find(published[0], "val")[0], (213, 280))
    assert half is not None
    assert half.fx == pytest.approx(518.86 / 2)


def test_raw_depth_keeps_its_holes_and_only_what_is_wanted_is_read(
    published: tuple[Path, dict[int, Sample]],
) -> None:
    folder, truth = published
    recipe = load_recipe("nyuv2").with_options({"depth": "raw"})
    reader = pickle.loads(pickle.dumps(make_reader(recipe, tasks=["depth"])))
    items = reader.find(folder, "train")
    assert (len(items), items[0].name, items[0].index) == (795, "0003", 2)
    assert len(reader.find(folder, "val")) == len(reader.find(folder, "test")) == 654
    sample = pickle.loads(pickle.dumps(reader)).load(items[0])
    assert set(sample) == {"image", "depth"}
    np.testing.assert_array_equal(sample["depth"], truth[3].raw)
    assert 0.15 < (sample["depth"] == 0).mean() < 0.25


def test_scenes_can_be_chosen(published: tuple[Path, dict[int, Sample]]) -> None:
    reader = make_reader(load_recipe("nyuv2").with_options({"scene_types": ["bedroom"]}))
    numbers = [int(item.name) for item in reader.find(published[0], "val")]
    assert numbers
    assert all(n % 3 == 1 for n in numbers)
    other = make_reader(load_recipe("nyuv2").with_options({"scene_types": ["garage"]}))
    with pytest.raises(DataError, match="no scene of type 'garage'.*it has bedroom, kitchen, living_room"):
        other.find(published[0], "val")


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _version_5(path: Path) -> None:
    scipy.io.savemat(path, {"images": np.zeros((4, 4))})


def _text(path: Path) -> None:
    path.write_text("<html>503 Service Unavailable</html>")


def _without(name: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file[name]

    return spoil


def _depths(count: int, rows: int, columns: int, dtype: type) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file["depths"]
            file.create_dataset("depths", (count, rows, columns), dtype, chunks=(1, rows, columns))

    return spoil


def _other_names(path: Path) -> None:
    with h5py.File(path, "a") as file:
        reference = file["names"][0, 4]
        file[reference][0, 0] = ord("C")


def _elsewhere(path: Path) -> None:
    path.with_suffix(".secret").write_text("root:x:0")
    with h5py.File(path, "a") as file:
        del file["depths"]
        shape = (1449, 640, 480)
        file.create_dataset("depths", shape, "f4", external=[(path.with_suffix(".secret"), 0, 4 * 1449 * 640 * 480)])


def _virtual(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["depths"]
        shape = (1449, 640, 480)
        layout = h5py.VirtualLayout(shape, "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape)
        file.create_virtual_dataset("depths", layout)


def _soft(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["depths"]
        file["depths"] = h5py.SoftLink("/rawDepths")


def _letters_elsewhere(path: Path) -> None:
    path.with_suffix(".secret").write_text("root:x:0")
    with h5py.File(path, "a") as file:
        file.create_dataset("x", (4, 1), "u2", external=[(path.with_suffix(".secret"), 0, 8)])
        file["names"][0, 0] = file["x"].ref


def _names_as_numbers(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["names"]
        file["names"] = np.arange(894.0).reshape(1, -1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_halve, r"cut short after \d+ bytes; wanted .*2972037809 bytes.*download it again"),
        (_version_5, "a MATLAB v5 file; wanted .*v7.3"),
        (_text, "no HDF5 file of 36 bytes"),
        (Path.unlink, "no such file"),
        (_without("labels"), "has no 'labels' .it has #refs#, depths"),
        (_without("images"), "has no 'images'"),
        (_depths(1449, 480, 640, np.float32), r"depths is \(1449, 480, 640\), wanted \(1449, 640, 480\).*turned round"),
        (_depths(100, 640, 480, np.float32), "depths has 100 samples, images has 1449"),
        (_depths(1449, 640, 480, np.uint16), "depths holds uint16, wanted .*float depths"),
        (_other_names, "its 894 class names are not the 894 of NYUv2"),
        (_elsewhere, r"'depths' keeps its numbers in other files .*secret"),
        (_virtual, "'depths' is a virtual dataset"),
        (_soft, "'depths' is a soft link, which is not followed"),
        (_letters_elsewhere, "'what a reference points to' keeps its numbers in other files"),
        (_names_as_numbers, "names is no cell array of texts"),
    ],
)
def test_other_files_are_told_apart(
    published: tuple[Path, dict[int, Sample]], tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / NAME
    shutil.copy(published[0] / NAME, path)
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        make_reader(load_recipe("nyuv2")).find(path, "train")
    assert NAME in str(caught.value)
    assert "\n" not in str(caught.value)


def _label_895(file: h5py.File) -> None:
    file["labels"][2, 0, 0] = 895


def _negative(file: h5py.File) -> None:
    file["depths"][2, 0, 0] = -1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_label_895, r"sample 0003: label ids 895, wanted 0..894"), (_negative, r"sample 0003: negative distance -1")],
)
def test_wrong_values_name_file_and_sample(
    published: tuple[Path, dict[int, Sample]], tmp_path: Path, spoil: Callable[[h5py.File], None], message: str
) -> None:
    shutil.copy(published[0] / NAME, tmp_path / NAME)
    with h5py.File(tmp_path / NAME, "a") as file:
        spoil(file)
    reader = make_reader(load_recipe("nyuv2"))
    item = reader.find(tmp_path, "train")[0]
    with pytest.raises(DataError, match=message) as caught:
        reader.load(item)
    assert NAME in str(caught.value)


def test_damage_inside_of_the_file_is_named(published: tuple[Path, dict[int, Sample]], tmp_path: Path) -> None:
    shutil.copy(published[0] / NAME, tmp_path / NAME)
    with h5py.File(tmp_path / NAME, "r") as file:
        chunk = file["images"].id.get_chunk_info_by_coord((2, 0, 0, 0))
    with (tmp_path / NAME).open("r+b") as stream:
        stream.seek(chunk.byte_offset + 1000)
        stream.write(bytes(chunk.size - 1000))
    reader = make_reader(load_recipe("nyuv2"))
    with pytest.raises(DataError, match=r"images\[2\] cannot be read"):
        reader.load(reader.find(tmp_path, "train")[0])


def test_a_part_of_the_set_is_only_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    write_nyuv2(tmp_path / "sub" / NAME, (), count=10)
    with pytest.raises(DataError, match=r"10 samples, wanted the 1449.*allow_partial"):
        make_reader(load_recipe("nyuv2")).find(tmp_path, "train")
    reader = make_reader(load_recipe("nyuv2").with_options({"allow_partial": True}))
    assert [i.name for i in reader.find(tmp_path, "val")] == ["0001", "0002", "0009"]
    (tmp_path / "sub" / NAME).unlink()
    with pytest.raises(DataError, match=f"no {NAME} here or one level below"):
        reader.find(tmp_path, "val")


def test_a_label_set_of_ones_own_needs_its_numbers() -> None:
    recipe = load_recipe("nyuv2")
    own = recipe.label_sets["nyu13"].model_copy()
    task = recipe.tasks["semseg"].model_copy(update={"label_set": "mine"})
    changed = recipe.model_copy(update={"label_sets": {"mine": own}, "tasks": {**recipe.tasks, "semseg": task}})
    with pytest.raises(ConfigError, match="label set 'mine' has no 'ids'"):
        make_reader(changed)
