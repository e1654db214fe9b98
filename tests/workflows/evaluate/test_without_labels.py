"""Splits whose labels are all void: said in a line, in place of an empty table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.own import SHAPE, OwnSet
from vtadapt.workflows.evaluate.tables import measured
from vtadapt.workflows.prepare.tables import notes
from vtadapt.workflows.run.data.data_sets import unlabelled

VOID = np.full(SHAPE, 255, np.uint8)


@pytest.mark.parametrize("void", ["train", "val"])
def test_a_split_that_is_all_void_is_named(tmp_path: Path, void: str) -> None:
    own = OwnSet(
        tmp_path, {"kind": "classes", "classes": ["a", "b"]}, {"void": [255]}, image="{split}/*.png", split=None
    )
    own.recipe["splits"] = ["train", "val"]
    own.recipe["options"]["labels"]["x"]["files"] = "{split}/labels/{stem}.png"
    for split in ("train", "val"):
        (own.source / split / "labels").mkdir(parents=True)
        Image.new("RGB", SHAPE[::-1], (9, len(split), 0)).save(own.source / split / f"{split}.png")
        Image.fromarray(VOID if split == void else VOID // 255).save(own.source / split / "labels" / f"{split}.png")
    manifest, _ = own.prepare()
    assert unlabelled(manifest) == (["x"] if void == "train" else [])
    [line] = notes(manifest)
    assert line.startswith(f"{void}: not one of 1 labels of x")


def test_what_could_not_be_measured_is_a_line_and_no_table() -> None:
    for nothing in ({}, {"x": {}}):
        [line] = measured({"metrics": {"mine": nothing}})
        assert isinstance(line, str)
        assert line.startswith("mine: nothing was measured")
    table, line = measured({"metrics": {"mine": {}, "other": {"x": {"miou/dataset": 0.5}}}})
    assert isinstance(line, str)
    assert not isinstance(table, str)
