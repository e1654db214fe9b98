from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vtadapt.tasks.colour.palette import class_palette
from vtadapt.tasks.colour.void import STRIPES
from vtadapt.viz.contact.key import (
    ALARM,
    CLASSES,
    DIRECTIONS,
    FORBIDDEN,
    class_key,
    colour_word,
    direction_key,
    framed,
    scale_key,
    sign_key,
)
from vtadapt.viz.contact.sheet import WIDTH, Column, Row, Shown, data_sheet, layout
from vtadapt.viz.keys import legend

RED = (201, 13, 57)
BLUE = (20, 40, 210)


def paint(vectors: np.ndarray) -> np.ndarray:
    """x right, y up, z to the viewer, as the field colours normals."""
    return np.rint((vectors * np.array([1, -1, -1]) + 1) / 2 * 255).astype(np.uint8)


def plain(height: int, width: int, colour: tuple[int, int, int] = RED, **fields: Any) -> Shown:
    return Shown(np.full((height, width, 3), colour, np.uint8), **fields)


def count(page: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((page == np.array(colour)).all(-1).sum())


def extent(page: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the box around all pixels of a colour."""
    rows, columns = np.nonzero((page == np.array(colour)).all(-1))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def sheet(*shown: Shown | None, **options: Any) -> np.ndarray:
    columns = [Column(f"c{i}") for i in range(len(shown))]
    return data_sheet(columns, [Row("train", "a", shown)], **options)


def test_pictures_are_scaled_whole_and_keep_their_shape() -> None:
    page = sheet(plain(64, 96), plain(64, 96, BLUE))
    assert extent(page, RED) == extent(page, BLUE) == (320, 480)
    assert extent(sheet(plain(2048, 1024)), RED) == (320, 160)


def test_missing_pixels_are_striped_and_forbidden_ones_magenta() -> None:
    missing, forbidden = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    missing[:16], forbidden[48:] = True, True
    bare = sheet(plain(64, 64))
    assert count(bare, FORBIDDEN) == count(bare, STRIPES[1]) == 0
    page = sheet(plain(64, 64, missing=missing, forbidden=forbidden))
    assert count(page, RED) == 320 * 160
    assert count(page, FORBIDDEN) == 320 * 80 + 15 * 45  # and the chip that names it
    assert count(page, STRIPES[0]) + count(page, STRIPES[1]) >= 320 * 80


def test_a_label_that_is_not_there_keeps_its_place() -> None:
    page = sheet(plain(64, 64), None)
    assert count(page, STRIPES[1]) > 30_000
    with pytest.raises(ValueError, match="at least one picture"):
        sheet(None, None)


def test_an_alarm_frames_the_picture_in_red() -> None:
    calm, loud = sheet(plain(64, 64)), sheet(plain(64, 64, alarm="62 degrees off the depth; 8 with y negated"))
    assert count(calm, ALARM) == 0
    assert extent(loud, ALARM) == (320, 320)
    assert count(loud, ALARM) > 4 * 5 * 300
    assert count(loud, (255, 255, 255)) > 100
    tiny = framed(np.zeros((10, 10, 3), np.uint8), "words that never fit")
    assert tiny.shape == (10, 10, 3)


@pytest.mark.parametrize("tasks", [0, 1, 4, 12])
@pytest.mark.parametrize("shape", [(64, 64), (480, 640), (640, 480), (1024, 2048), (375, 1242), (100, 3000)])
def test_the_page_stays_narrow_and_pictures_readable(tasks: int, shape: tuple[int, int]) -> None:
    columns = [Column(f"a task with a name {i}", "0.123 .. 45.6 m, derived") for i in range(tasks + 1)]
    rows = [Row("val", "aachen/aachen_000000_000019_leftImg8bit", [plain(*shape) for _ in columns])]
    page = data_sheet(columns, rows, title="Title", footer="footer")
    assert 300 < page.shape[1] <= WIDTH
    lines, height, width = layout(columns, rows)
    assert sorted(j for line in lines for j in line) == list(range(tasks + 1))
    assert height * min(width, height * shape[1] / shape[0]) > 100 * 100


def test_a_panorama_among_photographs_does_not_shrink_them() -> None:
    columns = [Column("image"), Column("depth")]
    photographs = [Row("t", str(i), [plain(480, 640), plain(480, 640)]) for i in range(3)]
    wide = Row("t", "wide", [plain(375, 1242, BLUE), plain(375, 1242, BLUE)])
    assert layout(columns, [*photographs, wide])[1] == layout(columns, photographs)[1] == 320
    page = data_sheet(columns, [*photographs, wide])
    height, width = extent(page, BLUE)
    assert height < 200
    assert width <= WIDTH


def test_names_of_any_length_and_alphabet() -> None:
    for name in ("", "a", "x" * 300, "Straße/日本 7", "seq-01/frame-000123", "a_b" * 50):
        page = data_sheet([Column("image")], [Row("train", name, [plain(32, 32)])])
        assert page.shape[1] < 700


def test_rows_must_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="sample 'a' has 1 pictures for 2 columns"):
        data_sheet([Column("a"), Column("b")], [Row("t", "a", [plain(4, 4)])])


@pytest.mark.parametrize(
    ("colour", "word"),
    [
        ((128, 255, 128), "light green"),
        ((128, 128, 255), "lavender"),
        ((128, 0, 128), "purple"),
        ((0, 128, 128), "teal"),
        ((255, 128, 128), "pink"),
        ((3, 2, 5), "black"),
        ((250, 250, 250), "white"),
    ],
)
def test_colours_have_common_names(colour: tuple[int, int, int], word: str) -> None:
    assert colour_word(colour) == word


def test_the_sphere_shows_each_direction_where_it_is() -> None:
    seen: list[np.ndarray] = []

    def remember(vectors: np.ndarray) -> np.ndarray:
        seen.append(vectors)
        return paint(vectors)

    key = direction_key("normals", remember, 900)
    sphere = next(v for v in seen if v.shape[0] > 100)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=-1), 1, atol=1e-5)
    assert (sphere[..., 2] <= 0).all()  # all of it is seen
    middle = sphere.shape[0] // 2
    assert sphere[3, middle, 1] < -0.9  # the top faces up, and +y is down
    assert sphere[-4, middle, 1] > 0.9
    assert sphere[middle, 3, 0] < -0.9
    assert sphere[middle, -4, 0] > 0.9
    for _, _, vector in DIRECTIONS[:5]:
        colour = tuple(int(c) for c in paint(np.array(vector)))
        assert count(key, colour) >= 15 * 15  # its chip


def test_a_key_drawn_with_a_flipped_axis_differs() -> None:
    flipped = direction_key("normals", lambda v: paint(v * np.array([1, -1, 1])), 900)
    as_it_is = direction_key("normals", paint, 900)
    rows = min(flipped.shape[0], as_it_is.shape[0])
    columns = min(flipped.shape[1], as_it_is.shape[1])
    assert (flipped[:rows, :columns] != as_it_is[:rows, :columns]).any(-1).mean() > 0.1


def test_of_many_classes_only_the_first_are_named() -> None:
    colours = class_palette(200)
    picture = class_key("semseg", [(f"class {i}", c) for i, c in enumerate(colours)], 695, 1500)
    assert picture.shape[1] <= 1500
    for colour in colours[:CLASSES]:
        assert count(picture, colour) >= 15 * 15
    assert all(count(picture, colour) == 0 for colour in colours[CLASSES:])
    exact = class_key("semseg", [("a", RED)], 0, 1500)
    more = class_key("semseg", [("a", RED)], 3, 1500)
    assert more.shape[0] > exact.shape[0]  # a line that says how many more
    assert legend(["a"], [RED], 1500).shape[0] < exact.shape[0]


def test_columns_bring_their_keys() -> None:
    grey = lambda values: np.repeat((values * 25).astype(np.uint8)[..., None], 3, axis=-1)  # noqa: E731
    row = [Row("train", "a", [plain(128, 128), plain(128, 128), plain(128, 128)])]
    bare = data_sheet([Column("a"), Column("b"), Column("c")], row)
    columns = [
        Column("a", classes=[("road", BLUE)]),
        Column("b", scale=(grey, (1.0, 10.0), "m")),
        Column("c", directions=paint),
    ]
    page = data_sheet(columns, row)
    assert extent(page, BLUE) == (15, 15)
    assert count(page, (128, 255, 128)) >= 15 * 15
    assert page.shape[0] > bare.shape[0] + 200
    assert page.shape[1] <= WIDTH
    bar = scale_key("depth", grey, (1.0, 10.0), "m")
    assert (bar == 250).all(-1).sum() >= 15


def test_signs_are_only_explained_where_they_occur() -> None:
    assert count(sign_key(missing=True, forbidden=False, width=500), FORBIDDEN) == 0
    assert count(sign_key(missing=True, forbidden=True, width=500), FORBIDDEN) == 15 * 45


def test_smooth_columns_are_interpolated_and_others_gain_no_colour() -> None:
    checks = np.repeat((np.indices((50, 50)).sum(0) % 2 * 255)[..., None], 3, -1).astype(np.uint8)
    row = [Row("t", "a", [Shown(checks)])]
    crisp = data_sheet([Column("x")], row)[200:300, 100:200]
    smooth = data_sheet([Column("x", smooth=True)], row)[200:300, 100:200]
    assert len(np.unique(crisp)) == 2
    assert len(np.unique(smooth)) > 8
