"""vtadapt from Python: pictures of every type, the arrays that come back, what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt
from vtadapt.api.pictures import as_rgb
from vtadapt.errors import ConfigError, DataError, UsageError


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
    [
        np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3), int), np.zeros((0, 4, 3), np.uint8), torch.zeros(2, 5, 5),
        np.zeros((4, 4, 3), bool), np.zeros((2, 2, 4, 4, 3), np.uint8), 7, None, {},
    ],
)  # fmt: skip
def test_what_is_no_picture(picture: Any) -> None:
    with pytest.raises(UsageError, match="wanted a path, a PIL image, an array"):
        as_rgb(picture)


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (np.full((4, 5, 3), 200.0), "from 200 to 200; divide by 255"),
        (np.full((4, 5, 3), np.nan), "from nan to nan"),
        (torch.randn(3, 40, 50) * 2, "undo a normalisation"),
        (np.zeros((3, 40, 50), np.uint8), "channels come first"),
    ],
)
def test_what_looks_like_a_slip_is_not_guessed(picture: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        as_rgb(picture)


def test_every_form_of_the_same_picture(rgb: np.ndarray, tmp_path: Path) -> None:
    alpha = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    halves = (tensor / 255).half(), (tensor.double() / 255)
    read_only = rgb.copy()
    read_only.flags.writeable = False
    sideways = Image.fromarray(np.rot90(rgb))
    exif = sideways.getexif()
    exif[0x0112] = 6
    sideways.save(tmp_path / "a.png", exif=exif)
    forms = [
        *(
            rgb / 255,
            (rgb / 255).astype(np.float32),
            rgb.astype(np.uint16) * 257,
            alpha,
            read_only,
            rgb[:, ::-1][:, ::-1],
        ),
        *(
            tensor,
            torch.from_numpy(rgb),
            *halves,
            torch.from_numpy(alpha).permute(2, 0, 1),
            tensor.requires_grad_(False),
        ),
        *(Image.fromarray(rgb), Image.fromarray(alpha), Image.open(tmp_path / "a.png"), tmp_path / "a.png"),
    ]
    for form in forms:
        np.testing.assert_array_equal(as_rgb(form), rgb)
    grey = rgb[..., 0]
    for form in (grey, grey[..., None], torch.from_numpy(grey), torch.from_numpy(grey)[None], Image.fromarray(grey)):
        np.testing.assert_array_equal(as_rgb(form), np.dstack([grey] * 3))
    palette = Image.fromarray(grey).convert("P")
    np.testing.assert_array_equal(as_rgb(palette), np.dstack([grey] * 3))


def test_several_pictures_of_mixed_sizes(model: vtadapt.Model, rgb: np.ndarray) -> None:
    wanted = model.predict(rgb)
    mixed = model.predict((rgb, rgb[:32], Image.fromarray(rgb[:, :30])))
    assert [out["normals"].shape for out in mixed] == [(40, 56, 3), (32, 56, 3), (40, 30, 3)]
    for several in (np.stack([rgb, rgb]), iter([rgb, rgb]), torch.from_numpy(np.stack([rgb, rgb])).permute(0, 3, 1, 2)):
        found = model.predict(several)
        assert len(found) == 2
        np.testing.assert_array_equal(found[1]["depth"], wanted["depth"])
    assert model.predict([]) == []
    stream = model.stream(iter([rgb, 7]))
    np.testing.assert_array_equal(next(stream)["edges"], wanted["edges"])
    with pytest.raises(UsageError, match="cannot take int"):
        next(stream)


def test_some_tasks_at_other_sizes(model: vtadapt.Model, rgb: np.ndarray) -> None:
    out = model.predict(rgb, tasks=["edges", "depth"], size=(64, 96))
    assert ([*out], out.run_size, out.tiles) == (["edges", "depth"], (64, 96), 1)
    np.testing.assert_allclose(out["depth"], model.predict(rgb, size="64x96")["depth"], rtol=1e-4)
    assert model.predict(np.zeros((300, 300, 3), np.uint8), tasks=["depth"], size="native", tile=256).tiles == 4
    with pytest.raises(UsageError, match="no task 'depht'.*semseg.*Did you mean 'depth'"):
        model.predict(rgb, tasks=["depht"])
    with pytest.raises(UsageError, match="no task named"):
        model.predict(rgb, tasks=[])
    with pytest.raises(UsageError, match="device 'nowhere'"):
        model.to("nowhere")


def test_a_prediction_says_what_it_holds(model: vtadapt.Model, rgb: np.ndarray) -> None:
    out = model.predict(rgb, binary=True)
    np.testing.assert_array_equal(out.image, rgb)
    assert out.units == {"depth": "m"}
    shares = out.shares("semseg")
    assert sum(shares.values()) == pytest.approx(1)
    first = next(iter(shares))
    assert shares[first] == pytest.approx((out["semseg"] == out.classes["semseg"].index(first)).mean())
    assert out.colour("normals").size == (56, 40)
    assert out.panel().size == Image.open(io.BytesIO(out._repr_png_())).size
    assert set(np.unique(out["edges"])) <= {0, 1}
    assert "uint8 (40, 56)" in repr(out)
    with pytest.raises(UsageError, match="'depth' has no classes.*semseg"):
        out.shares("depth")


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
    assert model.evaluate()["metrics"]["tiny"].keys() == model.tasks.keys()


def test_a_loop_of_ones_own_makes_a_run(tmp_path: Path, cli: Any) -> None:
    parts = vtadapt.make_task("parts", "classes", classes=["left", "right"])
    model = vtadapt.create(["depth", parts], size=(64, 64), seed=3)
    frozen = {name: p.detach().clone() for name, p in model.network.named_parameters() if not p.requires_grad}
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    sides = np.tile(np.arange(64) >= 32, (2, 64, 1)).astype(np.uint8)
    targets = model.targets({"depth": np.full((2, 64, 64), 3.0), "parts": sides})
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        loss = model.loss(model.network(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.8 * losses[0]
    assert all(torch.equal(p, frozen[name]) for name, p in model.network.named_parameters() if name in frozen)
    assert model.network.training
    wanted = model.predict(images[0])
    assert model.network.training  # predicting left it as it was

    folder = model.save(tmp_path / "runs" / "mine")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "settings.yaml"]
    for name, array in vtadapt.load("mine", run_dir=tmp_path / "runs").predict(images[0]).items():
        np.testing.assert_array_equal(array, wanted[name])
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    ran = cli("predict", tmp_path / "a.png", "--run", folder, "--out", tmp_path / "out")
    assert (ran.code, (tmp_path / "out" / "a_panel.png").is_file()) == (0, True), ran.err
    with pytest.raises(DataError, match="a run is at .*overwrite=True"):
        model.save(folder)
    model.save(folder, overwrite=True)


def test_what_cannot_be_created() -> None:
    with pytest.raises(ConfigError, match="unknown task 'dept'.*Did you mean 'depth'"):
        vtadapt.create(["dept"])
    with pytest.raises(ConfigError, match="setting 'lr' is none of the network's"):
        vtadapt.create(["depth"], lr=1)
    with pytest.raises(ConfigError, match="lora_rank"):
        vtadapt.create(["depth"], lora_rank=4)
    with pytest.raises(ConfigError, match="different names"):
        vtadapt.create(["depth", "depth"])
    model = vtadapt.create(["depth"])
    with pytest.raises(UsageError, match="no task 'edges'"):
        model.targets({"edges": [np.zeros((8, 8))]})
    with pytest.raises(DataError, match="save"):
        model.evaluate()
    with pytest.raises(UsageError, match="unknown option 'limits'.*Did you mean 'limit'"):
        vtadapt.prepare_data("rooms", limits=1)
