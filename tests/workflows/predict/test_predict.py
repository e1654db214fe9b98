"""Predicting for photographs of any size and kind, and what happens where a file is none."""

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
import torch
from PIL import Image

import vtadapt
from vtadapt.checked import parse_json
from vtadapt.errors import DataError, UsageError, VtadaptError
from vtadapt.workflows.predict.image import Predictor, read_image
from vtadapt.workflows.predict.inputs import find_images
from vtadapt.workflows.predict.predict import predict
from vtadapt.workflows.run.load import Loaded, load_run
from vtadapt.workflows.sizing.decoded import enough_memory
from vtadapt.workflows.sizing.size import Sizing


def photo(height: int, width: int) -> np.ndarray:
    """A smooth picture with some noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width))
    return np.stack([x * 200 // max(width, 1) + noise, y * 200 // max(height, 1) + noise, noise * 3], -1).astype(
        np.uint8
    )


def save(path: Path, height: int = 20, width: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(height, width)).save(path)
    return path


@pytest.fixture(scope="module")
def loaded(tiny: Any) -> Loaded:
    return load_run(tiny.run)


@pytest.mark.parametrize(("height", "width"), [(33, 517), (517, 33), (1, 1), (7, 9), (1, 300)])
@pytest.mark.parametrize("size", ["auto", "native", "64x96"])
def test_any_size(loaded: Loaded, height: int, width: int, size: str) -> None:
    found = Predictor(loaded, Sizing(size))(photo(height, width)).maps
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "semseg": (height, width),
        "depth": (1, height, width),
        "normals": (3, height, width),
        "edges": (1, height, width),
    }
    assert all(bool(value.isfinite().all()) for value in found.values())


@pytest.mark.parametrize(("height", "width"), [(1500, 2000), pytest.param(3000, 4000, marks=pytest.mark.slow)], ids=str)
def test_a_large_photograph(tiny: Any, tmp_path: Path, height: int, width: int) -> None:
    result = predict([save(tmp_path / "large.jpg", height, width)], tiny.run, tmp_path / "out")
    assert result[0]["size"] == [height, width]
    assert (result[0]["run_size"], result[0]["tiles"]) == ([42, 55], 1)
    with Image.open(result[0]["panel"]) as panel:
        assert panel.width > 500


def test_bands_equal_the_whole(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    # Class maps of large photographs are decoded in bands of rows; here with one band, and with many.
    image = photo(200, 130)
    whole = Predictor(loaded)(image).maps["semseg"]
    linspace = torch.linspace
    monkeypatch.setattr("torch.linspace", lambda start, end, count: linspace(start, end, 9 * count))
    assert (Predictor(loaded)(image).maps["semseg"] == whole).all()


def test_raw_arrays_have_the_photographs_size(tiny: Any, tmp_path: Path) -> None:
    sizes = [(1, 1), (9, 1), (1, 9), (20, 31)]
    images = [save(tmp_path / f"{h} {w}.png", h, w) for h, w in sizes]
    for entry, (h, w) in zip(predict(images, tiny.run, tmp_path / "out", raw=True), sizes, strict=True):
        with np.load(entry["raw"]) as arrays:
            found = {name: (arrays[name].shape, str(arrays[name].dtype)) for name in arrays}
        assert found == {
            "semseg": ((h, w), "uint8"),
            "depth": ((h, w), "float32"),
            "normals": ((h, w, 3), "float32"),
            "edges": ((h, w), "float32"),
        }


def test_a_folder_with_names_of_all_kinds(tiny: Any, tmp_path: Path) -> None:
    folder = tmp_path / "fotos mit leerzeichen"
    for name in ("straße 1.PNG", "写真.jpg", "a.png", "a.bmp", "a-2.png", "a.b.webp"):
        save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    results = predict([folder], tiny.run, tmp_path / "aus gabe")
    panels = sorted(Path(r["panel"]).name for r in results)
    names = ["a-2_panel.png", "a-3_panel.png", "a.b_panel.png", "a_panel.png", "straße 1_panel.png", "写真_panel.png"]
    assert panels == names
    assert sorted(p.name for p in (tmp_path / "aus gabe").iterdir()) == panels


@pytest.mark.parametrize(
    ("name", "array", "wanted"),
    [
        ("grey.png", np.full((4, 5), 90, np.uint8), (90, 90, 90)),
        ("grey16.png", np.full((4, 5), 90 * 256 + 3, np.uint16), (90, 90, 90)),
        ("rgb16.png", np.full((4, 5, 3), 90 * 256, np.uint16), (90, 90, 90)),
        ("rgba.png", np.full((4, 5, 4), (10, 20, 30, 128), np.uint8), (30, 20, 10)),
    ],
)
def test_kinds_of_pictures(tmp_path: Path, name: str, array: np.ndarray, wanted: tuple[int, int, int]) -> None:
    path = tmp_path / name
    assert cv2.imwrite(str(path), array)  # its channels are BGR(A)
    rgb = read_image(path)
    assert (rgb.shape, rgb.dtype) == ((4, 5, 3), np.uint8)
    assert tuple(rgb[0, 0]) == wanted


def test_exif_turns_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.fromarray(photo(20, 30)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (30, 20, 3)


def test_broken_exif_is_no_broken_picture(cli: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.jpg", exif=b"Exif\0\0nonsense, no TIFF")
    ran = cli("predict", tmp_path / "a.jpg", "--run", tiny.run, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "a_panel.png").is_file()


@pytest.mark.parametrize("command", ["predict", "visualize-attention"])
def test_nothing_is_written_among_the_photographs(
    cli: Callable[..., Any], tiny: Any, tmp_path: Path, command: str
) -> None:
    image, other = save(tmp_path / "mine" / "photo.png"), save(tmp_path / "other" / "photo.png")
    (tmp_path / "mine" / "photo_panel.png").write_bytes(b"precious")
    (tmp_path / "alias").symlink_to(tmp_path / "mine", target_is_directory=True)
    for given in (image, image.parent):
        for out in (tmp_path / "mine", tmp_path / "alias", tmp_path / "other" / ".." / "mine"):
            ran = cli(command, other, given, "--run", tiny.run, "--out", out)
            assert (ran.code, ran.out) == (2, "")
            assert f"--out {out} is the folder of photo" in ran.err
    assert sorted(p.name for p in image.parent.iterdir()) == ["photo.png", "photo_panel.png"]
    assert (tmp_path / "mine" / "photo_panel.png").read_bytes() == b"precious"
    assert cli(command, image, "--run", tiny.run, "--out", tmp_path / "mine" / "below").code == 0


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=["device", "python", "cpu"])
@pytest.mark.parametrize("command", ["predict", "visualize-attention"])
def test_no_memory_is_one_line(
    cli: Callable[..., Any],
    tiny: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    error: Exception,
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("vtadapt.models.adapted.AdaptedModel.forward", full)
    ran = cli(
        command, save(tmp_path / "a.png", 60, 80), "--run", tiny.run, "--out", tmp_path / "out", "--size", "native"
    )
    assert (ran.code, ran.out) == (5, "")
    tiles = "--tile auto, or " if command == "predict" else ""
    assert ran.err.splitlines()[-1] == f"vtadapt: error: not enough memory at 60 x 80; use {tiles}--size auto or HxW"
    assert not list((tmp_path / "out").iterdir())


def test_other_errors_are_not_taken_for_no_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory((1, 1)):
        raise RuntimeError("shapes do not fit")
    with pytest.raises(VtadaptError, match="not enough memory at 1 x 1"), enough_memory((1, 1)):
        raise MemoryError


def test_a_folder_that_is_called_like_a_picture(tiny: Any, tmp_path: Path) -> None:
    image = save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "x.jpg").mkdir()
    assert list(find_images([tmp_path / "in"])) == [image]
    (tmp_path / "out" / "a_panel.png").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot write .*a_panel.png"):
        predict([image], tiny.run, tmp_path / "out")


def cut_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo(64, 64)).save(buffer, "JPEG")
    return buffer.getvalue()[:-300]


@pytest.mark.parametrize(
    ("content", "said"),
    [(cut_jpeg, "broken picture .*truncated"), (lambda: b"", "broken picture"), (lambda: b"hello", "broken picture")],
    ids=["cut short", "empty", "text"],
)
def test_a_broken_picture(tiny: Any, tmp_path: Path, content: Callable[[], bytes], said: str) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(content())
    with pytest.raises(DataError, match=f"broken.jpg: {said}"):
        predict([broken], tiny.run, tmp_path / "out", raw=True)
    assert not list((tmp_path / "out").iterdir())


def test_what_is_not_there_is_told_before_any_work(tiny: Any, tmp_path: Path) -> None:
    good, empty = save(tmp_path / "good.png"), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"no image or folder at .*none.jpg'; wanted photographs or videos$"):
        predict([good, tmp_path / "none.jpg"], tiny.run, tmp_path / "out")
    with pytest.raises(DataError, match=r"no image in folder .*empty.*; wanted files ending in .jpg"):
        predict([good, empty], tiny.run, tmp_path / "out")
    for size in ("nonsense", "64", "0x64", "64x99999", "-1x5"):
        with pytest.raises(UsageError, match="size"):
            predict([good], tiny.run, tmp_path / "out", size=size)
    with pytest.raises(UsageError, match="device 'nonsense' cannot be used"):
        predict([good], tiny.run, tmp_path / "out", device="nonsense")
    assert not (tmp_path / "out").exists()


def without_threshold(run: Path, folder: Path) -> Path:
    """A copy as older versions left it."""
    copy = shutil.copytree(run, folder / "old", ignore=shutil.ignore_patterns("eval-*"))
    results = parse_json((copy / "results.json").read_bytes())
    del results["thresholds"]
    (copy / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return copy


def test_edges_become_yes_or_no_at_the_threshold_of_training(tiny: Any, tmp_path: Path) -> None:
    threshold = tiny.results["thresholds"]["tiny"]["edges"]
    assert 0 < threshold < 1
    image = save(tmp_path / "a.png", 40, 50)
    found = {}
    for binary in (False, True):
        entry = predict([image], tiny.run, tmp_path / f"out{binary}", raw=True, binary=binary)[0]
        with np.load(entry["raw"]) as arrays:
            found[binary] = dict(arrays)
    assert found[True]["edges"].dtype == np.uint8
    assert np.array_equal(found[True]["edges"], found[False]["edges"] >= threshold)
    assert np.array_equal(found[True]["depth"], found[False]["depth"])
    assert np.array_equal(vtadapt.load(tiny.run).predict(image, binary=True)["edges"], found[True]["edges"])


def test_a_run_without_a_threshold_keeps_its_probabilities(tiny: Any, tmp_path: Path, cli: Callable[..., Any]) -> None:
    run, image = without_threshold(tiny.run, tmp_path), save(tmp_path / "a.png", 40, 50)
    ran = cli("predict", image, "--run", run, "--out", tmp_path / "out", "--binary", "--raw")
    assert ran.code == 0
    assert "threshold of edges" in ran.err
    with np.load(tmp_path / "out" / "a.npz") as arrays:
        assert arrays["edges"].dtype == np.float32
        assert len(np.unique(arrays["edges"])) > 2
    (run / "eval-val.json").write_text(json.dumps({"thresholds": {"tiny": {"edges": 0.25}}}), encoding="utf-8")
    assert load_run(run).thresholds == {"edges": 0.25}  # vtadapt eval finds it for old runs
