from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from vtadapt.data.readers.folder import folder
from vtadapt.data.readers.table import READERS, make_reader
from vtadapt.data.recipe.common_tasks import build_tasks
from vtadapt.data.recipe.recipe import Intrinsics, Recipe, list_recipes, load_recipe, recipe_folders
from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import ConfigError, UsageError
from vtadapt.synthetic.streets.catalogue import CLASSES

BASE = {
    "name": "mine",
    "title": "Mine",
    "licence": "my own",
    "reader": "folder",
    "tasks": {"semseg": {"kind": "classes", "classes": ["a", "b"]}},
    "options": {"image": "{split}/*.png", "labels": {"semseg": {"files": "{split}/{stem}.lab.png"}}},
}
DERIVED = {"kind": "boundary", "derived": True}


def write(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "mine ü.yaml"
    path.write_text(yaml.safe_dump({**BASE, **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_load_and_their_readers_take_the_options(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.reader in READERS
    make_reader(recipe)
    assert all(len(t.colours) == len(t.classes) for t in recipe.tasks.values())


def test_the_three_first_recipes_are_shipped() -> None:
    assert {"camvid", "rooms", "sevenscenes"} <= set(list_recipes())
    assert len(load_recipe("camvid").tasks["semseg"].classes) == 11
    assert load_recipe("rooms").options["samples"] == {"train": 1600, "val": 250}
    assert {t for t, task in load_recipe("sevenscenes").tasks.items() if task.derived} == {"normals", "edges"}


def test_rooms_recipe_has_the_classes_and_colours_that_the_renderer_uses() -> None:
    catalogue = pytest.importorskip("vtadapt.synthetic.rooms.catalogue")
    semseg = load_recipe("rooms").tasks["semseg"]
    assert semseg.classes == catalogue.CLASSES
    assert semseg.colours == catalogue.COLOURS


@pytest.mark.parametrize(
    ("task", "distance"),
    [
        ({"kind": "regression", "units": "m"}, True),
        ({"kind": "regression", "units": "Metres"}, True),
        ({"kind": "regression", "units": "meter", "distance": None}, True),
        ({"kind": "regression", "units": "m", "distance": False}, False),
        ({"kind": "regression", "units": "m", "channels": 3}, False),  # coordinates, not a distance
        ({"kind": "regression", "units": "mm", "distance": False}, False),
        ({"kind": "regression"}, False),
        ({"kind": "boundary", "units": "m"}, False),
    ],
)
def test_a_regression_in_metres_is_a_distance(task: dict, distance: bool) -> None:
    found = RecipeTask.model_validate(task)
    assert found.distance is distance
    assert RecipeTask.model_validate(found.model_dump(mode="json")) == found


def test_hash_depends_on_content_only(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path))
    assert recipe.hash == load_recipe(str(write(tmp_path))).hash
    assert recipe.hash != load_recipe(write(tmp_path, title="Other")).hash
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_unknown_data_set_names_near_matches_and_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown data set 'camvit'. Did you mean 'camvid'.*Known:.*rooms"):
        load_recipe("camvit")
    with pytest.raises(UsageError, match="no/such.yaml"):
        load_recipe("no/such.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taks": {}}, "unknown key 'taks'. Did you mean 'tasks'"),
        ({"tasks": {"d": {"kind": "regression", "unit": "m"}}}, "unknown key 'tasks.d.unit'. Did you mean 'units'"),
        ({"tasks": {"d": {"kind": "regresion"}}}, "tasks.d.kind: .*Did you mean 'regression'"),
        ({"tasks": {"d": {"kind": "depth"}}}, "tasks.d.kind: wanted one of .*classes, regression.*found 'depth'"),
        ({"tasks": {"s": {"kind": "classes"}}}, "tasks.s: has no classes"),
        (
            {"tasks": {"s": {**DERIVED, "derive": {"method": "class_boundaries", "source": "x"}}}},
            "from 'x', which is no",
        ),
        ({"tasks": {"s": {**DERIVED, "derive": {"method": "plane_fit", "source": "s"}}}}, "only .* with 'intrinsics'"),
        ({"tasks": {"s": {"kind": "classes", "classes": ["a"], "colours": [[0, 0, 256]]}}}, "255, found 256"),
        ({"class_maps": {"other": {"A": "x"}}}, "class_maps.other: 'A' is not a class here"),
        ({"tasks": {"s": {"kind": "classes", "classes": ["a", "a"]}}}, "tasks.s: names classes twice: a"),
        (
            {"tasks": {"s": {"kind": "classes", "classes": [str(i) for i in range(256)]}}},
            "256 classes.* position 255 is named",
        ),
        (
            {"tasks": {"s": {"kind": "classes", "classes": ["a"], "colours": [[0, 0, 0]] * 2}}},
            "1 classes but 2 colours",
        ),
        ({"tasks": {"s": {"kind": "boundary", "distance": True}}}, "'distance'.* only makes sense"),
        ({"tasks": {"s": {"kind": "boundary", "channels": 2}}}, "'channels' cannot be 2"),
        (
            {"tasks": {"s": {**DERIVED, "derived": False, "derive": {"method": "plane_fit", "source": "s"}}}},
            "needs",
        ),
        ({"name": "../up"}, "name: string should match"),
        ({"splits": ["../x"]}, "split '../x'"),
    ],
)
def test_mistakes_are_one_line_with_file_and_key(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(write(tmp_path, **changes))
    assert "mine ü.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_yaml_and_missing_keys(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_recipe(path)
    path.write_text("- a", encoding="utf-8")
    with pytest.raises(ConfigError, match="found list"):
        load_recipe(path)
    path.write_text("name: a", encoding="utf-8")
    with pytest.raises(ConfigError, match="key 'title' is missing"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reader": "foldr"}, "unknown reader 'foldr'. Did you mean 'folder'"),
        ({"options": {**BASE["options"], "imag": 1}}, "unknown key 'imag'. Did you mean 'image'"),
        (
            {"options": {"image": "*.png", "labels": BASE["options"]["labels"]}},
            "put {split} into 'image' or give 'split'",
        ),
        ({"options": {"image": "{split}/*.png"}}, "task 'semseg' has no files"),
    ],
)
def test_readers_check_their_options(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_reader(load_recipe(write(tmp_path, **changes)))


def test_the_example_in_the_folder_reader_works(tmp_path: Path) -> None:
    text = (folder.__doc__ or "").split("::\n", 1)[1].split("``{path}``", 1)[0]
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("\n    ", "\n"), encoding="utf-8")
    assert set(load_recipe(path).tasks) == {"semseg", "depth", "normals", "edges"}
    make_reader(load_recipe(path))


def test_class_ids_follow_the_class_map() -> None:
    camvid = load_recipe("camvid")
    absent = ("wall", "traffic light", "bus", "motorcycle", "bicycle")  # of the 16 SYNTHIA-Cityscapes classes
    city = tuple(name for name in CLASSES if name not in absent)
    ids = camvid.class_ids("semseg", "cityscapes19", city)
    assert dict(zip(camvid.tasks["semseg"].classes, ids, strict=True))["pavement"] == 1
    rooms = load_recipe("rooms")
    assert rooms.class_ids("semseg", "nyu13", rooms.tasks["semseg"].classes) == list(range(13))
    with pytest.raises(ConfigError, match="no class map to label set 'coco'.*cityscapes19"):
        camvid.class_ids("semseg", "coco", ("x",))
    with pytest.raises(ConfigError, match="'sky' is no class"):
        camvid.class_ids("semseg", "cityscapes19", city[:6])


def test_an_own_recipe_needs_a_name_of_its_own(tmp_path: Path) -> None:
    for name in ("rooms", "Rooms"):
        with pytest.raises(ConfigError, match=f"'{name}'.* my_{name}"):
            load_recipe(write(tmp_path, name=name))
    shipped = next(p / "rooms.yaml" for p in recipe_folders() if (p / "rooms.yaml").is_file())
    copied = tmp_path / "copied.yaml"
    copied.write_bytes(shipped.read_bytes())
    assert load_recipe(copied) == load_recipe(shipped) == load_recipe("rooms")


def test_resized_intrinsics_keep_pixel_edges() -> None:
    camera = Intrinsics(fx=500, fy=500, cx=319.5, cy=239.5, width=640, height=480)
    half = camera.resized(240, 320)
    assert (half.fx, half.cx, half.cy) == (250, 159.5, 119.5)


def test_a_weight_that_is_not_given_leaves_the_hash_as_it_was() -> None:
    recipe = load_recipe("rooms")
    content = recipe.model_dump(mode="json")
    assert content.pop("fit") == "squeeze"
    assert not content["source"].pop("folder")
    for task in content["tasks"].values():
        assert task.pop("weight") is None
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert recipe.hash == hashlib.sha256(text.encode()).hexdigest()
    heavy = recipe.tasks["depth"].model_copy(update={"weight": 0.1})
    assert recipe.model_copy(update={"tasks": {**recipe.tasks, "depth": heavy}}).hash != recipe.hash


def test_streets_declare_the_weight_of_their_depth() -> None:
    for name in ("streets_sim", "streets_real"):
        tasks = build_tasks([load_recipe(name)], None)
        assert (tasks["depth"].weight, tasks["semseg"].weight) == (0.1, 1.0)
    assert build_tasks([load_recipe("rooms")], None)["depth"].weight == 1.0
