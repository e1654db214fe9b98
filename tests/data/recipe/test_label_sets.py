"""Lists of classes: how numbers of files become ids, how another list is chosen, and lists of more than 255."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pydantic import ValidationError

from vtadapt.data.pack.manifest import open_manifest, open_pack
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.label_sets import LabelSet
from vtadapt.data.recipe.recipe import Recipe, load_recipe, read_recipe
from vtadapt.data.training.dataset import PackDataset
from vtadapt.errors import ConfigError, DataError, UsageError
from vtadapt.tasks import make_task
from vtadapt.tasks.class_ids import RESERVED

MANY = tuple(f"thing {i}" for i in range(300))


def test_numbers_of_files_become_ids() -> None:
    known = LabelSet(classes=("a", "b"), ids={7: "b", 3: "a", 9: "b"}, void=(-1,), highest=10)
    raw = np.array([[3, 7, 9], [0, 10, -1]], np.int16)
    found = known.convert(raw, "x.png")
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 1], [255, 255, 255]]
    assert known.convert(raw.astype(np.float32), "x.npy").tolist() == found.tolist()
    for bad, said in ((11, "label ids 11"), (-2, "label ids -2"), (300, "label ids 300")):
        with pytest.raises(DataError, match=rf"^x.png: {said}, wanted -1..10$"):
            known.convert(np.array([[3, bad]]), "x.png")
    with pytest.raises(DataError, match=r"x.npy: label ids that are no whole numbers \(0.5\)"):
        known.convert(np.array([[0.5]]), "x.npy")
    with pytest.raises(DataError, match=r"label ids 4, wanted \[3, 7\]"):
        LabelSet(classes=("a", "b"), ids={7: "b", 3: "a"}).convert(np.array([[4, 3]]), "x.png")
    with pytest.raises(DataError, match="no whole numbers"):
        known.convert(np.array([[np.nan]]), "x.npy")


def test_lists_of_more_than_255_classes_leave_255_to_void() -> None:
    known = LabelSet(classes=MANY, ids={i + 1: name for i, name in enumerate(MANY)}, void=(0,))
    assert len(known.classes) == 301
    assert known.classes[255] == RESERVED
    ids = known.convert(np.array([[0, 1, 255, 256, 300]]), "x.png")
    assert ids.dtype == np.uint16
    assert ids.tolist() == [[255, 0, 254, 256, 300]]
    with pytest.raises(ValidationError, match="position 255"):
        Recipe.model_validate({**minimal(MANY), "tasks": {"semseg": {"kind": "classes", "classes": MANY}}})
    with pytest.raises(ConfigError, match="at most 255 fit beside the void id"):
        make_task("semseg", "classes", classes=MANY)


def minimal(classes: tuple[str, ...]) -> dict:
    return {
        "name": "mine",
        "title": "x",
        "licence": "x",
        "reader": "folder",
        "splits": ["train"],
        "label_sets": {
            "fine300": {"classes": list(classes), "ids": dict(enumerate(classes))},
            "coarse2": {"classes": ["low", "high"], "ids": {i: ("low", "high")[i > 99] for i in range(len(classes))}},
        },
        "tasks": {"semseg": {"kind": "classes", "label_set": "fine300"}},
        "options": {"image": "{split}/*.png", "labels": {"semseg": {"files": "labels/{stem}.png"}}},
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for folder in ("train", "labels"):
        (root / folder).mkdir(parents=True)
    labels = np.random.default_rng(0).integers(0, 300, (40, 48)).astype(np.uint16)
    labels[0, :3] = (0, 255, 299)
    Image.fromarray(labels).save(root / "labels" / "a.png")
    Image.new("RGB", (48, 40)).save(root / "train" / "a.png")
    return root


def test_a_pack_of_300_classes_goes_all_the_way_to_a_loss(source: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(minimal(MANY))
    raw = np.asarray(Image.open(source / "labels" / "a.png")).astype(int)
    prepare(recipe, source, tmp_path / "out")
    stored = open_pack(tmp_path / "out", "mine", "train").read(0)["semseg"]
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, np.where(raw >= 255, raw + 1, raw))
    counts = open_manifest(tmp_path / "out", "mine")["splits"]["train"]["tasks"]["semseg"]["pixels_per_class"]
    assert (counts["thing 299"], counts[RESERVED]) == (int((raw == 299).sum()), 0)
    task = make_task("semseg", "classes", classes=recipe.tasks["semseg"].classes)
    target = PackDataset(open_pack(tmp_path / "out", "mine", "train"), {"semseg": task})[0]["targets"]["semseg"]
    assert target.dtype == torch.int64
    np.testing.assert_array_equal(target.numpy(), stored)
    logits = torch.nn.functional.one_hot(target[None], 301).permute(0, 3, 1, 2).float() * 50
    loss = task.loss_fn(logits, target[None])
    assert (loss.valid, float(loss.value)) == (40 * 48, pytest.approx(0, abs=1e-6))
    assert task.colour(target).shape == (40, 48, 3)


def test_another_list_is_chosen_by_name_or_number(source: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(minimal(MANY))
    raw = np.asarray(Image.open(source / "labels" / "a.png"))
    for asked in ("coarse2", "2"):
        out = tmp_path / asked
        manifest = prepare(recipe, source, out, PrepareOptions(label_set=asked))
        assert manifest["recipe"]["tasks"]["semseg"]["label_set"] == "coarse2"
        assert manifest["recipe_hash"] == recipe.hash  # of the recipe as it was given
        np.testing.assert_array_equal(open_pack(out, "mine", "train").read(0)["semseg"], (raw > 99).astype(np.uint8))
    with pytest.raises(UsageError, match=r"no label set '13'\. Known: fine300, coarse2"):
        prepare(recipe, source, tmp_path / "x", PrepareOptions(label_set="13"))
    with pytest.raises(UsageError, match="no label sets to choose from"):
        load_recipe("rooms").with_label_set("13")


def test_maps_of_one_list_alone() -> None:
    given = minimal(("a", "b", "c"))
    given["class_maps"] = {"other": {"a": "x", "low": "x"}, "coarse2>other": {"low": "y", "high": None}}
    recipe = Recipe.model_validate(given)
    assert recipe.class_ids("semseg", "other", ("x", "y")) == [0, 255, 255]
    assert recipe.with_label_set("coarse2").class_ids("semseg", "other", ("x", "y")) == [1, 255]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"coarse2": {"classes": ["low"], "ids": {0: "lo"}}}, "'ids' names 'lo', which is none of its classes"),
        ({"coarse2": {"classes": ["low", "low"]}}, "names classes twice: low"),
        ({"coarse2": {"classes": ["low"], "task": "depth"}}, "task 'depth' is no task here"),
        ({"coarse2": {"classes": ["low"], "colours": [[1, 2, 3], [4, 5, 6]]}}, "1 classes but 2 colours"),
        ({"coarse2": {"classes": ["low"], "idss": {}}}, "unknown key 'label_sets.coarse2.idss'. Did you mean 'ids'"),
    ],
)
def test_mistakes_in_a_list_are_named(tmp_path: Path, change: dict, said: str) -> None:
    given = minimal(("a", "b"))
    given["label_sets"] |= change
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(ConfigError, match=said) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)
