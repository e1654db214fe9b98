from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtadapt.errors import DataError
from vtadapt.tasks import make_task
from vtadapt.tasks.colour.palette import class_palette
from vtadapt.tasks.colour.void import STRIPES
from vtadapt.viz.keys import legend
from vtadapt.viz.panels import MARGIN, MAX_HEIGHT, Cell, panel, save_png

RED = (201, 13, 57)


def plain(height: int, width: int, colour: tuple[int, int, int] = RED, **fields: object) -> Cell:
    return Cell(np.full((height, width, 3), colour, np.uint8), **fields)


def extent(page: np.ndarray, colour: tuple[int, int, int] = RED) -> tuple[int, int, int, int]:
    """Top, left, height and width of the box around all pixels of a colour."""
    rows, columns = np.nonzero((page == colour).all(-1))
    return rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1


def is_picture(page: np.ndarray) -> bool:
    return page.dtype == np.uint8 and page.ndim == 3 and page.shape[2] == 3 and page.flags.writeable


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((128, 128), (256, 256)),  # small: a whole factor
        ((33, 40), (198, 240)),
        ((360, 480), (360, 480)),  # left as it is
        ((3000, 4000), (480, 640)),
        ((4000, 3000), (480, 360)),
        ((1, 1), (192, 192)),
        ((33, 517), (41, 640)),  # too wide for the usual height
        ((517, 33), (480, 31)),
        ((375, 1242), (226, 750)),
    ],
)
@pytest.mark.parametrize("smooth", [True, False])
def test_pictures_are_scaled_to_be_legible(shape, shown, smooth):
    page = panel([[plain(*shape, smooth=smooth, caption="a", note="b")]])
    assert is_picture(page)
    assert extent(page)[2:] == shown


def test_all_cells_of_a_panel_have_one_height_and_even_gutters():
    colours = class_palette(3)
    page = panel([[plain(120, 160, colours[0]), plain(60, 60, colours[1]), plain(480, 320, colours[2])]])
    boxes = [extent(page, colour) for colour in colours]
    assert {box[0] for box in boxes} == {boxes[0][0]}
    assert {box[2] for box in boxes} == {480}
    ends = [box[1] + box[3] for box in boxes]
    assert boxes[1][1] - ends[0] == boxes[2][1] - ends[1] > 0


def test_nearest_cells_keep_every_colour_and_pixel_at_a_whole_factor():
    labels = np.random.default_rng(0).integers(0, 12, (64, 96))
    rgb = np.array(class_palette(12), np.uint8)[labels]
    page = panel([[Cell(rgb, smooth=False)]])
    top, left = MARGIN + 1, MARGIN + 1
    shown = page[top : top + 192, left : left + 288]
    np.testing.assert_array_equal(shown, rgb.repeat(3, axis=0).repeat(3, axis=1))


def test_nearest_cells_gain_no_colour_at_any_factor():
    rgb = np.array(class_palette(5), np.uint8)[np.random.default_rng(1).integers(0, 5, (700, 900))]
    page = panel([[Cell(rgb, smooth=False)]])
    top, left, height, width = MARGIN + 1, MARGIN + 1, 480, 617
    shown = {tuple(colour) for colour in page[top : top + height, left : left + width].reshape(-1, 3)}
    assert shown == set(class_palette(5))


def test_smooth_cells_are_interpolated():
    checks = np.indices((8, 8)).sum(0) % 2 * 255
    cell = Cell(np.repeat(checks[..., None], 3, -1).astype(np.uint8))
    assert len(np.unique(panel([[cell]], cell_height=192)[MARGIN + 1 : MARGIN + 193, MARGIN + 1 : MARGIN + 193])) > 50


def test_a_panel_of_many_columns_stays_near_the_page_width():
    narrow = panel([[plain(480, 640)] * 3])
    wide = panel([[plain(480, 640)] * 8])
    assert narrow.shape[1] < wide.shape[1] < 2600
    assert extent(wide)[2] < extent(narrow)[2]


def test_captions_notes_titles_and_footers_take_room_and_leave_the_picture_alone():
    bare = panel([[plain(200, 300)]])
    full = panel(
        [[plain(200, 300, caption="depth", note="0.8 .. 6.2 m")]],
        row_titles=["sample 1"],
        title="Title",
        footer="small print",
    )
    assert full.shape[0] > bare.shape[0] + 60
    assert full.shape[1] > bare.shape[1]
    assert extent(full)[2:] == extent(bare)[2:] == (200, 300)
    assert (bare[:MARGIN] == 255).all()


def test_missing_cells_keep_their_place():
    whole = panel([[plain(200, 200), plain(200, 200)], [plain(200, 200), plain(200, 200)]])
    holed = panel([[plain(200, 200), None], [None, plain(200, 200)]])
    assert holed.shape == whole.shape
    place = holed[MARGIN + 1 : MARGIN + 201, MARGIN + 1 + 220 : MARGIN + 1 + 400]
    assert {tuple(c) for c in place[:40].reshape(-1, 3).tolist()} == set(STRIPES)
    assert (place[80:120] == 255).all(-1).any()  # it says "no label", on paper


def test_rows_of_missing_cells_and_short_rows_are_drawn():
    page = panel([[plain(128, 128)], [None, None], []], row_titles=["a", "b"])
    assert is_picture(page)


@pytest.mark.parametrize(
    "text", ["日本語 and русский", "Ärger — naïve ≤ 5 µm", "\t", "two\nlines", "e" * 400, "مرحبا", "🙂"]
)
def test_any_text_can_be_drawn(text):
    page = panel([[plain(64, 64, caption=text, note=text)]], title=text, footer=text, row_titles=[text])
    assert is_picture(page)
    assert page.shape[1] < 800


def test_text_changes_what_is_drawn():
    assert not np.array_equal(panel([[plain(64, 64, caption="a")]]), panel([[plain(64, 64, caption="b")]]))


def test_panels_are_deterministic():
    def draw() -> np.ndarray:
        image = np.random.default_rng(3).integers(0, 256, (90, 130, 3), dtype=np.uint8)
        return panel([[Cell(image, "image", "note"), None]], row_titles=["x"], title="t", footer="f")

    np.testing.assert_array_equal(draw(), draw())


def test_strips_are_drawn_below_the_grid():
    names, colours = ("sky", "road"), class_palette(2)
    page = panel([[plain(200, 300)]], strips=[functools.partial(legend, names, colours)])
    top, left, height, width = extent(page, colours[1])
    assert (height, width) == (15, 15)
    assert top > extent(page)[0] + 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": []}, "at least one Cell"),
        ({"rows": [[None]]}, "at least one Cell"),
        ({"rows": [[plain(5, 5)]], "row_titles": ["a", "b"]}, "row_titles"),
        ({"rows": [[plain(5, 5)]], "cell_height": 0}, "cell_height"),
    ],
)
def test_panel_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        panel(**arguments)


@pytest.mark.parametrize("rgb", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_cells_are_uint8_pictures(rgb):
    with pytest.raises(ValueError, match="uint8 and not empty"):
        Cell(rgb)


def test_save_png_writes_what_it_was_given(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = save_png(tmp_path / "new" / "a.png", rgb)
    assert path == tmp_path / "new" / "a.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), rgb)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_save_png_never_leaves_half_a_picture(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.png"
    save_png(path, np.zeros((4, 4, 3), np.uint8))
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(DataError, match=r"no space left on the disk while writing .*a\.png; free some"):
        save_png(path, np.full((900, 900, 3), 255, np.uint8))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_save_png_stopped_by_the_user_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cv2.imencode", stop)
    with pytest.raises(KeyboardInterrupt):
        save_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_save_png_to_an_impossible_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for target in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(DataError, match="cannot write") as caught:
            save_png(target, np.zeros((4, 4, 3), np.uint8))
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_real_photographs_with_labels(shared_data: Path, tmp_path):
    folder = shared_data / "camvid"
    rows = []
    for path in sorted((folder / "val").iterdir())[:2]:
        image = np.asarray(Image.open(path).convert("RGB"))
        labels = np.asarray(Image.open(folder / "valannot" / f"{path.stem}.png"))
        colours = make_task("semseg", "classes", num_classes=11).colour(np.where(labels > 10, 255, labels))
        rows.append([Cell(image, "image"), Cell(colours, "semseg", smooth=False)])
    page = panel(rows, title="CamVid")
    assert MAX_HEIGHT < page.shape[0] < 1000
    assert save_png(tmp_path / "camvid.png", page).stat().st_size > 100_000
