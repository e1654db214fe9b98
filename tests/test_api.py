"""vtadapt from Python: pictures of every type, the arrays that come back, what is refused, and the examples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt
from vtadapt.api import as_rgb
from vtadapt.errors import ConfigError, DataError, UsageError

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def model() -> vtadapt.Model:
    return vtadapt.load("demo")


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_arrays_in_the_units_of_the_tasks(model: vtadapt.Model, rgb: np.ndarray) -> None:
    out = model.predict(rgb)
    assert set(out) == set(model.tasks)
    assert {name: array.shape for name, array in out.items()} == {
        "semseg": (40, 56), "depth": (40, 56), "normals": (40, 56, 3), "edges": (40, 56),
    }  # fmt: skip
    assert out["semseg"].max() < len(model.tasks["semseg"].classes)
    assert out["depth"].min() > 0
    np.testing.assert_allclose(np.linalg.norm(out["normals"], axis=2), 1, atol=1e-5)
    assert 0 <= out["edges"].min() <= out["edges"].max() <= 1


def test_every_type_of_picture_is_the_same_picture(model: vtadapt.Model, rgb: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    wanted = model.predict(rgb)
    several = model.predict([tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(rgb), tensor, tensor / 255])
    for found in (*several, *model.predict(torch.stack([tensor, tensor]))):
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)


def test_the_same_as_the_command(model: vtadapt.Model, rgb: np.ndarray, tmp_path: Path, cli: Any) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    assert cli("predict", tmp_path / "a.png", "--run", "demo", "--raw", "--out", tmp_path / "out").code == 0
    for name, array in model.predict(rgb).items():
        np.testing.assert_array_equal(np.load(tmp_path / "out" / "a.npz")[name], array)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), torch.zeros(2, 4, 4), 7],
)
def test_what_is_no_picture(picture: Any) -> None:
    with pytest.raises(UsageError, match="wanted a path, a PIL image, an array"):
        as_rgb(picture)


def test_what_is_not_there(model: vtadapt.Model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run 'nothing'"):
        vtadapt.load("nothing", run_dir=tmp_path)
    with pytest.raises(DataError, match="no image at"):
        model.predict(tmp_path / "nothing.jpg")
    with pytest.raises(ConfigError, match="unknown key 'stepz'"):
        vtadapt.train("rooms", stepz=1)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vtadapt.nothing


def test_a_run_from_python_predicts(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.other(tmp_path).model_dump(exclude_unset=True, exclude={"data"})
    model = vtadapt.train("tiny", **{**settings, "steps": 2, "epochs": None})
    assert (model.path / "results.json").is_file()
    assert model.predict(np.zeros((32, 32, 3), np.uint8)).keys() == model.tasks.keys()
    assert model.network(torch.zeros(1, 3, 32, 32)).keys() == model.tasks.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_examples_run(name: str, tmp_path: Path) -> None:
    command, environ = [sys.executable, EXAMPLES / name], {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_all_names_are_there() -> None:
    assert all(hasattr(vtadapt, name) for name in vtadapt.__all__)
    assert set(vtadapt.__all__) <= set(dir(vtadapt))
