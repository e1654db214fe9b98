"""Hugging Face data sets on disk: Parquet, ``save_to_disk``, and folders of pictures with a list."""

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

from tests.data.formats.own import SHAPE, prepared
from vtadapt.errors import VtadaptError

RECIPE: dict[str, Any] = {
    "name": "hub",
    "title": "t",
    "licence": "own",
    "reader": "huggingface",
    "splits": ["train", "val"],
    "tasks": {"semseg": {"kind": "classes", "classes": ["a", "b", "c"]}, "depth": {"kind": "regression", "units": "m"}},
    "options": {
        "labels": {"semseg": {"column": "annotation", "void": [255]}, "depth": {"column": "depth", "factor": 0.001}},
        "split_names": {"val": "validation"},
    },
}


def png(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", **options)
    return file.getvalue()


def sample(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "image": random.integers(0, 256, (*SHAPE, 3), np.uint8),
        "annotation": random.choice(np.array([0, 1, 2, 255], np.uint8), SHAPE),
        "depth": random.integers(500, 4000, SHAPE).astype(np.uint16),
    }


def table(seeds: list[int], as_struct: bool = True) -> pa.Table:
    """As ``datasets`` stores pictures: a struct of bytes and path."""
    columns: dict[str, list[Any]] = {"image": [], "annotation": [], "depth": []}
    for seed in seeds:
        for name, array in sample(seed).items():
            data = png(array)
            columns[name].append({"bytes": data, "path": f"{seed}.png"} if as_struct else data)
    return pa.table(columns)


def check(tmp_path: Path, source: Path, seeds: dict[str, list[int]], recipe: dict[str, Any] = RECIPE) -> None:
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    manifest, held = prepared(tmp_path / "hub.yaml", source, tmp_path / "data")
    assert {split: entry["samples"] for split, entry in manifest["splits"].items()} == {
        split: len(of) for split, of in seeds.items()
    }
    wanted = [sample(seed) for of in seeds.values() for seed in of]
    for arrays in held.values():
        match = next(one for one in wanted if np.array_equal(one["image"], arrays["image"]))
        np.testing.assert_array_equal(arrays["semseg"], match["annotation"])
        np.testing.assert_allclose(arrays["depth"], match["depth"] / 1000, rtol=1e-3)


@pytest.mark.parametrize(
    "names", ["data/{split}-00000-of-00001-ab12.parquet", "{split}/0000.parquet", "{split}.parquet"]
)
def test_parquet(tmp_path, names):
    for split, seeds in (("train", [1, 2, 3, 4, 5]), ("validation", [6, 7])):
        path = tmp_path / "src" / names.format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(seeds), path, row_group_size=2)
    check(tmp_path, tmp_path / "src", {"train": [1, 2, 3, 4, 5], "val": [6, 7]})


@pytest.mark.parametrize("writer", [pa.ipc.new_stream, pa.ipc.new_file])
def test_save_to_disk(tmp_path, writer):
    root = tmp_path / "src"
    for split, seeds in (("train", [1, 2, 3]), ("validation", [4])):
        (root / split).mkdir(parents=True)
        content = table(seeds)
        with (
            pa.OSFile(str(root / split / "data-00000-of-00001.arrow"), "wb") as sink,
            writer(sink, content.schema) as out,
        ):
            out.write_table(content)
        (root / split / "state.json").write_text("{}")
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
    check(tmp_path, root, {"train": [1, 2, 3], "val": [4]})


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_folder_of_pictures_with_a_list(tmp_path, suffix):
    root = tmp_path / "src"
    for split, seeds in (("train", [1, 2]), ("validation", [3])):
        rows = []
        for seed in seeds:
            row = {"file_name": f"images/{seed}.png", "annotation": f"masks/{seed}.png", "depth": f"depth/{seed}.png"}
            for name, path in zip(("image", "annotation", "depth"), row.values(), strict=True):
                (root / split / path).parent.mkdir(parents=True, exist_ok=True)
                (root / split / path).write_bytes(png(sample(seed)[name]))
            rows.append(row)
        lines = [json.dumps(row) for row in rows]
        if suffix == "csv":
            lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (root / split / f"metadata.{suffix}").write_text("\n".join(lines) + "\n")
    check(tmp_path, root, {"train": [1, 2], "val": [3]})


def test_one_table_divided_by_shares_and_cells_of_other_kinds(tmp_path):
    root = tmp_path / "src"
    root.mkdir()
    content = table([1, 2, 3, 4], as_struct=False).to_pydict()
    content["annotation"] = [sample(seed)["annotation"].tolist() for seed in (1, 2, 3, 4)]
    pq.write_table(pa.table(content), root / "all.parquet")
    options = {**RECIPE["options"], "split": {"fractions": {"train": 0.5, "val": 0.5}, "seed": 3}}
    recipe = {**RECIPE, "options": {k: v for k, v in options.items() if k != "split_names"}}
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    manifest, held = prepared(tmp_path / "hub.yaml", root, tmp_path / "data")
    assert {split: entry["samples"] for split, entry in manifest["splits"].items()} == {"train": 2, "val": 2}
    assert len(held) == 4


def test_an_empty_cell_is_a_missing_label(tmp_path):
    root = tmp_path / "src"
    root.mkdir()
    content = table([1, 2]).to_pydict()
    content["depth"][1] = None
    for split in ("train", "validation"):
        pq.write_table(pa.table(content), root / f"{split}.parquet")
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    _, held = prepared(tmp_path / "hub.yaml", root, tmp_path / "data")
    assert ["depth" in held[name] for name in sorted(held)] == [True, False, True, False]


def refused(tmp_path: Path, *words: str, **changes: Any) -> None:
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump({**RECIPE, **changes}, sort_keys=False))
    with pytest.raises(VtadaptError) as caught:
        prepared(tmp_path / "hub.yaml", tmp_path / "src", tmp_path / "data")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_is_wrong_is_named(tmp_path):
    root = tmp_path / "src"
    root.mkdir()
    refused(tmp_path, "no table of split 'train'")
    for split in ("train", "validation"):
        pq.write_table(table([1, 2]), root / f"{split}.parquet")
    wrong = {"labels": {"semseg": {"column": "anotation"}, "depth": {"column": "depth"}}}
    refused(tmp_path, "no column 'anotation'", "Did you mean 'annotation'", options={**RECIPE["options"], **wrong})
    files = {"labels": {"semseg": {"column": "annotation", "files": "x"}, "depth": {"column": "depth"}}}
    refused(tmp_path, "'files' is for the reader folder", options={**RECIPE["options"], **files})
    content = table([1, 2]).to_pydict()
    content["image"][1] = {"bytes": b"nonsense", "path": None}
    pq.write_table(pa.table(content), root / "train.parquet")
    refused(tmp_path, "train.parquet: row 1, image", "broken picture")
    content["image"][1] = {"bytes": None, "path": "../../etc/passwd"}
    pq.write_table(pa.table(content), root / "train.parquet")
    refused(tmp_path, "row 1, image", "out of the data set")
    (root / "train.parquet").write_bytes(b"PAR1 and nothing more")
    refused(tmp_path, "train.parquet: broken table")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("metadata.csv", "file_name,annotation,depth\na.png,b.png,c.png,d.png\n", "line 2: more cells than columns"),
        ("metadata.csv", f"file_name,annotation,depth\na.png,{'x' * 200_000},c.png\n", "no CSV"),
        (
            "metadata.jsonl",
            '{"file_name": "a\\u0000.png", "annotation": "b.png", "depth": "c.png"}',
            "no name of a file",
        ),
    ],
)
def test_lists_that_hold_what_no_list_should(tmp_path, name, text, words):
    for split in ("train", "validation"):
        (tmp_path / "src" / split).mkdir(parents=True)
        (tmp_path / "src" / split / name).write_text(text)
    refused(tmp_path, words)


def test_an_arrow_file_that_would_crash_its_reader(tmp_path):
    """Its buffers lie beyond its end by what it says of itself."""
    for split in ("train", "validation"):
        path = tmp_path / "src" / split / "data-00000-of-00001.arrow"
        path.parent.mkdir(parents=True)
        content = table([1])
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, content.schema) as out:
            out.write_table(content)
        data = bytearray(path.read_bytes())
        data[60:200] = b"\x80" * 140  # within the schema's own tables
        path.write_bytes(data)
    refused(tmp_path, "data-00000-of-00001.arrow: broken table")
