from __future__ import annotations

import numpy as np
import pytest
import torch

from vtadapt.viz import palette
from vtadapt.viz.palette import class_palette, colour_labels, colour_table, colour_values, overlay, to_rgb


def test_class_palette_is_fixed_and_distinct():
    # Golden: the first colours are part of every published picture.
    assert class_palette(4) == ((66, 105, 178), (238, 147, 57), (76, 158, 88), (202, 67, 71))
    assert len(set(class_palette(255))) == 255
    assert class_palette(0) == ()


@pytest.mark.parametrize(("count", "least"), [(13, 25), (40, 20), (255, 10)])
def test_class_colours_are_far_apart_to_the_eye(count, least):
    lab = palette._lab(np.array(class_palette(count), dtype=np.uint8)).astype(float)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert distance[~np.eye(count, dtype=bool)].min() >= least


def test_a_longer_palette_starts_with_the_shorter():
    assert class_palette(200)[:40] == class_palette(40)


@pytest.mark.parametrize("count", [-1, 256])
def test_class_palette_refuses_impossible_counts(count):
    with pytest.raises(ValueError, match=r"0\.\.255"):
        class_palette(count)


@pytest.mark.parametrize("name", sorted(palette.COLOUR_MAPS))
def test_no_map_contains_the_colour_of_missing_values(name):
    table = colour_table(name)
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    assert not (table == palette.MISSING).all(1).any()


def test_colour_table_is_rgb():
    # Published ends of viridis: dark violet (more blue than red) to yellow (more red than blue).
    first, last = colour_table("viridis")[[0, 255]].astype(int)
    np.testing.assert_allclose(first, [68, 1, 84], atol=3)
    np.testing.assert_allclose(last, [253, 231, 37], atol=3)


def test_unknown_map_names_the_choices():
    with pytest.raises(ValueError, match="viridis.*found 'jet'"):
        colour_table("jet")


def test_colour_values_spans_the_range_and_clips():
    table = colour_table("magma")
    rgb = colour_values(np.array([[0.0, 5.0, 10.0, -3.0, 99.0]]), lo=0, hi=10, name="magma")
    np.testing.assert_array_equal(rgb[0], table[[0, 128, 255, 0, 255]])


def test_colour_values_greys_what_is_missing_and_leaves_it_out_of_the_range():
    values = torch.tensor([[float("nan"), 1.0, 3.0, 1000.0]])
    rgb = colour_values(values, valid=torch.tensor([[True, True, True, False]]))
    table = colour_table()
    np.testing.assert_array_equal(rgb[0], [palette.MISSING, table[0], table[255], palette.MISSING])


@pytest.mark.parametrize("values", [np.full((2, 3), 7.0), np.full((2, 3), np.nan), np.full((1, 1), np.inf)])
def test_colour_values_survives_constant_and_empty_input(values):
    assert colour_values(values).shape == (*values.shape, 3)


def test_colour_values_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        colour_values(np.zeros((1, 2, 3)))


def test_colour_labels_maps_each_class_and_greys_the_rest():
    colours = class_palette(2)
    rgb = colour_labels(torch.tensor([[0, 1, 255, 2, -1]]), colours)
    np.testing.assert_array_equal(rgb[0], [colours[0], colours[1], *[palette.MISSING] * 3])


@pytest.mark.parametrize(
    "image",
    [
        torch.ones(3, 5, 7),
        torch.ones(3, 5, 7, dtype=torch.bfloat16, requires_grad=True),
        np.ones((5, 7, 3)),
        np.full((5, 7, 3), 255, np.uint8),
        np.full((5, 7), 300),
        torch.ones(1, 5, 7),
        np.ones((5, 7, 1), bool),
    ],
)
def test_to_rgb_takes_what_people_have(image):
    rgb = to_rgb(image)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, np.full((5, 7, 3), 255))


def test_to_rgb_keeps_uint8_pictures_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_rgb(image), image)
    np.testing.assert_array_equal(to_rgb(torch.from_numpy(image).permute(2, 0, 1)), image)


def test_to_rgb_of_not_a_number_is_black():
    assert to_rgb(np.array([[np.nan, 1.0]]))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("shape", [(2, 3, 4), (4,), (0, 3, 3)])
def test_to_rgb_refuses_what_is_no_picture(shape):
    with pytest.raises(ValueError, match="found shape"):
        to_rgb(np.zeros(shape))


def test_overlay_mixes_by_its_share():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(overlay(black, white, 0), black)
    np.testing.assert_array_equal(overlay(black, white, 1), white)
    assert (overlay(black, white, 0.2) == 51).all()
    mask = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(overlay(black, white, mask)[..., 0], mask * 255)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), np.ones((3, 3))])
def test_overlay_refuses_other_shares(alpha):
    with pytest.raises(ValueError, match="alpha"):
        overlay(np.zeros((2, 2, 3)), np.ones((2, 2, 3)), alpha)


def test_overlay_refuses_two_sizes():
    with pytest.raises(ValueError, match="one size"):
        overlay(np.zeros((2, 2, 3)), np.ones((2, 4, 3)))


@pytest.mark.parametrize(
    ("text", "drawn"), [("café", "cafe"), ("3 × 4", "3 x 4"), ("0–5", "0-5"), ("m²", "m2"), ("plain", "plain")]
)
def test_what_the_font_lacks_is_spelled(text, drawn):
    assert palette.typeset(text, 14, 500, 1).lines == (drawn,)


def test_text_breaks_at_spaces_and_ends_in_an_ellipsis():
    text = palette.typeset("one two three four five six seven eight nine ten", 14, 90, 2)
    assert len(text.lines) == 2
    assert text.width <= 90
    assert text.lines[0].startswith("one two")
    assert text.lines[1].endswith("…")
    assert palette.typeset("Donaudampfschifffahrtsgesellschaft", 14, 60, 1).width <= 60
    assert palette.typeset("", 14, 60, 2).height == 0
