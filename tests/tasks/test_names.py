"""Names of tasks: those that would break files, packs or networks are refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from torch import nn

from tests.data.formats.own import ABOUT
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import ConfigError
from vtadapt.tasks import make_task
from vtadapt.tasks.names import IN_MODULES

WRONG = (
    *("", ".", "..", "image", "training", "forward", "keys", "a.b", "a/b", "a\\b", "a,b", "a\nb", "a:b", "[b]x[/b]"),
    *("-lead", "--json", "_x", " x", "x ", "x" * 65, "x" * 300),
)
RIGHT = (
    "semseg",
    "human_parts",
    "Straßen",
    "état",
    "e\u0301tat",
    "深度",
    "tief-2",
    "a b",
    "1",
    "null",
    "total",
    "loss",
)


def _recipe(folder: Path, *names: str, splits: tuple[str, ...] = ("train",)) -> Path:
    tasks = {name: {"kind": "boundary"} for name in names}
    path = folder / "mine.yaml"
    path.write_text(
        yaml.safe_dump({**ABOUT, "splits": list(splits), "tasks": tasks}, sort_keys=False), encoding="utf-8"
    )
    return path


def test_what_torch_keeps_for_itself() -> None:
    wanted = {name for name in dir(nn.ModuleDict()) if not name.startswith("_")}
    assert wanted <= IN_MODULES


@pytest.mark.parametrize("name", WRONG)
def test_names_that_break_something_are_refused_early(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(_recipe(tmp_path, name))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert repr(name[:64]) in str(caught.value)
    with pytest.raises(ConfigError):
        make_task(name, "boundary")


@pytest.mark.parametrize("name", RIGHT)
def test_other_names_work_in_networks_and_recipes(tmp_path: Path, name: str) -> None:
    assert list(load_recipe(_recipe(tmp_path, name)).tasks) == [name]
    heads = nn.ModuleDict({make_task(name, "boundary").name: nn.Identity()})
    assert list(heads) == [name]


def test_names_that_are_one_on_some_disks(tmp_path: Path) -> None:
    for pair in (("Depth", "depth"), ("état", "e\u0301tat"), ("straße", "STRASSE")):
        with pytest.raises(ConfigError, match=f"{pair[0]!r} and {pair[1]!r}"):
            load_recipe(_recipe(tmp_path, *pair))
    with pytest.raises(ConfigError, match="'train' and 'Train'"):
        load_recipe(_recipe(tmp_path, "a", splits=("train", "Train")))
    with pytest.raises(ConfigError, match="split 'xxx"):
        load_recipe(_recipe(tmp_path, "a", splits=("x" * 300,)))
