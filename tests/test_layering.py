"""The rules of the tree, read off the source: who may import whom, and where tasks, kinds and timm may be known."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vtadapt"

# Every part with its level: a part imports from levels below, never from a sibling on its own.
LEVELS = {
    "__main__": 7,
    "cli": 6,
    "commands": 5,
    "api": 5,  # the door from Python
    "assets": 5,  # weights, read as files; beside them the scripts that made them, which nothing imports
    "workflows": 4,
    **dict.fromkeys(("models", "data", "viz"), 3),
    **dict.fromkeys(("affinity", "synthetic", "tasks"), 2),
    "lock": 2,
    "atomic": 1,
    "strict_yaml": 1,
    "strict_json": 1,
    **dict.fromkeys(("checked", "errors", "digits"), 0),
    "version": 0,
    "__init__": 6,  # names that are found on first use
}
TASK_NAMES = {"semseg", "depth", "normals", "edges"}
KIND_NAMES = {path.stem for path in (PACKAGE / "tasks" / "kinds").glob("*.py")} - {"__init__", "base"}
# Those who wrap timm; two decoders build on its Swin blocks.
MODELS_WITH_TIMM = {
    *(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "models" / "backbones").rglob("*.py")),
    "models/decoder.py",
    "models/peers/mult.py",
}
HEAVY = (
    "matplotlib",
    "torch",
    "torchvision",
    "timm",
    "cv2",
    "scipy",
    "skimage",
    "trimesh",
    "h5py",
    "lightning",
    "lightning_fabric",
)


def violations(package: Path) -> list[str]:
    """Return every broken rule below the folder ``vtadapt`` as "FILE:LINE what is wrong"."""
    found = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if "utils" in path.relative_to(package).with_suffix("").parts:
            found.append(f"{name}:1 is named utils, which says nothing")
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for node in ast.walk(tree):
            line = getattr(node, "lineno", 0)
            wrong = [*_wrong_imports(node, name, package), *_wrong_comparisons(node, name), *_lists_kinds(node, name)]
            wrong += _wrong_prints(node, name)
            found.extend(f"{name}:{line} {reason}" for reason in wrong)
    return found


def _wrong_imports(node: ast.AST, name: str, package: Path) -> Iterator[str]:
    own = _part(name)
    if own not in LEVELS:
        yield f"stands in {own!r}, which is no part of the design"
        return
    for module in _imported(node, name, package):
        top, _, rest = module.partition(".")
        if top == "timm" and own == "models" and name not in MODELS_WITH_TIMM:
            yield "imports timm, which only those who wrap it may"
        if top != "vtadapt":
            continue
        other = rest.partition(".")[0] or "__init__"
        if other not in LEVELS:
            yield f"imports vtadapt.{other}, which is no part of the design"
        elif other not in (own, "__init__") and LEVELS[other] >= LEVELS[own]:
            yield f"imports vtadapt.{other}, which does not lie below {own}"


def _part(name: str) -> str:
    """Return the part of the package that a file belongs to: its first folder, or its own name."""
    return name.split("/")[0].removesuffix(".py")


def _imported(node: ast.AST, name: str, package: Path) -> Iterator[str]:
    """Yield the absolute names of the modules that a statement, or a call of import_module, brings in."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            folders = ["vtadapt", *Path(name).parent.parts]
            above = folders[: len(folders) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        # "from vtadapt import data" brings in the part data, "from vtadapt import load" what is found on first use.
        parts = [alias.name for alias in node.names if base == "vtadapt" and _is_part(alias.name, package)]
        yield from (f"vtadapt.{part}" for part in parts)
        if len(parts) < len(node.names):
            yield base
    elif isinstance(node, ast.Call) and node.args:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
            yield str(first.value)


def _is_part(name: str, package: Path) -> bool:
    return name in LEVELS or (package / name).is_dir() or (package / f"{name}.py").is_file()


def _wrong_comparisons(node: ast.AST, name: str) -> Iterator[str]:
    if _part(name) == "tasks":
        return
    sides: list[ast.expr] = []
    if isinstance(node, ast.Compare):
        # A reader knows which of the files holds which label: it may ask whether a label is wanted, or there.
        asks = all(isinstance(operator, ast.In | ast.NotIn) for operator in node.ops)
        sides = [] if asks and name.startswith("data/readers/") else [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        sides = [node.value]
    for side in sides:
        members = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
        for member in members:
            if isinstance(member, ast.Constant) and member.value in TASK_NAMES:
                yield f"compares with the task name {member.value!r}, which only tasks/ may"
            if isinstance(member, ast.Constant) and member.value in KIND_NAMES:
                yield f"compares with the kind {member.value!r}, which only tasks/ may"


def _wrong_prints(node: ast.AST, name: str) -> Iterator[str]:
    """A print outside of the one door to the terminal: a full disk, or a name with brackets, would end the work."""
    if name.startswith(("workflows/terminal/", "assets/")) or not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    if called in ("print", "typer.echo", "click.echo", "rich.print", "sys.stdout.write", "sys.stderr.write"):
        yield f"prints by {called}; wanted workflows/terminal"


def _lists_kinds(node: ast.AST, name: str) -> Iterator[str]:
    """A table or a list of kinds: a new kind would have to be added to it."""
    members: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        members = list(node.keys)
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        members = list(node.elts)
    found = [m.value for m in members if isinstance(m, ast.Constant) and m.value in KIND_NAMES]
    if _part(name) != "tasks" and len(found) > 1:
        yield f"lists the kinds {', '.join(found)}, which only tasks/ may"


def test_the_tree_keeps_its_rules():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("tasks/a.py", "from vtadapt.data.pack import pack", "tasks/a.py:1 imports vtadapt.data"),
        ("tasks/a.py", "from vtadapt import data", "tasks/a.py:1 imports vtadapt.data"),
        ("data/a.py", "def f():\n    import vtadapt.viz.panels", "data/a.py:2 imports vtadapt.viz"),
        ("data/readers/a.py", "from ...models import x", "data/readers/a.py:1 imports vtadapt.models"),
        ("data/a.py", "from .. import models", "data/a.py:1 imports vtadapt.models"),
        ("data/a.py", "import importlib\nimportlib.import_module('vtadapt.viz')", "data/a.py:2 imports vtadapt.viz"),
        ("models/a.py", "from vtadapt.workflows.train.train import train", "models/a.py:1 imports vtadapt.workflows"),
        ("workflows/a.py", "import vtadapt.cli", "workflows/a.py:1 imports vtadapt.cli"),
        ("errors.py", "from vtadapt.data import pack", "errors.py:1 imports vtadapt.data"),
        ("data/a.py", "from vtadapt.common import x", "data/a.py:1 imports vtadapt.common"),
        ("common.py", "import os", "common.py:1 stands in 'common'"),
        ("models/a.py", "from vtadapt.assets.swin_pico import pretrain", "models/a.py:1 imports vtadapt.assets"),
        ("models/heads.py", "import timm.layers", "models/heads.py:1 imports timm"),
        ("data/utils.py", "", "data/utils.py:1 is named utils"),
        ("viz/utils/a.py", "", "viz/utils/a.py:1 is named utils"),
        ("viz/a.py", "def f(x):\n    return x == 'depth'", "viz/a.py:2 compares with the task name 'depth'"),
        ("viz/a.py", "ok = 'edges' != name", "viz/a.py:1 compares with the task name 'edges'"),
        ("data/a.py", "ok = 'depth' in paths", "data/a.py:1 compares with the task name 'depth'"),
        ("data/readers/a.py", "ok = task == 'depth'", "data/readers/a.py:1 compares with the task name 'depth'"),
        ("data/a.py", "ok = spec.kind == 'unit_vector'", "data/a.py:1 compares with the kind 'unit_vector'"),
        ("data/a.py", "READ = {'classes': 1, 'boundary': 2}", "data/a.py:1 lists the kinds classes, boundary"),
        (
            "data/a.py",
            "Kind = Literal['classes', 'regression']",
            "data/a.py:1 lists the kinds classes, regression",
        ),
        ("viz/a.py", "ok = name in ('x', 'semseg')", "viz/a.py:1 compares with the task name 'semseg'"),
        (
            "viz/a.py",
            "match name:\n    case 'normals':\n        pass",
            "viz/a.py:2 compares with the task name 'normals'",
        ),
        (
            "viz/a.py",
            "match name:\n    case 'x' | 'depth':\n        pass",
            "viz/a.py:2 compares with the task name 'depth'",
        ),
    ],
)
def test_a_broken_rule_is_found(tmp_path, file, source, complaint):
    path = tmp_path / "vtadapt" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    for part in ("models", "data", "tasks", "viz"):
        (tmp_path / "vtadapt" / part).mkdir(exist_ok=True)
    found = violations(tmp_path / "vtadapt")
    assert any(line.startswith(complaint) for line in found), found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("cli.py", "from vtadapt.workflows.train.train import train\nfrom vtadapt.version import __version__"),
        ("workflows/a.py", "from vtadapt.workflows.run.build import build_model\nfrom vtadapt.tasks import TASKS"),
        ("data/a.py", "from vtadapt.errors import DataError\nfrom .pack import Pack\nfrom vtadapt.data import recipe"),
        ("models/backbones/load.py", "import timm"),
        (
            "assets/swin_pico/pretrain.py",
            "from vtadapt.data import pack\nfrom vtadapt.models.decoder import LightDecoder",
        ),
        ("data/readers/a.py", "ok = 'depth' in item.paths and 'semseg' not in wanted"),
        ("tasks/a.py", "def f(name):\n    return name == 'depth'"),
        ("viz/a.py", "pictures = {'depth': 1, 'classes': []}"),
        ("tasks/a.py", "ok = kind == 'classes'\ntable = {'classes': 1, 'boundary': 2}"),
    ],
)
def test_what_the_rules_allow_passes(tmp_path, file, source):
    path = tmp_path / "vtadapt" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert violations(tmp_path / "vtadapt") == []


def test_the_command_line_starts_without_heavy_imports():
    code = f"import vtadapt.cli, sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_tasks_and_recipes_need_nothing_heavy():
    """Workers that prepare data know tasks, too: torch alone would take each of them 200 MB."""
    code = f"import vtadapt.data.recipe.recipe, sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_tests_cannot_reach_the_network(host):
    with pytest.raises(AssertionError, match="no network"):
        socket.create_connection((host, 80), timeout=1)
    with socket.socket() as plain, pytest.raises(AssertionError, match="no network"):
        plain.connect((host, 80))


def test_tests_can_talk_to_this_machine():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
