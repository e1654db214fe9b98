"""Ids of classes: the type follows their number, 255 is void in any list, and a look-up keeps both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vtadapt.data.recipe.task import RecipeTask
from vtadapt.errors import DataError
from vtadapt.tasks import make_task
from vtadapt.tasks.class_ids import RESERVED, VOID, check_ids, id_table, id_type, type_holding, with_reserved

MANY = with_reserved([f"c{i}" for i in range(300)])
TASK = make_task("semseg", "classes", classes=MANY)


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65536, np.uint16), (65537, np.uint32)],
)
def test_the_type_follows_the_number_of_classes(classes: int, wanted: type) -> None:
    assert id_type(classes) == wanted
    assert type_holding([VOID, classes - 1]) == (wanted if classes != 256 else np.uint8)  # 255 itself is void


def test_a_long_list_keeps_255_free() -> None:
    assert (MANY[254], MANY[255], MANY[256], len(MANY)) == ("c254", RESERVED, "c255", 301)
    assert with_reserved(MANY[:255]) == MANY[:255]
    check_ids(np.array([0, 255, 300]), 301, "x")
    with pytest.raises(DataError, match="x: label ids 301, wanted 0..300 or 255"):
        check_ids(np.array([301, 255], np.uint16), 301, "x")
    with pytest.raises(DataError, match="label ids -1"):
        check_ids(np.array([-1], np.int16), 301, "x")


def test_ids_are_looked_up_in_the_type_that_holds_them() -> None:
    table = id_table((300, 255, 7))
    assert (table.dtype, table[[0, 1, 2, 3, 255]].tolist()) == (np.uint16, [300, 255, 7, 255, 255])
    assert id_table((1, 255)).dtype == np.uint8


def test_ids_beyond_255_go_through_storage_and_targets_unharmed() -> None:
    recipe = RecipeTask(kind="classes", classes=MANY)
    label = np.array([[0, 254, 255], [256, 291, 300]], np.int64)
    kind = recipe.behaviour
    stored = kind.conform(recipe, label, "x")
    assert (stored.dtype, kind.storage(recipe).missing) == (np.uint16, VOID)
    assert stored.tolist() == label.tolist()
    assert kind.known(recipe, stored).tolist() == [[True, True, False], [True, True, True]]
    assert kind.to_target(TASK, stored).tolist() == label.tolist()
    assert kind.histogram(recipe, stored)[[255, 256, 300]].tolist() == [1, 1, 1]
    assert kind.summary(recipe, kind.histogram(recipe, stored))["pixels_per_class"]["c299"] == 1
    assert set(kind.summary(recipe, np.zeros(256, np.int64))["pixels_per_class"].values()) == {0}


def test_a_prediction_of_300_classes_is_measured_drawn_and_written_as_it_is() -> None:
    ids = torch.tensor([[[0, 254], [256, 300]]])
    logits = torch.nn.functional.one_hot(ids, 301).movedim(-1, 1).float()
    assert torch.equal(TASK.decode(logits), ids)
    meter = TASK.meter()
    meter.update(logits, torch.where(ids == 0, VOID, ids))
    assert meter.compute()["pixacc/dataset"] == 1.0
    assert meter.counts()["pixels"] == 3
    assert TASK.colour(ids[0])[1, 1].tolist() == list(TASK.colours[300])
    raw = TASK.behaviour.raw(TASK, ids[0].numpy())
    assert (raw.dtype, raw.tolist()) == (np.uint16, ids[0].tolist())
    few = make_task("few", "classes", num_classes=3)
    assert few.behaviour.raw(few, np.array([2])).dtype == np.uint8
