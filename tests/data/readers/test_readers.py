from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import write_camvid, write_sevenscenes
from tests.data.readers.refusing import check_refusal
from vtadapt.data.readers.published.sevenscenes import DepthCamera, register_depth
from vtadapt.data.readers.raw.door import read_map
from vtadapt.data.readers.raw.picture import open_picture
from vtadapt.data.readers.raw.rgb import read_rgb
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import Intrinsics, load_recipe
from vtadapt.errors import ConfigError, DataError

IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def test_camvid_reads_labels_to_the_bit(tmp_path: Path) -> None:
    truth = write_camvid(tmp_path / "Cam Vid ü", {"train": 3, "val": 2})
    reader = pickle.loads(pickle.dumps(make_reader(load_recipe("camvid"))))
    items = reader.find(tmp_path / "Cam Vid ü", "val")
    assert [i.name for i in items] == ["val bücher 0", "val bücher 1"]
    assert reader.find(tmp_path / "Cam Vid ü", "test") == []
    for item in items:
        sample = reader.load(item)
        expected = np.where(truth[item.name] == 11, 255, truth[item.name])
        np.testing.assert_array_equal(sample["semseg"], expected)
        np.testing.assert_array_equal(sample["image"], np.asarray(Image.open(item.paths["image"])))


def test_camvid_may_be_a_folder_deeper(tmp_path: Path) -> None:
    write_camvid(tmp_path / "CamVid", {"train": 1})
    assert len(make_reader(load_recipe("camvid")).find(tmp_path, "train")) == 1


def _remove_split(root: Path) -> None:
    (root / "train").rename(root / "trains")


def _remove_annotations(root: Path) -> None:
    (root / "trainannot").rename(root / "other")


def _empty_split(root: Path) -> None:
    for path in (root / "train").iterdir():
        path.unlink()


def _duplicate(root: Path) -> None:
    Image.new("RGB", (32, 24)).save(root / "train" / "train bücher 1.jpg")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_remove_split, "train: no such folder; wanted one with pictures"),
        (_remove_annotations, "trainannot: no such folder"),
        (_empty_split, "no .png or .jpg pictures"),
        (_duplicate, "two pictures are named 'train bücher 1'"),
    ],
)
def test_camvid_finds_what_is_missing(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    write_camvid(tmp_path, {"train": 3})
    spoil(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        make_reader(load_recipe("camvid")).find(tmp_path, "train")
    assert "\n" not in str(caught.value)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def _text(path: Path) -> None:
    path.write_text("no picture")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_size(path: Path) -> None:
    Image.new("L", (10, 10)).save(path)


def _ids(path: Path) -> None:
    Image.fromarray(np.full((24, 32), 12, np.uint8)).save(path)


def _colours(path: Path) -> None:
    Image.new("RGB", (32, 24)).save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncated, "broken picture"),
        (_text, "broken picture"),
        (_empty, "broken picture"),
        (_other_size, "label of 10x10 pixels, its image has 24x32"),
        (_ids, r"label ids 12, wanted 0..10 or 11 \(void\)"),
        (_colours, "picture of mode RGB, wanted one channel"),
        (Path.unlink, "no such file"),
    ],
)
def test_broken_label_files_are_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    write_camvid(tmp_path, {"train": 1})
    check_refusal("camvid", tmp_path, message, spoil, "semseg")


def test_pictures_of_other_modes(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 40000, np.uint16)).save(tmp_path / "16.png")
    assert read_map(tmp_path / "16.png").dtype == np.uint16
    assert read_rgb(tmp_path / "16.png")[0, 0].tolist() == [156, 156, 156]
    palette = Image.fromarray(np.full((4, 5), 3, np.uint8), mode=None).convert("P")
    palette.putpalette([i // 3 for i in range(768)])
    palette.save(tmp_path / "p.png")
    assert read_map(tmp_path / "p.png")[0, 0] == 3
    Image.new("RGBA", (5, 4), (1, 2, 3, 0)).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png")[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", b"Exif\0\0?"]
)
def test_pictures_are_turned_upright(tmp_path: Path, exif: bytes) -> None:
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    wanted = np.rot90(stored, -1) if len(exif) > 10 else stored  # orientation 6: turned clockwise; else unreadable
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), wanted)


def test_broken_exif_says_nothing(tmp_path: Path) -> None:
    # A directory of 9 entries that ends after the first, the orientation: Pillow warns, which would be an error here.
    cut = b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f"
    stored = np.zeros((8, 16, 3), np.uint8)
    Image.fromarray(stored).save(tmp_path / "cut.jpg", exif=cut)
    Image.fromarray(stored).save(tmp_path / "none.jpg", exif=b"Exif\0\0nonsense, no TIFF")
    assert read_rgb(tmp_path / "cut.jpg").shape == (16, 8, 3)
    assert read_rgb(tmp_path / "none.jpg").shape == (8, 16, 3)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((4, 5), 0.5, np.float32), r"floating-point numbers \(mode F\), wanted 8 or 16 bits"),
        (np.full((4, 5), 70000, np.int32), r"32-bit numbers \(70000 to 70000\), wanted 8 or 16 bits"),
        (np.full((4, 5), -1, np.int32), r"32-bit numbers \(-1 to -1\), wanted 8 or 16 bits"),
    ],
)
def test_numbers_without_a_range_are_no_picture(tmp_path: Path, array: np.ndarray, said: str) -> None:
    Image.fromarray(array).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=rf"a\.tif: picture of {said}"):
        read_rgb(tmp_path / "a.tif")
    Image.fromarray(np.full((4, 5), 40000, np.int32)).save(tmp_path / "b.tif")
    assert read_rgb(tmp_path / "b.tif")[0, 0].tolist() == [156, 156, 156]


def test_drawings_are_not_handed_to_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("ran another program"))
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"
    (tmp_path / "drawing.png").write_bytes(text)
    with pytest.raises(DataError, match="drawing.png: EPS, whatever its name says; wanted a PNG"):
        open_picture(tmp_path / "drawing.png")


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="bomb.png: picture too large to be opened safely"):
        open_picture(tmp_path / "bomb.png")


def test_sevenscenes_reads_millimetres_and_both_holes(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path, 2)
    reader = make_reader(load_recipe("sevenscenes").with_options({"depth_camera": None}))
    items = reader.find(tmp_path, "train")
    assert [i.name for i in items] == ["seq-01/frame-000000", "seq-01/frame-000001"]
    assert [i.name for i in reader.find(tmp_path, "val")] == ["seq-02/frame-000000", "seq-02/frame-000001"]
    depth = reader.load(items[0])["depth"]
    assert depth[240, 320] == pytest.approx(2.0)
    assert not depth[100:120, 100:120].any()
    assert not depth[300:320, 300:320].any()
    assert (depth == 0).sum() == 800


def test_sevenscenes_lists_win_over_sequences(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path, 2)
    reader = make_reader(load_recipe("sevenscenes"))
    (tmp_path / "TrainSplit.txt").write_text("sequence2\n")
    assert {i.name[:6] for i in reader.find(tmp_path, "train")} == {"seq-02"}
    (tmp_path / "train.txt").write_text("seq-01/frame-000001\n\n")
    assert [i.name for i in reader.find(tmp_path, "train")] == ["seq-01/frame-000001"]
    (tmp_path / "train.txt").write_bytes(b"seq-01/fr\xe4me\n")
    with pytest.raises(DataError, match="train.txt: cannot be read as UTF-8 text"):
        reader.find(tmp_path, "train")
    (tmp_path / "TestSplit.txt").write_bytes(b"sequence\xff2\n")
    with pytest.raises(DataError, match="TestSplit.txt: cannot be read as UTF-8 text"):
        reader.find(tmp_path, "val")


def test_sevenscenes_frames_that_lack_a_picture_are_seen(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path, 2)
    (tmp_path / "seq-01" / "frame-000000.depth.png").unlink()
    (tmp_path / "seq-01" / "frame-000001.color.png").unlink()
    items = make_reader(load_recipe("sevenscenes")).find(tmp_path, "train")
    assert [i.name for i in items] == ["seq-01/frame-000000", "seq-01/frame-000001"]


def test_sevenscenes_refuses_8_bit_depth_and_one_lone_sequence(tmp_path: Path) -> None:
    write_sevenscenes(tmp_path, 1)
    reader = make_reader(load_recipe("sevenscenes"))
    item = reader.find(tmp_path, "train")[0]
    Image.new("L", (640, 480), 9).save(item.paths["depth"])
    with pytest.raises(DataError, match="depth.png: 8-bit depth, wanted 16-bit millimetres"):
        reader.load(item)
    (tmp_path / "seq-02").rename(tmp_path / "other")
    with pytest.raises(DataError, match="found 1 seq-XX folders and no train.txt"):
        reader.find(tmp_path, "train")


def test_registered_depth_lies_where_the_colour_camera_sees_it() -> None:
    colour = Intrinsics(fx=90, fy=90, cx=49.5, cy=39.5, width=100, height=80)
    far = np.full((80, 100), 4.0, np.float32)
    far[30:50, 40:60] = 2.0
    camera = DepthCamera(focal=100, cx=49.5, cy=39.5, rotation=IDENTITY, translation=(0.1, 0.0, 0.0))
    moved = register_depth(far, camera, colour, "x.png")
    near = np.nonzero(moved == 2.0)
    # u' = (u - cx) 90 / 100 + 90 * 0.1 / z + cx, in front of what lies behind it
    assert (near[1].min(), near[1].max()) == (round(-9.5 * 0.9 + 4.5 + 49.5), round(9.5 * 0.9 + 4.5 + 49.5))
    assert (near[0].min(), near[0].max()) == (round(-9.5 * 0.9 + 39.5), round(9.5 * 0.9 + 39.5))
    assert not moved[:, :5].any()
    same = DepthCamera(focal=90, cx=49.5, cy=39.5, rotation=IDENTITY, translation=(0.0, 0.0, 0.0))
    np.testing.assert_array_equal(register_depth(far, same, colour, "x.png"), far)
    with pytest.raises(DataError, match="x.png: depth of 80x100, wanted 40x50"):
        register_depth(far, same, colour.resized(40, 50), "x.png")


def test_rooms_are_rendered_from_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def render_room(seed: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
        calls.append((seed, size))
        return {"image": np.zeros((*size, 3), np.uint8), "depth": np.ones(size, np.float32), "albedo": np.ones(size)}

    stub = types.ModuleType("vtadapt.synthetic.rooms.rooms")
    stub.render_room = render_room  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vtadapt.synthetic.rooms.rooms", stub)
    recipe = load_recipe("rooms")
    reader = make_reader(recipe, (32, 48))
    train, val = reader.find(None, "train"), reader.find(None, "val")
    assert (len(train), len(val)) == (1600, 250)
    assert not {i.seed for i in train} & {i.seed for i in val}
    assert set(reader.load(val[0])) == {"image", "depth"}
    make_reader(recipe).load(train[1])
    assert calls == [(val[0].seed, (32, 48)), (train[1].seed, (128, 128))]
    with pytest.raises(ConfigError, match="the seeds of 'train' and 'val' overlap"):
        make_reader(recipe.with_options({"first_seed": {"train": 0, "val": 1599}}))


def test_real_sets_are_found_and_load(shared_data: Path) -> None:
    for name, split, count in (("camvid", "train", 367), ("camvid", "val", 101), ("sevenscenes", "val", 20)):
        reader = make_reader(load_recipe(name))
        items = reader.find(shared_data / name, split)
        assert len(items) == count
        assert reader.load(items[-1])["image"].dtype == np.uint8
