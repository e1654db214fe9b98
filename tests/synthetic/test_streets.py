"""Streets: shapes, exactness of labels, determinism, classes seen, two looks of the same streets."""

from __future__ import annotations

import math
import pickle
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tests.synthetic.shapes import shapes_of, wanted_shapes
from vtadapt.data.readers.table import make_reader
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.synthetic.streets.catalogue import STREETS
from vtadapt.synthetic.streets.streets import CLASSES, COLOURS, LOOKS, generate_streets, render_street

SIZE = (64, 128)
MANY = 64
ROAD, SIDEWALK, SKY = (CLASSES.index(name) for name in ("road", "sidewalk", "sky"))
Samples = list[dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def streets() -> dict[str, Samples]:
    return {look: list(generate_streets(range(MANY), look, SIZE, extras=True)) for look in LOOKS}


def everything(streets: dict[str, Samples]) -> Samples:
    return [street for samples in streets.values() for street in samples]


def rays(look: str) -> np.ndarray:
    """(H, W, 3) in camera axes, last component 1, of the pinhole that the recipe states."""
    camera = load_recipe(f"streets_{look}").intrinsics.resized(*SIZE)
    v, u = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(SIZE)], axis=-1)


def test_tables_and_recipes_match() -> None:
    assert len(CLASSES) == len(COLOURS) == len(set(COLOURS)) == 16
    assert set(STREETS.kind_class) == set(range(16)) and len(STREETS.kinds) == len(set(STREETS.kinds))
    synthia = load_recipe("synthia")
    for look, style in LOOKS.items():
        recipe = load_recipe(f"streets_{look}")
        semseg = recipe.tasks["semseg"]
        assert semseg.classes == CLASSES == synthia.label_sets["cityscapes16"].classes
        assert semseg.colours == COLOURS == synthia.label_sets["cityscapes16"].colours
        camera, (height, width) = recipe.intrinsics, recipe.size
        assert (camera.width, camera.height) == (width, height) and camera.fx == camera.fy
        assert camera.fx == pytest.approx(width / 2 / math.tan(math.radians(style.fov) / 2), rel=1e-6)
        for target, table in recipe.class_maps.items():
            assert table == {name: synthia.class_maps[target][name] for name in CLASSES}


def test_shapes_and_types() -> None:
    street = render_street(5, "sim", (40, 56))
    assert shapes_of(street) == wanted_shapes(40, 56)
    more = render_street(5, "sim", (40, 56), extras=True)
    assert all(np.array_equal(street[key], more[key]) for key in street)
    assert more["height"].shape == more["instance"].shape == more["kind"].shape == (40, 56)


@pytest.mark.slow
def test_values_make_sense_and_only_the_sky_has_no_geometry(streets: dict[str, Samples]) -> None:
    for street in everything(streets):
        sky = street["semseg"] == SKY
        assert street["semseg"].max() < 16 and street["edges"].max() == 1
        assert np.array_equal(np.array(STREETS.kind_class)[street["kind"]], street["semseg"])
        assert np.array_equal(street["depth"] == 0, sky)
        assert street["depth"][~sky].min() > 1 and street["depth"].max() < 2000
        length = np.linalg.norm(street["normals"].astype(np.float32), axis=-1)
        assert (length[sky] == 0).all()
        np.testing.assert_allclose(length[~sky], 1, atol=2e-3)
        # Nothing shows its back side to the camera, and the sky is above the horizon's houses.
        assert street["height"][~sky].min() > -0.01 and street["height"][~sky].max() < 60
        assert not sky[-SIZE[0] // 4 :].any()
        # Edges beside the sky are on the nearer side, so the sky's inside has none.
        assert street["edges"][sky].mean() < 0.01 if sky.any() else True
        assert 30 < street["image"].mean() < 220 and street["image"].std() > 8
    assert 0.05 < np.mean([street["edges"].mean() for street in everything(streets)]) < 0.3


def on_the_road(street: dict[str, np.ndarray]) -> np.ndarray:
    """Pixels of the road's plane but not of the markings, which lie 0.1 mm above it."""
    return street["kind"] == STREETS.kind_id["road"]


@pytest.mark.slow
@pytest.mark.parametrize("look", list(LOOKS))
def test_depth_of_the_road_is_that_of_a_plane(streets: dict[str, Samples], look: str) -> None:
    """n . X = -h on the road: z = h / (-n . ray), one camera height h for all pixels, and within the look's range."""
    ray = rays(look)
    low, high = LOOKS[look].height
    for street in streets[look]:
        road = on_the_road(street)
        normal = street["normals"][road].astype(np.float64).mean(axis=0)
        normal /= np.linalg.norm(normal)
        down = -(ray[road] @ normal)
        near = down > 0.04  # farther, half precision of the stored normals is what is measured
        h = street["depth"][road][near] * down[near]
        assert near.sum() > 300
        assert low - 0.02 < h.mean() < high + 0.02
        np.testing.assert_allclose(h, h.mean(), rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("look", list(LOOKS))
def test_depth_and_height_agree_under_the_camera_of_the_recipe(streets: dict[str, Samples], look: str) -> None:
    """Height is affine in the point z ray, for everything that has a depth: least squares leave nothing over."""
    ray = rays(look)
    for street in streets[look][:16]:
        solid = (street["semseg"] != SKY) & (street["depth"] < 60)
        point = street["depth"][solid][:, None] * ray[solid]
        design = np.column_stack([point, np.ones(len(point))])
        found = np.linalg.lstsq(design, street["height"][solid], rcond=None)[0]
        np.testing.assert_allclose(design @ found, street["height"][solid], atol=2e-3)
        assert np.linalg.norm(found[:3]) == pytest.approx(1, abs=1e-4)  # the world's up in camera axes
        pitch, roll = math.degrees(math.asin(-found[2])), math.degrees(math.atan2(found[0], -found[1]))
        assert -0.1 < -pitch < LOOKS[look].pitch[1] + 0.1 or -0.1 < pitch < LOOKS[look].pitch[1] + 0.1
        assert abs(roll) < LOOKS[look].roll + 0.1
        # The normals of the road are that same direction.
        assert (street["normals"][on_the_road(street)].astype(np.float64) @ found[:3]).min() > 0.9995


@pytest.mark.slow
def test_every_class_is_seen_in_a_tenth_of_the_streets(streets: dict[str, Samples]) -> None:
    for samples in streets.values():
        counts = np.stack([np.bincount(s["semseg"].ravel(), minlength=16) for s in samples])
        seen = (counts >= 6).mean(axis=0)
        assert seen.min() >= 0.1, dict(zip(CLASSES, seen, strict=True))
        share = counts.sum(axis=0) / counts.sum()
        assert share.min() > 0.0008 and share.max() < 0.5, dict(zip(CLASSES, share.round(4), strict=True))


@pytest.mark.slow
def test_things_are_where_they_belong(streets: dict[str, Samples]) -> None:
    """People stand on pavements more than on the road, wheels on the road: by what lies just below them."""
    below = np.zeros((16, 16))
    for street in everything(streets):
        upper, lower = street["semseg"][:-1].ravel(), street["semseg"][1:].ravel()
        np.add.at(below, (upper, lower), 1)
    people, cars = below[CLASSES.index("person")], below[CLASSES.index("car")]
    assert people[SIDEWALK] > 2 * people[ROAD] > 0
    assert cars[ROAD] > 5 * cars[SIDEWALK]
    # Streets are closed by houses or trees: the bare horizon shows through gaps only. Nothing hangs in the sky.
    assert below[SKY, ROAD] < 0.002 * below[SKY].sum() and below[ROAD, SKY] == below[SIDEWALK, SKY] == 0


def statistics(samples: Samples) -> dict[str, float]:
    image = np.stack([s["image"] for s in samples]).astype(np.float64) / 255
    grey = image.mean(axis=-1)
    # Noise: what is left of flat road after the mean of the neighbours; the median is not moved by edges.
    rest = grey[:, 1:-1, 1:-1] - (grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]) / 4
    near = np.stack([s["depth"][1:-1, 1:-1] for s in samples])
    near = (near > 0) & (near < 12) & (np.stack([s["semseg"][1:-1, 1:-1] for s in samples]) == ROAD)
    return {
        "saturation": float((image.max(axis=-1) - image.min(axis=-1)).mean()),
        "brightness": float(grey.mean()),
        "contrast": float(grey.std(axis=(1, 2)).mean()),
        "green cast": float((image[..., 1] - (image[..., 0] + image[..., 2]) / 2).mean()),
        "grain": float(np.median(np.abs(rest[near]))),
    }


@pytest.mark.slow
def test_looks_differ_while_contents_are_alike(streets: dict[str, Samples]) -> None:
    sim, real = (statistics(streets[look]) for look in ("sim", "real"))
    assert sim["saturation"] > 1.7 * real["saturation"]
    assert sim["brightness"] > 1.15 * real["brightness"]
    assert sim["contrast"] > 1.15 * real["contrast"]
    assert real["green cast"] > sim["green cast"] + 0.01
    assert real["grain"] > 1.5 * sim["grain"]
    share = [
        np.bincount(np.stack([s["semseg"] for s in streets[look]]).ravel(), minlength=16) / (MANY * SIZE[0] * SIZE[1])
        for look in ("sim", "real")
    ]
    assert np.abs(share[0] - share[1]).sum() / 2 < 0.12  # total variation


@pytest.mark.slow
def test_colour_does_not_give_the_class_away(streets: dict[str, Samples]) -> None:
    """Nearest neighbours on RGB, trained on other streets, tell classes (not the sky) little better than by chance."""
    rng = np.random.default_rng(0)
    for samples in streets.values():
        colour = np.stack([s["image"] for s in samples]).reshape(MANY, -1, 3).astype(np.float32)
        label = np.stack([s["semseg"] for s in samples]).reshape(MANY, -1)
        half = MANY // 2
        rows = rng.permutation(label.shape[1])[:900]
        seen, known = colour[:half, rows].reshape(-1, 3), label[:half, rows].ravel()
        asked, truth = colour[half:, rows].reshape(-1, 3), label[half:, rows].ravel()
        solid = known != SKY
        near = cKDTree(seen[solid]).query(asked[truth != SKY], k=25)[1]
        votes = np.stack([(known[solid][near] == c).sum(axis=1) for c in range(16)], axis=1)
        prior = np.maximum(np.bincount(known[solid], minlength=16), 1) / solid.sum()
        balanced = (votes / prior).argmax(axis=1)
        recall = [(balanced[truth[truth != SKY] == c] == c).mean() for c in range(16) if c != SKY]
        assert np.mean(recall) < 0.16  # chance is 1 / 15


@pytest.mark.slow
def test_same_seed_same_bytes_whatever_the_workers(streets: dict[str, Samples]) -> None:
    again = render_street(3, "real", SIZE, extras=True)
    assert all(again[key].tobytes() == streets["real"][3][key].tobytes() for key in again)
    pooled = list(generate_streets(range(2, 10), "real", SIZE, extras=True, workers=2))
    assert len(pooled) == 8
    for got, want in zip(pooled, streets["real"][2:10], strict=True):
        assert all(got[key].tobytes() == want[key].tobytes() for key in want)


def test_readers_travel_and_their_seeds_are_disjoint() -> None:
    names: dict[tuple[str, str], set[int]] = {}
    for look in LOOKS:
        reader = make_reader(load_recipe(f"streets_{look}"), SIZE, ["depth"])
        for split, count in (("train", 1600), ("val", 250)):
            items = reader.find(None, split)
            assert len(items) == count == len({item.name for item in items})
            names[look, split] = {item.seed for item in items}
        copy = pickle.loads(pickle.dumps(reader))
        first = reader.find(None, "val")[0]
        sample = copy.load(first)
        assert set(sample) == {"image", "depth"} and sample["image"].shape == (*SIZE, 3)
        want = render_street(first.seed, look, SIZE)
        assert all(sample[key].tobytes() == want[key].tobytes() for key in sample)
    assert all(not a & b for a, b in combinations(names.values(), 2))


def test_what_is_left_out_for_speed_could_not_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the far sides of solids the labels stay; shapes made plainer change few pixels, far things only."""
    from vtadapt.synthetic.streets import streets as module

    lean = [render_street(seed, "sim", SIZE) for seed in range(4)]
    monkeypatch.setattr(module, "facing", lambda geometry, *_: geometry)
    solid = [render_street(seed, "sim", SIZE) for seed in range(4)]
    monkeypatch.setattr(module, "simplified", lambda parts, *_, **__: parts)
    full = [render_street(seed, "sim", SIZE) for seed in range(4)]
    for a, b, c in zip(lean, solid, full, strict=True):
        assert all(np.array_equal(a[key], b[key]) for key in a if key != "image")
        assert np.mean(a["semseg"] != c["semseg"]) < 0.01
        assert np.mean(np.abs(a["image"].astype(int) - c["image"].astype(int)).max(axis=-1) > 24) < 0.03
