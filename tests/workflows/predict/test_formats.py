"""The files that other programs read: each is read back by another library than the one that wrote it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.io
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as codes
from pycocotools.coco import COCO

import vtadapt
from vtadapt.errors import DataError, UsageError
from vtadapt.tasks import Task, make_task
from vtadapt.workflows.predict.inputs import listed
from vtadapt.workflows.predict.outputs.coco import names_for
from vtadapt.workflows.predict.outputs.formats import ABOUT, parse_formats
from vtadapt.workflows.predict.outputs.lossless import scale_of, stored
from vtadapt.workflows.predict.outputs.outputs import Outputs
from vtadapt.workflows.predict.outputs.shot import Shot
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.sizing.size import Plan

COMMAND = Path(__file__).resolve().parents[3] / "vtadapt" / "commands" / "predict.py"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, (height, width) in {"a": (40, 56), "sub/b": (31, 47)}.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def opened(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def shot(tmp_path: Path, **predictions: tuple[Task, Any]) -> Shot:
    """A picture of 4 x 5 with the predictions given."""
    tasks = {name: task for name, (task, _) in predictions.items()}
    maps = {name: torch.as_tensor(values) for name, (_, values) in predictions.items()}
    return Shot("a.png", tmp_path / "a", "run", np.zeros((4, 5, 3), np.uint8), tasks, maps, Plan((4, 5)))


def test_all_formats_agree_with_the_arrays(tiny: Any, photos: Path, tmp_path: Path) -> None:
    files = [photos / "a.png", photos / "sub" / "b.png"]
    entries = predict(files, tiny.run, tmp_path / "out", formats="all")
    masks = COCO(tmp_path / "out" / "coco-semseg.json")
    classes = json.loads((tmp_path / "out" / "classes-semseg.json").read_text())
    assert [image["file_name"] for image in masks.loadImgs([1, 2])] == ["a.png", "sub/b.png"]
    for number, (file, entry) in enumerate(zip(files, entries, strict=True), 1):
        arrays, size = np.load(entry["raw"]), opened(file).shape[:2]
        with Image.open(entry["ids"]["semseg"]) as palette:
            assert palette.mode == "P"
            np.testing.assert_array_equal(np.asarray(palette), arrays["semseg"])
        colours = np.array([each["colour"] for each in classes["classes"]])
        np.testing.assert_array_equal(skimage.io.imread(entry["ids"]["semseg"])[..., :3], colours[arrays["semseg"]])

        levels = cv2.imread(entry["depth16"]["depth"], cv2.IMREAD_UNCHANGED)
        scale = json.loads(Path(entry["depth16"]["depth"]).with_suffix(".scale.json").read_text())
        assert (levels.dtype, levels.shape, scale["units"], scale["factor"]) == (np.uint16, size, "m", 0.001)
        np.testing.assert_allclose(levels * scale["factor"] + scale["offset"], arrays["depth"], atol=0.00051)

        vectors = skimage.io.imread(entry["normals"]["normals"]) / 127.5 - 1
        np.testing.assert_allclose(vectors, arrays["normals"], atol=0.004)
        grey = cv2.imread(entry["edges"]["edges"], cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(grey / 255, arrays["edges"], atol=0.00201)

        about = json.loads(Path(entry["json"]).read_text())
        assert (about["size"], about["run"]) == ([*size], tiny.run.name)
        for one in about["tasks"]["semseg"]["classes"]:
            mask = arrays["semseg"] == one["id"]
            assert one["name"] == classes["classes"][one["id"]]["name"]
            assert one["pixels"] == mask.sum()
            x, y, w, h = one["box"]
            assert (mask[y : y + h, x : x + w].sum(), cv2.boundingRect(mask.astype(np.uint8))) == (
                mask.sum(),
                (x, y, w, h),
            )
        assert about["tasks"]["depth"]["mean"] == pytest.approx(arrays["depth"].mean(), rel=1e-4)

        regions = masks.loadAnns(masks.getAnnIds(imgIds=number))
        again = np.full(size, 255)
        for region in regions:
            mask = masks.annToMask(region).astype(bool)
            again[mask] = region["category_id"] - 1
            assert region["area"] == mask.sum()
            assert region["bbox"] == [*map(float, codes.toBbox(region["segmentation"]))]
        np.testing.assert_array_equal(again, arrays["semseg"])
        for path in entry["overlay"].values():
            assert opened(path).shape[:2] == size


def test_predictions_are_labels_that_a_recipe_reads(tiny: Any, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "source" / "labels"
    entry = predict([photos / "a.png"], tiny.run, out, formats="ids,depth16,normals,edges,npz")[0]
    (tmp_path / "source" / "images").mkdir()
    (photos / "a.png").rename(tmp_path / "source" / "images" / "a.png")
    tasks = vtadapt.load(tiny.run).tasks
    recipe = {
        "name": "again", "title": "t", "licence": "l", "reader": "folder", "splits": ["val"],
        "tasks": {
            "semseg": {"kind": "classes", "classes": [*tasks["semseg"].classes]},
            "depth": {"kind": "regression", "units": "m"},
            "normals": {"kind": "unit_vector"},
            "edges": {"kind": "boundary"},
        },
        "options": {
            "image": "images/*.png",
            "labels": {
                "semseg": {"files": "labels/{stem}_semseg.png", "void": [255]},
                "depth": {"files": "labels/{stem}_depth.png", "factor": 0.001, "missing": [0]},
                "normals": {"files": "labels/{stem}_normals.png"},
                "edges": {"files": "labels/{stem}_edges.png", "scale": 255},
            },
            "split": {"fractions": {"val": 1.0}, "seed": 0},
        },
    }  # fmt: skip
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(recipe))
    vtadapt.prepare_data(tmp_path / "again.yaml", tmp_path / "source", data_dir=tmp_path / "data")
    run = shutil.copytree(tiny.run, tmp_path / "run")  # what is measured is written into it
    measured = vtadapt.load(run).evaluate("again", data_dir=tmp_path / "data")["metrics"]["again"]
    arrays = np.load(entry["raw"])
    assert arrays["semseg"].shape == (40, 56)
    assert measured.keys() == tasks.keys()


@pytest.mark.parametrize("distance", [True, False])
@given(low=st.floats(-1e4, 1e4), span=st.floats(0, 1e5))
def test_the_scale_holds_all_values(low: float, span: float, distance: bool) -> None:
    low = abs(low) + 0.01 if distance else low
    values = np.linspace(low, low + span, 50)
    scale = scale_of(values, distance=distance)
    levels = stored(values, scale)
    assert levels.min() >= 1
    np.testing.assert_allclose(
        levels * scale.factor + scale.offset, values, atol=scale.factor * (1 if distance else 0.51)
    )
    assert scale.factor <= max(0.001, 5.1 * (low + span if distance or low > 0 else span) / 65533)


def test_what_is_no_number_is_missing(tmp_path: Path) -> None:
    values = torch.full((4, 5), 7.5)
    values[0, 0], values[1, 1] = torch.nan, torch.inf
    several = torch.stack([values, values - 9, values * 20])
    one = shot(tmp_path, heat=(make_task("heat", "regression", channels=3), several))
    paths = Outputs(("depth16",)).write(one)["depth16"]
    assert [*paths] == ["heat-0", "heat-1", "heat-2"]
    for path, value in zip(paths.values(), (7.5, -1.5, 150), strict=True):
        levels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        scale = json.loads(Path(path).with_suffix(".scale.json").read_text())
        assert (levels[0, 0], levels[1, 1], (levels == 0).sum()) == (0, 0, 2)
        assert levels[2, 2] * scale["factor"] + scale["offset"] == pytest.approx(value, abs=scale["factor"])


def test_more_than_255_classes(tmp_path: Path) -> None:
    task = make_task("many", "classes", num_classes=255)
    wide = make_task("wide", "classes", classes=[f"c{i}" if i != 255 else "(void)" for i in range(300)])
    ids = torch.arange(20).reshape(4, 5) * 14
    one = shot(tmp_path, many=(task, ids.clamp(max=254)), wide=(wide, ids + 30))
    outputs = Outputs(("ids", "coco"))
    outputs.begin(tmp_path, one.tasks)
    paths = outputs.write(one)["ids"]
    np.testing.assert_array_equal(opened(paths["many"]), ids.clamp(max=254))
    np.testing.assert_array_equal(cv2.imread(paths["wide"], cv2.IMREAD_UNCHANGED), ids + 30)
    assert len(json.loads((tmp_path / "classes-wide.json").read_text())["classes"]) == 299


def test_lists_of_formats(cli: Callable[..., Any], tiny: Any, photos: Path, tmp_path: Path) -> None:
    assert parse_formats("npz, ids,,IDS") == ("ids", "npz")
    assert parse_formats("all") == tuple(ABOUT)
    assert all(name in COMMAND.read_text(encoding="utf-8") for name in ABOUT)
    for wrong, why in (("idz", "no format 'idz'.*Did you mean 'ids'"), (",", "no format named")):
        with pytest.raises(UsageError, match=why):
            parse_formats(wrong)
    ran = cli("predict", photos / "a.png", "--run", tiny.run, "--out", tmp_path / "out", "--format", "nope")
    assert (ran.code, ran.out, (tmp_path / "out").exists()) == (2, "", False)
    for options, wanted in (
        (["--format", "json,depth16"], {"a.json", "a_depth.png", "a_depth.scale.json"}),
        (["--format", "panel,json", "--no-panel"], {"a.json"}),
        (["--format", "json", "--raw"], {"a.json", "a.npz"}),
        (["--format", "ids"], {"a_semseg.png", "classes-semseg.json"}),
        ([], {"a_panel.png"}),
    ):
        out = tmp_path / "-".join(["out", *options])
        ran = cli("predict", photos / "a.png", "--run", tiny.run, "--out", out, *options)
        assert ran.code == 0, ran.err
        assert {path.name for path in out.iterdir()} == wanted
        assert {Path(line) for line in ran.out.splitlines()} <= {*out.iterdir()}
    assert cli("predict", photos, "--run", tiny.run, "--out", tmp_path / "x", "--no-panel").code == 2


def test_a_format_that_the_run_has_nothing_for(cli: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    vtadapt.create(["depth"], size=(64, 64)).save(tmp_path / "run")
    common = ("predict", photos / "a.png", "--run", tmp_path / "run", "--out", tmp_path / "out", "--format")
    ran = cli(*common, "ids,coco")
    assert (ran.code, ran.out, (tmp_path / "out").exists()) == (2, "", False)
    assert "has no such task" in ran.err
    ran = cli(*common, "ids,depth16")
    assert ran.code == 0
    assert "warning: nothing is written as ids" in ran.err
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a_depth.png", "a_depth.scale.json"]


def test_a_list_on_stdin(
    cli: Callable[..., Any], tiny: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [photos / "a.png", photos / "sub" / "b.png"]
    for text in ("\n".join(map(str, files)), f"{files[0]}\r\n\n{files[1]}\n", "\0".join(map(str, files)) + "\0"):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert [*listed([Path("-"), Path("c.png")])] == [*files, Path("c.png")]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{files[1]}\n{files[0]}\n"))
    ran = cli("predict", "-", "--run", tiny.run, "--out", tmp_path / "out")
    assert (ran.code, [Path(line).name for line in ran.out.split()]) == (0, ["b_panel.png", "a_panel.png"]), ran.err
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    ran = cli("predict", "-", "--run", tiny.run, "--out", tmp_path / "out")
    assert (ran.code, "stdin" in ran.err) == (3, True)


def test_names_in_one_file_for_all(tmp_path: Path) -> None:
    files = [tmp_path / "x" / "a.png", tmp_path / "y" / "z" / "a.png"]
    assert [*names_for(files).values()] == ["x/a.png", "y/z/a.png"]
    assert [*names_for(files[:1]).values()] == ["a.png"]
    assert names_for([]) == {}


def test_predictions_save_themselves(tiny: Any, photos: Path, tmp_path: Path) -> None:
    out = vtadapt.load(tiny.run).predict(photos / "a.png")
    found = out.save(tmp_path / "here", "b", "all")
    predict([photos / "a.png"], tiny.run, tmp_path / "there", formats="all")
    assert found.keys() == {*ABOUT, "raw"} - {"npz"}
    for path in (tmp_path / "there").iterdir():
        if path.suffix == ".png" and "panel" not in path.name:
            assert path.read_bytes() == (tmp_path / "here" / path.name.replace("a_", "b_", 1)).read_bytes()
    assert (tmp_path / "here" / "b-coco-semseg.json").is_file()
    with pytest.raises(UsageError, match="without a folder"):
        out.save(tmp_path, "../b")
    with pytest.raises(UsageError, match="no format"):
        out.save(tmp_path, "b", "jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        out.save(tmp_path / "file", "b")


def test_stdout_names_every_file_once(cli: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = cli("predict", photos, "--run", "demo", "--format", "panel,ids,npz,coco", "--out", out)
    assert ran.code == 0, ran.err
    named = [Path(line) for line in ran.out.splitlines()]
    assert len(named) == len({*named})
    assert {path.name for path in named} == {path.name for path in out.iterdir()} - {"classes-semseg.json"}
    assert [path.name for path in named][0] == "a_panel.png"
    assert "a_panel.png and 3 more" in ran.err
