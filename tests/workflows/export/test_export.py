"""Exported runs: any number and size of pictures in, the run's own predictions out, by runtimes without vtadapt."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt
from vtadapt.errors import UsageError, VtadaptError
from vtadapt.workflows.export import export as module
from vtadapt.workflows.export.export import ExportOptions, export
from vtadapt.workflows.export.formats import FORMATS, Format, fresh
from vtadapt.workflows.export.network import resampled
from vtadapt.workflows.sizing.size import resize

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "onnx" / "infer.py"
TASKS = ["depth", "normals", "edges", vtadapt.make_task("parts", "classes", classes=["a", "b", "c"])]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with heads that say something, of a network that nothing was trained of."""
    model = vtadapt.create(TASKS, size=(64, 64))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.save(tmp_path_factory.mktemp("export") / "a run")


def agrees(found: dict[str, np.ndarray], run: Path, image: np.ndarray, size: str) -> None:
    """The file's predictions are those of :func:`vtadapt.load`."""
    for wanted, *each in zip(vtadapt.load(run).predict(image, size=size), *found.values(), strict=True):
        for (name, array), value in zip(wanted.items(), each, strict=True):
            if value.dtype == np.uint8:
                assert (array != value).mean() < 2e-3, name
            else:
                np.testing.assert_allclose(value, array, atol=2e-3 * np.abs(array).max(), err_msg=name)


@pytest.mark.parametrize("size", [(37, 53), (200, 170), (96, 40), (1, 1), (64, 500)])
def test_products_of_matrices_are_what_interpolation_is(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        resampled(image, size, (64, 80), smooth=True), resize(image, (64, 80)), atol=2e-5, rtol=0
    )
    wanted = torch.nn.functional.interpolate(image, size=(64, 80), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resampled(image, size, (64, 80), smooth=False), wanted, atol=2e-5, rtol=0)


@pytest.mark.slow
def test_onnx_without_torch(cli: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.onnx"
    ran = cli("export", run, "--size", "64x96", "--out", out, "--json")
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["file"], said["format"], said["size"], said["input"]) == (str(out), "onnx", [64, 96], "uint8")
    assert (said["bytes"], said["opset"]) == (out.stat().st_size, 17)
    assert [each["batch"] for each in said["checked"]] == [1, 2, 3]
    assert len({tuple(each["size"]) for each in said["checked"]}) == 3
    assert said["greatest"].keys() == said["outputs"].keys() == vtadapt.load(run).tasks.keys()
    assert max(said["greatest"].values()) < 0.01

    import onnxruntime

    session = onnxruntime.InferenceSession(str(out))
    (given,) = session.get_inputs()
    assert (given.name, given.shape, given.type) == ("image", ["batch", "height", "width", 3], "tensor(uint8)")
    names = [output.name for output in session.get_outputs()]
    image = fresh((81, 50), 4, 77, floats=False)
    agrees(dict(zip(names, session.run(None, {"image": image}), strict=True)), run, image, "64x96")
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["parts"])["classes"] == ["a", "b", "c"]
    assert json.loads(about["depth"])["units"] == "m"

    Image.fromarray(image[0]).save(tmp_path / "photo.png")
    alone = (
        f"import sys; sys.modules['torch'] = sys.modules['vtadapt'] = None; sys.argv = {['x', str(out), 'photo.png']}"
    )
    code = f"{alone}; exec(open({str(SCRIPT)!r}).read())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines.keys() == {*names}
    shares = ast.literal_eval(lines["parts"])
    assert sum(float(share.strip("%")) for share in shares.values()) == pytest.approx(100, abs=0.2)


def test_the_script_is_short() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    assert len([line for line in SCRIPT.read_text(encoding="utf-8").splitlines() if line.strip()]) <= 22
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"json", "sys", "numpy", "onnxruntime"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"input": "float", "tasks": ["parts", "depth"]}),
        ({"decoder": "swin"}, {}),
        ({"method": "linear"}, {}),
        ({"method": "dpt"}, {"size": "48x80"}),
    ],
    ids=str,
)
def test_torchscript(tmp_path: Path, settings: dict[str, Any], options: dict[str, Any]) -> None:
    path = vtadapt.create(TASKS, size=(64, 64), **settings).save(tmp_path / "run")
    said = export(path, ExportOptions("torchscript", **options))
    assert (said["file"], "opset" in said) == (str(path / "run.pt"), False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        module = torch.jit.load(said["file"])
    floats = said["input"] == "float"
    image = fresh((50, 70), 3, 5, floats=floats)
    found = {name: value.numpy() for name, value in module(torch.from_numpy(image)).items()}
    assert [*found] == [*said["outputs"]]
    for name, value in vtadapt.load(path).predict(image[2], size="x".join(map(str, said["size"]))).items():
        if name in found and value.dtype == np.float32:
            np.testing.assert_allclose(found[name][2], value, atol=0.02 * np.abs(value).max())


@pytest.mark.slow
def test_torch_export(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.pt2"
    said = export(run, ExportOptions("torch-export", tasks=["depth", "parts"], out=out))
    extra = {"about.json": ""}
    program = torch.export.load(said["file"], extra_files=extra)
    assert json.loads(json.loads(extra["about.json"])["parts"])["classes"] == ["a", "b", "c"]
    image = fresh((50, 70), 3, 5, floats=False)
    found = program.module()(torch.from_numpy(image))
    wanted = vtadapt.load(run).predict(image[1], size="64x64", tasks=["depth", "parts"])
    np.testing.assert_allclose(found["depth"][1], wanted["depth"], atol=2e-3 * wanted["depth"].max())


@pytest.mark.slow
def test_torch_export_of_four_tasks(tmp_path: Path) -> None:
    """Those of rooms, which the bundled run has: classes, distances, directions and edges."""
    out = tmp_path / "demo.pt2"
    model = vtadapt.load("demo")
    said = export(model.path, ExportOptions("torch-export", input="float", out=out))
    assert [*said["outputs"]] == ["semseg", "depth", "normals", "edges"]
    image = fresh((90, 61), 2, 9, floats=True)
    found = torch.export.load(str(out)).module()(torch.from_numpy(image))
    agrees({name: value[1:].numpy() for name, value in found.items()}, model.path, image[1:], "128x128")


def test_what_cannot_be_asked_for(cli: Callable[..., Any], run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    for options, why in (
        (["--format", "onx"], "Did you mean 'onnx'"),
        (["--size", "native"], "works at one size"),
        (["--size", "12by3"], "size '12by3'"),
        (["--input", "int8"], "wanted uint8"),
        (["--tasks", "depht"], "no task 'depht'"),
        (["--tasks", ","], "no task"),
    ):
        ran = cli("export", run, "--out", tmp_path / "a.onnx", *options)
        assert (ran.code, ran.out, why in ran.err) == (2, "", True), ran.err
        assert len(ran.err.splitlines()) == 1
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else object())
    with pytest.raises(UsageError, match=r"needs onnx; install with: pip install 'vtadapt\[export\]'"):
        export(run, ExportOptions())
    assert not [*tmp_path.iterdir()]


def test_a_file_that_says_something_else_is_not_kept(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "a.pt"
    out.write_text("before")
    script = FORMATS["torchscript"]
    small = {"tasks": ["depth"], "out": out}

    def off(path: Path) -> Any:
        run = script.open(path)
        return lambda image: {name: value * np.float32(1.01) for name, value in run(image).items()}

    monkeypatch.setattr(module, "FORMATS", {"torchscript": script._replace(open=off)})
    with pytest.raises(VtadaptError, match="predicts another depth than the run"):
        export(run, ExportOptions("torchscript", **small))

    def broken(*_: Any) -> Any:
        raise RuntimeError("the op 'x'\nis unknown")

    monkeypatch.setattr(module, "FORMATS", {"torchscript": Format(".pt", (broken,), script.open)})
    with pytest.raises(VtadaptError, match="cannot be exported as torchscript \\(the op 'x' is unknown\\)"):
        export(run, ExportOptions("torchscript", **small))
    assert (out.read_text(), [path.name for path in tmp_path.iterdir()]) == ("before", ["a.pt"])
    monkeypatch.setattr(module, "FORMATS", {"torchscript": Format(".pt", (broken, *script.write), script.open)})
    assert export(run, ExportOptions("torchscript", **small))["bytes"] > 10_000  # the second way is tried
