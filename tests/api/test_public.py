"""What is public: names and arguments that stay, cheap to import, and all examples, wherever they stand."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vtadapt

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

SIGNATURES = {
    "load": "run=None, *, run_dir='runs', weights=None, device='cpu', download=False",
    "train": "data, *, quiet=True, device='cpu', **settings",
    "add_task": "run, task, data=None, *, run_dir='runs', weights=None, quiet=True, device='cpu', **settings",
    "create": "tasks, *, size=(128, 128), device='cpu', **settings",
    "prepare_data": "recipe, source=None, *, data_dir='data', quiet=True, **options",
    "make_task": "name, kind, *, classes=(), colours=(), units='', loss=None, **options",
    "Model.predict": "self, image, *, tasks=None, size='auto', tile='auto', binary=False",
    "Model.stream": "self, images, *, tasks=None, size='auto', tile='auto', binary=False",
    "Model.to": "self, device",
    "Model.parameters": "self",
    "Model.targets": "self, labels",
    "Model.loss": "self, logits, targets",
    "Model.evaluate": "self, data=None, split='val', *, data_dir=None",
    "Model.save": "self, folder, *, overwrite=False",
    "Prediction.shares": "self, task",
    "Prediction.colour": "self, task",
    "Prediction.panel": "self, title=''",
    "Prediction.save": "self, folder, name='prediction', formats='panel'",
}
"""Of every public function and method; changing one breaks what people wrote and wants a line in CHANGELOG.md."""

ATTRIBUTES = {
    "Model": {"path", "tasks", "network", "size"},
    "Prediction": {"units", "classes"},
}


def test_the_public_names() -> None:
    assert {*vtadapt.__all__} == {
        *(
            "Model",
            "Prediction",
            "Task",
            "TASKS",
            "make_task",
            "load",
            "train",
            "add_task",
            "create",
            "prepare_data",
            "__version__",
        ),
        *("VtadaptError", "UsageError", "DataError", "ConfigError"),
    }
    assert all(hasattr(vtadapt, name) for name in vtadapt.__all__)
    assert {*vtadapt.__all__} <= {*dir(vtadapt)}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_stay(name: str) -> None:
    found: Any = vtadapt
    for part in name.split("."):
        found = getattr(found, part)
    signature = inspect.signature(found)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    assert str(inspect.Signature(bare)).strip("()") == SIGNATURES[name].strip("()")
    assert all(
        each.annotation is not inspect.Parameter.empty for each in signature.parameters.values() if each.name != "self"
    )
    assert signature.return_annotation is not inspect.Signature.empty
    assert found.__doc__


def test_the_page_has_every_name_with_its_arguments() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (reference,) = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert [name for name in vtadapt.__all__ if f"vtadapt.{name}" not in page] == []
    assert {*reference.splitlines()} == {
        f"vtadapt.{name}({given.removeprefix('self, ').removeprefix('self')})" for name, given in SIGNATURES.items()
    }


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_public_method_is_listed(name: str) -> None:
    own = {key: value for key, value in vars(getattr(vtadapt, name)).items() if not key.startswith("_")}
    methods = {key for key, value in own.items() if inspect.isfunction(value)}
    assert methods == {key.split(".")[1] for key in SIGNATURES if key.startswith(f"{name}.")}
    assert {key for key, value in own.items() if isinstance(value, property)} == ATTRIBUTES[name]
    assert all(value.__doc__ for value in own.values())


def test_importing_is_cheap() -> None:
    code = "import vtadapt, sys; print(sorted({'torch', 'numpy', 'PIL', 'pydantic', 'typer'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the photograph that examples name."""
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/python.md", "README.md"])
def test_the_pages_run_from_top_to_bottom(page: str, desk: Path) -> None:
    found = blocks(page)
    assert found
    names: dict[str, Any] = {}
    for block in found:
        exec(compile(block, page, "exec"), names)
    assert page != "docs/python.md" or (desk / "runs" / "mine" / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("desk")
def test_the_docstrings_run() -> None:
    runner, finder = doctest.DocTestRunner(), doctest.DocTestFinder(recurse=True)
    told: list[str] = []
    for name in ("Model", "Prediction", "load", "train", "add_task", "create", "prepare_data"):
        for test in finder.find(getattr(vtadapt, name), name, globs={"vtadapt": vtadapt, "torch": torch}):
            runner.run(test, out=told.append)
    assert runner.tries >= 5
    assert runner.failures == 0, "".join(told)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_examples_run(name: str, tmp_path: Path) -> None:
    command, environ = [sys.executable, EXAMPLES / name], {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
@pytest.mark.usefixtures("desk")
def test_the_notebooks_run(path: Path) -> None:
    """Their code cells in order; the last expression of a cell is what a notebook shows of it."""
    import ast

    book = json.loads(path.read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    names: dict[str, Any] = {}
    shown = []
    for number, cell in enumerate(cells):
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{path.name}[{number}]", "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), f"{path.name}[{number}]", "eval"), names))
    assert any(hasattr(each, "_repr_png_") for each in shown)
    losses = names["losses"]
    assert losses[-1] < losses[0]
