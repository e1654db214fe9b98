"""Names from elsewhere, wherever they are printed or written as text: nothing in them is obeyed."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from rich.console import Console

from tests.fuzz.data_kinds import RECIPE, write_source
from vtadapt.atomic import write_json
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import VtadaptError
from vtadapt.viz.matrices.page import one_line
from vtadapt.viz.report.page import environment
from vtadapt.viz.style import typeset
from vtadapt.workflows.terminal import exported, tables, text
from vtadapt.workflows.terminal.progress import Progress

NAMES = [
    "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "a\nvtadapt: error: forged", "a\r\x1b[K", "\u202etxt.exe",
    "\u2066x\u2069", "\x00", "\x7f", "\u2028line", "\u200bzero", "\ud800",
]  # fmt: skip


def obeyed(shown: str) -> list[str]:
    """What a terminal or an editor would obey, but for the ends of lines."""
    return [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") and c != "\n"]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name) for name in NAMES])
def test_every_door_shows_escapes(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def printed() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    for door in (text.show, text.say, text.warn):
        door(f"class {name} of x")
        shown = printed()
        assert not obeyed(shown)
        assert shown.count("\n") == 1
    text.show_json({name: [name]})
    shown = printed()
    assert not obeyed(shown)
    assert json.loads(shown) == {name: [name]}
    write_json(tmp_path / "a.json", {name: name})
    written = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert not obeyed(written)
    assert json.loads(written) == {name: name}
    table = tables.Table(f"title {name}")
    table.add_column(name)
    table.add_row(name)
    tables.show_tables([table])
    assert not obeyed(printed())
    page = tables.markdown_page(["head", name], [[name, "x"]], [f"note on {name}"])
    assert not obeyed(page)
    assert page.count("\n") == 5
    assert not obeyed(exported.csv_text(["head"], [[name], [None], [1.5]]))
    assert not obeyed(exported.latex_text(name))
    assert not obeyed(environment().from_string("{{ x }}").render(x=name))
    assert not obeyed(one_line(name))
    assert not obeyed("".join(typeset(name, 15, 500, 5).lines))
    with Progress(3, 0, name) as bar:
        bar.message(name)
    assert not obeyed(printed())


def test_a_name_forges_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    table = tables.Table()
    table.add_column("class")
    table.add_row("a\nb")
    table.add_row(tables.mean_and_sd("0.5 +- 0.1"))
    tables.show_tables([table])
    shown = capsys.readouterr().out
    assert "a\\nb" in shown
    assert re.search(r"0\.5 .*\n.*\+- 0\.1", shown)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "[x](javascript:y)", "`q`", "|a|", "![](http://x)", "# h"]
)
def test_markdown_and_html_take_names_for_text(name: str) -> None:
    page = tables.markdown_page(["a"], [[name]], [name])
    for sign in "<>[]`|":
        assert not re.search(rf"(?<!\\)\{sign}", page.splitlines()[-1])
    shown = environment().from_string("{{ x }}").render(x=name)
    assert "<" not in shown
    assert ">" not in shown


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", '=HYPERLINK("x")'])
def test_no_formula_reaches_a_spreadsheet(name: str) -> None:
    [[found]] = csv.reader(io.StringIO(exported.csv_text([], [[name]]).lstrip("\n")))
    assert found == f"'{name}"


@pytest.mark.parametrize("value", ["-0.5", "+1", "-1e-05", "0.5 +- 0.1", "-", -0.5, 3, "semseg"])
def test_numbers_stay_numbers(value: object) -> None:
    assert exported.csv_text(["x"], [[value]]).splitlines() == ["x", str(value)]


def test_long_messages_are_cut_in_their_middle() -> None:
    said = str(VtadaptError("begin " + "x" * 10**6 + " end"))
    assert len(said) <= 1600
    assert said.startswith("begin ")
    assert said.endswith(" end")
    assert str(VtadaptError("short")) == "short"


def test_commands_with_hostile_names(cli: Callable[..., Any], tiny: Any, tmp_path: Path) -> None:
    tree = yaml.safe_load(yaml.safe_dump(RECIPE))
    classes = ["\x1b[31ma", "b\nc", "\u202ed"]
    tree["tasks"]["semseg"]["classes"] = classes
    tree["tasks"]["semseg"].pop("label_set")
    tree["tasks"]["edges"]["conventions"] = tree["title"] = tree["licence"] = "\x9b2J\x07t"
    tree["class_maps"] = {}
    tree["label_sets"] = {}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    assert load_recipe(tmp_path / "mine.yaml").tasks["semseg"].classes == tuple(classes)
    source, data = write_source(tmp_path / "src"), tmp_path / "data"
    (source / "images" / "p0.png").rename(source / "images" / "p\x1b[31m0.png")
    photo = tmp_path / "in" / "\x1b[31mred\nforged.png"
    photo.parent.mkdir()
    Image.new("RGB", (30, 20)).save(photo)
    (photo.parent / "\u202egnp.png").write_bytes(b"broken")
    given = ("--source", source, "--data-dir", data)
    commands: list[tuple[Any, ...]] = [
        ("data-sets", tmp_path / "mine.yaml"),
        ("prepare-data", tmp_path / "mine.yaml", *given, "--dry-run"),
        ("prepare-data", tmp_path / "mine.yaml", *given, "--workers", 0),
        ("prepare-data", tmp_path / "mine.yaml", *given, "--workers", 0, "--json"),
        ("prepare-data", "mine", "--data-dir", data, "--check"),
        ("predict", photo.parent, "--run", tiny.run, "--out", tmp_path / "out", "--format", "panel,json"),
        ("predict", photo.parent, "--run", tiny.run, "--out", tmp_path / "out", "--json"),
        ("predict", "\x1b[31mno", "--run", tiny.run),
        ("train", "\x1b[31mno"),
        ("settings", "\x1b[31mno"),
        ("train", "rooms", "--set", "\x1b[31mno=1"),
    ]
    for command in commands:
        ran = cli(*command)
        assert not obeyed(ran.out), command
        assert not obeyed(ran.err), command
        assert "Traceback" not in ran.err


def test_the_check_itself_sees_what_is_obeyed() -> None:
    assert all(obeyed(name.replace("\n", "")) or "\n" in name for name in NAMES)
    assert not obeyed("é漢 plain\n")
    assert Console(file=io.StringIO()).is_terminal is False
