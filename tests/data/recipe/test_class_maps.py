"""Class maps among the street sets: every pair can be asked for, and says what people would say."""

from __future__ import annotations

import numpy as np
import pytest

from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.errors import ConfigError
from vtadapt.tasks.class_ids import VOID

STREETS = ("camvid", "cityscapes", "synthia", "vkitti2")
CITY19 = ["road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"]
CITY19 += ["terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"]
CITY16 = [c for c in CITY19 if c not in ("terrain", "truck", "train")]
TARGETS = {
    "cityscapes19": CITY19,
    "cityscapes16": CITY16,
    "cityscapes13": [c for c in CITY16 if c not in ("wall", "fence", "pole")],
    "cityscapes7": ["flat", "construction", "object", "nature", "sky", "human", "vehicle"],
    "vkitti8": ["road", "building", "pole", "traffic light", "traffic sign", "vegetation", "sky", "vehicle"],
    "vkitti14": [
        *("Terrain", "Sky", "Tree", "Vegetation", "Building", "Road", "GuardRail", "TrafficSign", "TrafficLight"),
        *("Pole", "Misc", "Truck", "Car", "Van"),
    ],
    "camvid11": [
        *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
    ],
}


def label_sets_of(recipe: Recipe) -> list[str]:
    return list(recipe.label_sets) or [recipe.tasks["semseg"].label_set]


def as_read(name: str, label_set: str) -> Recipe:
    recipe = load_recipe(name)
    return recipe.with_label_set(label_set) if recipe.label_sets else recipe


def mapping(name: str, label_set: str, target: str) -> dict[str, str | None]:
    """For each class of ``label_set`` as ``name`` has it, its class of ``target``."""
    recipe = as_read(name, label_set)
    ids = recipe.class_ids("semseg", target, tuple(TARGETS[target]))
    names = [None if i == VOID else TARGETS[target][i] for i in ids]
    return dict(zip(recipe.tasks["semseg"].classes, names, strict=True))


PAIRS = [(n, own, t) for n in STREETS for own in label_sets_of(load_recipe(n)) for t in TARGETS]


def test_the_shared_label_sets_are_the_same_everywhere() -> None:
    seen = {}
    for name in STREETS:
        recipe = load_recipe(name)
        for key in label_sets_of(recipe):
            task = as_read(name, key).tasks["semseg"]
            assert list(task.classes) == TARGETS[key]
            assert seen.setdefault(key, task.colours) == task.colours
    assert set(seen) == set(TARGETS)


@pytest.mark.parametrize(("name", "own", "target"), PAIRS)
def test_every_pair_has_a_map_in_which_each_class_is_named(name: str, own: str, target: str) -> None:
    recipe = load_recipe(name)
    found = mapping(name, own, target)
    if own == target:
        assert found == {c: c for c in TARGETS[own]}
        return
    # a class left out would be void without anyone having said so
    assert set(TARGETS[own]) <= set(recipe.class_maps[target])
    assert any(found.values())
    same = {c for c in TARGETS[own] if c in TARGETS[target]} - {"vehicle"}
    assert all(found[c] == c for c in same), "a name that both have means the same"


ROAD_SIDE = {"road": "flat", "sidewalk": "flat", "building": "construction", "fence": "construction"}
THINGS = dict.fromkeys(("pole", "traffic light", "traffic sign"), "object")
TO7 = {**ROAD_SIDE, **THINGS, "vegetation": "nature", "sky": "sky", "person": "human"}
TO7 |= {"car": "vehicle", "bicycle": "vehicle"}
TO_CAMVID = {
    **{"road": "road", "sidewalk": "pavement", "building": "building", "wall": "building", "fence": "fence"},
    **{"pole": "pole", "traffic light": "sign", "traffic sign": "sign", "vegetation": "tree", "terrain": "tree"},
    **{"sky": "sky", "person": "pedestrian", "rider": "bicyclist", "bicycle": "bicyclist"},
    **dict.fromkeys(("car", "truck", "bus", "train"), "car"),
}
VK14_TO_19 = {
    **{"Terrain": "terrain", "Sky": "sky", "Tree": "vegetation", "Vegetation": "vegetation", "Building": "building"},
    **{"Road": "road", "TrafficSign": "traffic sign", "TrafficLight": "traffic light", "Pole": "pole"},
    **{"Truck": "truck", "Car": "car", "Van": "car"},
}
CAMVID_TO_19 = {
    **{"sky": "sky", "building": "building", "pole": "pole", "road": "road", "pavement": "sidewalk"},
    **{"tree": "vegetation", "sign": "traffic sign", "fence": "fence", "car": "car", "pedestrian": "person"},
    **{"bicyclist": "rider"},
}
SHARED8 = {c: c for c in TARGETS["vkitti8"] if c != "vehicle"}


@pytest.mark.parametrize(
    ("name", "own", "target", "truth"),
    [
        ("cityscapes", "cityscapes19", "cityscapes16", {c: c for c in CITY16}),  # terrain, truck, train: void
        ("cityscapes", "cityscapes19", "cityscapes7", TO7),
        ("cityscapes", "cityscapes19", "vkitti8", {**SHARED8, "car": "vehicle", "bus": "vehicle"}),
        ("cityscapes", "cityscapes19", "camvid11", TO_CAMVID),
        ("cityscapes", "cityscapes13", "cityscapes16", {c: c for c in TARGETS["cityscapes13"]}),
        ("cityscapes", "cityscapes7", "cityscapes19", {"nature": "vegetation", "sky": "sky", "human": "person"}),
        ("cityscapes", "cityscapes7", "vkitti8", {"nature": "vegetation", "sky": "sky"}),
        ("cityscapes", "cityscapes7", "camvid11", {"nature": "tree", "sky": "sky", "human": "pedestrian"}),
        ("cityscapes", "vkitti8", "cityscapes19", SHARED8),
        ("cityscapes", "vkitti8", "cityscapes7", {c: TO7[c] for c in SHARED8} | {"vehicle": "vehicle"}),
        (
            "cityscapes",
            "cityscapes19",
            "vkitti14",
            {v: k for k, v in VK14_TO_19.items() if k not in ("Tree", "Vegetation", "Van")},
        ),
        ("synthia", "cityscapes16", "cityscapes19", {c: c for c in CITY16}),
        ("synthia", "cityscapes16", "cityscapes7", {c: v for c, v in TO7.items() if c in CITY16}),
        ("synthia", "cityscapes16", "camvid11", {c: v for c, v in TO_CAMVID.items() if c in CITY16}),
        ("synthia", "cityscapes16", "vkitti8", {**SHARED8, "car": "vehicle", "bus": "vehicle"}),
        ("vkitti2", "vkitti14", "cityscapes19", VK14_TO_19),
        (
            "vkitti2",
            "vkitti14",
            "vkitti8",
            {k: v for k, v in VK14_TO_19.items() if k not in ("Terrain", "Truck", "Car", "Van")}
            | dict.fromkeys(("Truck", "Car", "Van"), "vehicle"),
        ),
        ("vkitti2", "vkitti14", "camvid11", {k: TO_CAMVID[v] for k, v in VK14_TO_19.items()}),
        ("vkitti2", "vkitti8", "cityscapes16", SHARED8),
        ("vkitti2", "vkitti8", "camvid11", {c: TO_CAMVID[c] for c in SHARED8} | {"vehicle": "car"}),
        ("camvid", "camvid11", "cityscapes19", CAMVID_TO_19),
        ("camvid", "camvid11", "cityscapes16", CAMVID_TO_19),
        (
            "camvid",
            "camvid11",
            "cityscapes13",
            {k: v for k, v in CAMVID_TO_19.items() if k not in ("pole", "fence")},
        ),
        (
            "camvid",
            "camvid11",
            "cityscapes7",
            {k: TO7[v] for k, v in CAMVID_TO_19.items() if k != "bicyclist"},  # riders are void there, bicycles not
        ),
        (
            "camvid",
            "camvid11",
            "vkitti8",
            {k: v for k, v in CAMVID_TO_19.items() if v in SHARED8} | {"car": "vehicle"},
        ),
    ],
)
def test_maps_say_what_a_person_would(name: str, own: str, target: str, truth: dict[str, str]) -> None:
    assert {k: v for k, v in mapping(name, own, target).items() if v is not None} == truth


@pytest.mark.parametrize(
    ("name", "target"),
    [("cityscapes", t) for t in ("cityscapes16", "cityscapes13", "cityscapes7", "vkitti8")]
    + [("synthia", "cityscapes13"), ("vkitti2", "vkitti8")],
)
def test_a_map_gives_what_reading_the_files_as_the_other_set_gives(name: str, target: str) -> None:
    finest = {"cityscapes": "cityscapes19", "synthia": "cityscapes16", "vkitti2": "vkitti14"}[name]
    recipe = load_recipe(name)
    fine, coarse = recipe.label_sets[finest], recipe.label_sets[target]
    numbers = np.arange((fine.highest or 0) + 1)[None]
    new = np.full(256, VOID)
    new[: len(fine.classes)] = as_read(name, finest).class_ids("semseg", target, coarse.classes)
    np.testing.assert_array_equal(new[fine.convert(numbers, "x")], coarse.convert(numbers, "x"))


def test_synthia_and_cityscapes_need_no_map_between_them() -> None:
    synthia, city = load_recipe("synthia"), load_recipe("cityscapes")
    for key, known in synthia.label_sets.items():
        assert (known.classes, known.colours) == (city.label_sets[key].classes, city.label_sets[key].colours)
        assert synthia.with_label_set(key).class_ids("semseg", key, known.classes) == list(range(len(known.classes)))


def test_rooms_have_no_map_to_streets() -> None:
    with pytest.raises(ConfigError, match="no class map to label set 'nyu13'"):
        load_recipe("cityscapes").class_ids("semseg", "nyu13", ("bed",))
