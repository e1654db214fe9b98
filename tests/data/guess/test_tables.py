"""``vtadapt recipe`` of Hugging Face data sets on disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.options import PrepareOptions
from vtadapt.errors import DataError
from vtadapt.workflows.prepare.prepare_data import prepare_data
from vtadapt.workflows.prepare.recipe import write_recipe

SHAPE = (32, 48)


def sample(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "image": random.integers(0, 256, (*SHAPE, 3), np.uint8),
        "annotation": random.choice(np.array([0, 1, 2, 255], np.uint8), SHAPE),
        "depth_map": random.integers(500, 4000, SHAPE).astype(np.uint16),
    }


def cell(array: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def save_table(path: Path, seeds: list[int], columns: tuple[str, ...] = ("image", "annotation", "depth_map")) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"caption": [f"picture {seed}" for seed in seeds], "number": seeds}
    cells = {name: [cell(sample(seed)[name]) for seed in seeds] for name in columns}
    pq.write_table(pa.table(cells | about), path)


def prepared(tmp_path: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """The recipe, what the pack of it holds, and what the command said."""
    said = write_recipe(tmp_path / "mine", tmp_path / "r.yaml", None)
    assert said["problems"] == []
    manifest = prepare_data(str(tmp_path / "r.yaml"), None, tmp_path / "data", PrepareOptions(workers=0), quiet=True)
    held = {}
    for split in manifest["splits"]:
        reader = open_pack(tmp_path / "data", manifest["name"], split)
        held[split] = [reader.read(i) for i in range(len(reader))]
        reader.close()
    return yaml.safe_load((tmp_path / "r.yaml").read_text(encoding="utf-8")), held, said


def test_parquet_with_splits_and_names(tmp_path: Path) -> None:
    save_table(tmp_path / "mine" / "data" / "train-00000-of-00001.parquet", [0, 1, 2])
    save_table(tmp_path / "mine" / "data" / "validation-00000-of-00001.parquet", [3, 4])
    names = {"0": "wall", "1": "floor", "2": "sky", "255": "unlabelled"}
    (tmp_path / "mine" / "id2label.json").write_text(json.dumps(names))
    recipe, held, said = prepared(tmp_path)
    assert (recipe["reader"], recipe["splits"]) == ("huggingface", ["train", "val"])
    assert recipe["options"]["split_names"] == {"val": "validation"}
    assert recipe["tasks"]["semseg"]["classes"] == ["wall", "floor", "sky"]
    assert recipe["options"]["labels"]["depth"]["column"] == "depth_map"
    assert any("caption, number" in line for line in said["found"])
    assert [len(held[split]) for split in ("train", "val")] == [3, 2]
    first = sample(3)
    kept = next(one for one in held["val"] if np.array_equal(one["image"], first["image"]))
    assert np.array_equal(kept["semseg"], first["annotation"])
    np.testing.assert_allclose(kept["depth"], first["depth_map"] / 1000, atol=1e-3)


def test_one_table_is_divided_and_classes_are_asked_for(tmp_path: Path) -> None:
    save_table(tmp_path / "mine" / "all.parquet", list(range(5)), ("image", "annotation"))
    recipe, held, _ = prepared(tmp_path)
    assert recipe["options"]["split"]["fractions"] == {"train": 0.8, "val": 0.2}
    assert recipe["tasks"]["semseg"]["classes"] == ["class_0", "class_1", "class_2"]
    assert "what are the classes called?" in (tmp_path / "r.yaml").read_text()
    assert [len(held[split]) for split in ("train", "val")] == [4, 1]


def test_a_folder_of_pictures_with_a_list(tmp_path: Path) -> None:
    for split, seeds in (("train", [0, 1]), ("test", [2])):
        folder = tmp_path / "mine" / split
        folder.mkdir(parents=True)
        lines = []
        for seed in seeds:
            for name in ("image", "annotation"):
                Image.fromarray(sample(seed)[name]).save(folder / f"{seed}_{name}.png")
            lines.append({"file_name": f"{seed}_image.png", "mask": f"{seed}_annotation.png", "text": "a room"})
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    recipe, held, _ = prepared(tmp_path)
    assert recipe["options"]["image"] == "image"
    assert recipe["options"]["labels"]["semseg"]["column"] == "mask"
    assert recipe["options"]["split_names"] == {"val": "test"}
    assert np.array_equal(held["val"][0]["semseg"], sample(2)["annotation"])


@pytest.mark.parametrize(
    ("columns", "words"), [(("image",), "labels beside 'image'"), ((), "a column of pictures")], ids=["image", "none"]
)
def test_tables_without_labels_are_told(tmp_path: Path, columns: tuple[str, ...], words: str) -> None:
    save_table(tmp_path / "mine" / "train.parquet", [0, 1], columns)
    with pytest.raises(DataError, match=words) as caught:
        write_recipe(tmp_path / "mine", tmp_path / "r.yaml", None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.yaml").exists()


def test_captions_do_not_hide_label_files(tmp_path: Path) -> None:
    for i in range(3):
        for place, name in (("images", "image"), ("masks", "annotation")):
            (tmp_path / "mine" / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample(i)[name]).save(tmp_path / "mine" / place / f"{i}.png")
    lines = [json.dumps({"file_name": f"{i}.png", "text": "a room"}) for i in range(3)]
    (tmp_path / "mine" / "images" / "metadata.jsonl").write_text("\n".join(lines))
    recipe, _, _ = prepared(tmp_path)
    assert recipe["reader"] == "folder"
    assert recipe["options"]["image"].startswith("images/")
