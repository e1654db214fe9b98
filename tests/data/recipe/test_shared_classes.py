"""Which classes two data sets share, by hand from their recipes."""

from __future__ import annotations

from typing import Any

import pytest

from vtadapt.data.recipe.common_tasks import agree
from vtadapt.data.recipe.recipe import Recipe, load_recipe
from vtadapt.data.recipe.shared_classes import shared_classes
from vtadapt.errors import ConfigError

CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
# The 16: road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, sky, person, rider, car,
# bus, motorcycle, bicycle.
STREETS_IN_CAMVID = [3, 4, 1, 1, 7, 2, 6, 6, 5, 0, 9, 10, 8, 8, 255, 10]


def recipe(name: str, classes: list[str], label_set: str = "", maps: Any = None, **depth: Any) -> Recipe:
    semseg = {"kind": "classes", "classes": classes, "label_set": label_set}
    tasks = {"semseg": semseg, "depth": {"kind": "regression", "units": "m", **depth}}
    about = {"name": name, "title": "x", "licence": "x", "reader": "x", "class_maps": maps or {}}
    return Recipe.model_validate({**about, "tasks": tasks})


def test_streets_and_camvid() -> None:
    shared = shared_classes(load_recipe("streets_sim"), load_recipe("camvid"), "semseg")
    assert shared.classes == CAMVID
    assert shared.label_set == "camvid11"
    assert shared.colours == load_recipe("camvid").tasks["semseg"].colours
    assert shared.first == STREETS_IN_CAMVID
    assert shared.second == list(range(11))
    assert (shared.only_first, shared.only_second) == (("motorcycle",), ())


def test_the_map_that_loses_least_is_taken() -> None:
    """CamVid on the 16 would leave five of them out; the 16 on CamVid lose one, whoever comes first."""
    shared = shared_classes(load_recipe("camvid"), load_recipe("streets_sim"), "semseg")
    assert (shared.classes, shared.label_set) == (CAMVID, "camvid11")
    assert (shared.first, shared.second) == (list(range(11)), STREETS_IN_CAMVID)
    assert (shared.only_first, shared.only_second, shared.left_out) == ((), ("motorcycle",), 1)


def test_synthia_and_cityscapes_share_16_of_19() -> None:
    synthia, cityscapes = load_recipe("synthia"), load_recipe("cityscapes")
    shared = shared_classes(synthia, cityscapes, "semseg")
    assert shared.classes == synthia.tasks["semseg"].classes
    assert shared.first == list(range(16))
    assert shared.only_second == ("terrain", "truck", "train")
    names = cityscapes.tasks["semseg"].classes
    kept = [names[i] for i, to in enumerate(shared.second) if to != 255]
    assert [kept[i] for i in range(16)] == list(shared.classes)
    assert [to for to in shared.second if to != 255] == list(range(16))


def test_part_of_a_label_set_is_read_from_the_whole() -> None:
    """A run on 16 of Cityscapes' 19 has the label set's name; the other three are void to it."""
    cityscapes = load_recipe("cityscapes")
    sixteen = load_recipe("synthia").tasks["semseg"].classes
    ids = cityscapes.class_ids("semseg", "cityscapes19", sixteen)
    names = cityscapes.tasks["semseg"].classes
    assert [c for c, i in zip(names, ids, strict=True) if i == 255] == ["terrain", "truck", "train"]


def test_equal_lists_need_no_map() -> None:
    shared = shared_classes(recipe("one", ["a", "b"]), recipe("two", ["a", "b"]), "semseg")
    assert (shared.first, shared.second, shared.left_out) == ([0, 1], [0, 1], 0)


def test_no_map_and_nothing_in_common() -> None:
    with pytest.raises(ConfigError, match="no class map between label set 'l1' of 'one' and 'l2' of 'two'; add one"):
        shared_classes(recipe("one", ["a", "b"], "l1"), recipe("two", ["c", "d"], "l2"), "semseg")
    maps = {"l2": {"a": None, "b": None}}
    with pytest.raises(ConfigError, match="'one' and 'two' have no class in common; leave it out with --tasks"):
        shared_classes(recipe("one", ["a", "b"], "l1", maps), recipe("two", ["c", "d"], "l2"), "semseg")


def test_agreement_of_streets_and_camvid() -> None:
    agreed = agree(load_recipe("streets_sim"), load_recipe("camvid"), ["semseg", "depth"])
    for name in ("streets_sim", "camvid"):
        semseg = agreed.recipes[name].tasks["semseg"]
        assert (semseg.classes, semseg.label_set) == (CAMVID, "camvid11")
    assert agreed.label_maps == {
        "streets_sim": {"semseg": STREETS_IN_CAMVID},
        "camvid": {"semseg": list(range(11))},
    }
    assert agreed.recipes["streets_sim"].tasks["depth"] == load_recipe("streets_sim").tasks["depth"]
    assert "depth" not in agreed.recipes["camvid"].tasks


@pytest.mark.parametrize(
    ("one", "two", "wanted"), [(80.0, 50.0, 50.0), (None, 50.0, 50.0), (80.0, None, 80.0), (None, None, None)]
)
def test_the_lower_cap_holds_for_both(one: float | None, two: float | None, wanted: float | None) -> None:
    agreed = agree(recipe("one", ["a"], max_value=one), recipe("two", ["a"], max_value=two))
    assert [agreed.recipes[n].tasks["depth"].max_value for n in ("one", "two")] == [wanted, wanted]


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        ({"units": "cm", "distance": False}, "task 'depth': units is 'm' in 'one' and 'cm' in 'two'"),
        ({"kind": "boundary", "units": ""}, "task 'depth': kind is 'regression' in 'one' and 'boundary' in 'two'"),
        ({"distance": False}, r"task 'depth': units|task 'depth': distance is True in 'one' and False in 'two'"),
        ({"channels": 2}, "task 'depth': (distance|channels) is"),
    ],
)
def test_tasks_that_mean_different_things(depth: dict[str, Any], said: str) -> None:
    one, two = recipe("one", ["a"]), recipe("two", ["a"], **depth)
    with pytest.raises(ConfigError, match=said) as caught:
        agree(one, two)
    assert "\n" not in str(caught.value)
    assert agree(one, two, ["semseg"]).classes["semseg"].classes == ("a",), "a task that is not wanted may differ"


def test_units_may_be_spelled_out() -> None:
    agree(recipe("one", ["a"]), recipe("two", ["a"], units="metres"))
