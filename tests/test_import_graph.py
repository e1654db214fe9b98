"""No module imports itself in a circle, and the rooms of a part stand on one another: read off the source.

Every import counts, at the top or in a function, for running or for type checking alone.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "vtadapt"

# Part -> its rooms (folders, or files of their own) with their levels: a room imports from levels below, never from a
# sibling on its own. "*" stands for all rooms that are not named.
ROOMS = {
    "workflows": {
        "explore": 9,
        **dict.fromkeys(("report", "demo"), 8),
        **dict.fromkeys(("compare", "adapt", "zero_shot", "gain"), 7),
        "sweep": 6,  # what the three share
        **dict.fromkeys(("attention", "affinity"), 5),
        **dict.fromkeys(("train", "predict", "export", "hub"), 4),
        **dict.fromkeys(("evaluate", "prepare", "info", "backbones"), 3),
        "runs": 3,
        "run": 2,
        **dict.fromkeys(("terminal", "sizing"), 1),
    },
    "data": {
        **dict.fromkeys(("check", "guess"), 5),
        "prepare": 4,
        **dict.fromkeys(("readers", "training"), 3),
        **dict.fromkeys(("source", "pack"), 2),
        **dict.fromkeys(("recipe", "hdf5"), 1),
    },
    "viz": {
        "explore": 4,
        **dict.fromkeys(("affinity", "attention", "contact", "report", "video_strips"), 3),
        "panels": 2,
        "*": 1,
    },
    "synthetic": {**dict.fromkeys(("rooms", "streets"), 2), "*": 1},
    "tasks": {**dict.fromkeys(("delta_m", "meaning"), 5), "task": 4, "validation": 3, "kinds": 2, "*": 1},
}


@functools.cache
def import_graph(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the same package that it names in an import."""
    paths = {_module_of(path, package): path for path in package.rglob("*.py")}
    return {module: _imports(path, module, paths.keys()) for module, path in paths.items()}


def _module_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, module: str, known: set[str] | dict[str, Path].keys) -> set[str]:
    inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = inside.split(".")[: len(inside.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            # "from a import b" names the module a.b where there is one, else a, which has a b.
            found |= {name if name in known else base for name in names}
    return {name for name in found if name in known and name != module}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another, in a circle however long (strongly connected: Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    found = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        open_.append(module)
        for other in graph[module]:
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in open_:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            group = [open_.pop()]
            while group[-1] != module:
                group.append(open_.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in order:
            visit(module)
    return found


def wrong_steps(graph: dict[str, set[str]], part: str, levels: dict[str, int]) -> list[str]:
    """The imports between rooms of ``part`` that do not lead down, as "MODULE imports MODULE"."""
    prefix = f"vtadapt.{part}."
    found = []
    for module, others in graph.items():
        own = _room(module, prefix)
        if own and _level(own, levels) is None:
            found.append(f"{module} stands in {own!r}, which has no level in ROOMS[{part!r}]")
            continue
        for other in others:
            room = _room(other, prefix)
            if not own or not room or room == own or _level(room, levels) is None:
                continue
            both_unnamed = own not in levels and room not in levels
            if not both_unnamed and _level(room, levels) >= _level(own, levels):
                found.append(f"{module} imports {other}")
    return sorted(found)


def _room(module: str, prefix: str) -> str:
    return module.removeprefix(prefix).split(".")[0] if module.startswith(prefix) else ""


def _level(room: str, levels: dict[str, int]) -> int | None:
    return levels.get(room, levels.get("*"))


def test_no_module_imports_itself_in_a_circle() -> None:
    assert cycles(import_graph(PACKAGE)) == []


@pytest.mark.parametrize("part", ROOMS)
def test_rooms_import_downwards_only(part: str) -> None:
    assert wrong_steps(import_graph(PACKAGE), part, ROOMS[part]) == []


def _package(root: Path, files: dict[str, str]) -> dict[str, set[str]]:
    for name, text in files.items():
        path = root / "vtadapt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return import_graph(root / "vtadapt")


def test_a_circle_is_found_wherever_its_imports_stand(tmp_path: Path) -> None:
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vtadapt.data.a import A\n"
    graph = _package(
        tmp_path,
        {
            "data/__init__.py": "",
            "data/a.py": "from vtadapt.data import b",
            "data/b.py": "def f():\n    from .c import g",
            "data/c.py": typing,
            "data/d.py": "import vtadapt.data.a",
        },
    )
    assert cycles(graph) == [["vtadapt.data.a", "vtadapt.data.b", "vtadapt.data.c"]]


def test_a_step_upwards_is_found(tmp_path: Path) -> None:
    graph = _package(
        tmp_path,
        {
            "workflows/run/build.py": "from vtadapt.workflows.train import trainer",
            "workflows/train/trainer.py": "from vtadapt.workflows.predict.image import f",
            "workflows/predict/image.py": "from vtadapt.workflows.run.load import g",
            "workflows/run/load.py": "",
            "workflows/attic/x.py": "",
        },
    )
    assert wrong_steps(graph, "workflows", ROOMS["workflows"]) == [
        "vtadapt.workflows.attic.x stands in 'attic', which has no level in ROOMS['workflows']",
        "vtadapt.workflows.run.build imports vtadapt.workflows.train.trainer",
        "vtadapt.workflows.train.trainer imports vtadapt.workflows.predict.image",
    ]
