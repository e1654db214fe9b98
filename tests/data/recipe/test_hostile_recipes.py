"""Recipes that somebody else wrote: what is too deep, too large or leads elsewhere is one short line, at once."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.data.formats.nyud_mt import write_nyud_mt
from tests.fuzz.data_kinds import RECIPE, write_source
from tests.fuzz.mutate import TEXTS
from vtadapt.data.pack.manifest import open_pack
from vtadapt.data.prepare.dry_run import survey
from vtadapt.data.prepare.options import resolve
from vtadapt.data.prepare.prepare import PrepareOptions, prepare
from vtadapt.data.recipe.recipe import load_recipe
from vtadapt.errors import LONGEST, ConfigError, DataError, VtadaptError


def changed(*changes: tuple[list[Any], Any]) -> dict[str, Any]:
    tree = copy.deepcopy(RECIPE)
    for path, value in changes:
        node: Any = tree
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    return tree


def renamed(task: str) -> dict[str, Any]:
    tree = copy.deepcopy(RECIPE)
    tree["tasks"] = {task: {"kind": "regression", "units": "m"}}
    tree["options"]["labels"] = {task: {"files": "depth/{stem}.npy"}}
    return tree


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "mine.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, source: Path | None = None) -> str:
    """Load it and, where that goes well, prepare with it: the error, which must be one short line."""
    with pytest.raises(VtadaptError) as caught:
        prepare(load_recipe(path), source or write_source(path.parent / "src"), path.parent / "data", PrepareOptions())
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= LONGEST
    assert not (path.parent / "data").exists() or not list((path.parent / "data").glob("*/*.h5"))
    return text


BAD_NAMES = [
    *("", " ", ".", "..", "/", "a.b", "a/b", "../x", "a\\b", "a\nb", "a\x1b[31mb", "forward", "training", "image"),
    *("state_dict", "_x", "x" * 65, "x" * 100_000, "\u202etxt", "a\u0007", "parameters", "keys", "-", "nul\u0085"),
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=[repr(name)[:20] for name in BAD_NAMES])
def test_names_that_modules_files_or_hdf5_cannot_bear(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        load_recipe(written(tmp_path, renamed(name)))
    tree = copy.deepcopy(RECIPE)
    tree["splits"], tree["options"]["split"] = [name], {"fractions": {name: 1.0}}
    if name not in ("forward", "training", "image", "state_dict", "parameters", "keys", "_x"):  # names of no modules
        refused(written(tmp_path, tree))


NUMBERS = [
    (["size"], [10**12, 10**12]),
    (["size"], [8, 10**30]),
    (["size"], [-8, 8]),
    (["tasks", "depth", "channels"], 10**12),
    (["tasks", "depth", "max_value"], float("nan")),
    (["tasks", "depth", "weight"], 1e400),
    (["intrinsics", "fx"], float("inf")),
    (["intrinsics", "cx"], float("nan")),
    (["intrinsics", "width"], 10**12),
    (["label_sets", "ab", "highest"], 10**12),
    (["label_sets", "ab", "highest"], -5),
    (["tasks", "normals", "derive", "window"], 10**9),
    (["options", "split", "seed"], -1),
    (["options", "split", "seed"], 10**40),
    (["options", "split", "fractions", "train"], float("nan")),
    (["options", "labels", "depth", "factor"], float("inf")),
    (["options", "labels", "depth", "missing"], [10**400]),
    (["tasks", "semseg", "colours"], [[1, 2, 300]] * 3),
]


@pytest.mark.parametrize(("path", "value"), NUMBERS, ids=[f"{'.'.join(p)}={str(v)[:12]}" for p, v in NUMBERS])
def test_numbers_are_bounded(tmp_path: Path, path: list[Any], value: Any) -> None:
    refused(written(tmp_path, changed((path, value))))


@pytest.mark.parametrize("value", [["ab"], {"ab": 1}, 5])
def test_a_label_set_is_named_by_a_text(tmp_path: Path, value: Any) -> None:
    tree = changed((["tasks", "semseg", "label_set"], value))
    del tree["tasks"]["semseg"]["classes"]
    assert "label_set" in refused(written(tmp_path, tree))


@pytest.mark.parametrize("key", ["samples", "first_seed"])
@pytest.mark.parametrize("value", [-1, 10**12, 10**30])
def test_what_is_rendered_is_bounded(tmp_path: Path, key: str, value: int) -> None:
    options = {"samples": {"train": 1, "val": 1}, "first_seed": {"train": 0, "val": 9}}
    options[key]["val"] = value
    tree = changed((["reader"], "rooms"), (["options"], options), (["source"], {"synthetic": True}))
    refused(written(tmp_path, tree))


OUTSIDE = [
    "../{}", "/{}", "images/../../{}", "./../{}", "C:/{}", "C:\\{}", "images/{{stem}}/../../../{}", "\\\\host\\{}",
    "..", "/", "~/../{}",
]  # fmt: skip


@pytest.mark.parametrize("pattern", OUTSIDE)
@pytest.mark.parametrize(
    "where", [["options", "image"], ["options", "labels", "depth", "files"], ["options", "split", "lists"]]
)
def test_patterns_do_not_leave_the_source(tmp_path: Path, pattern: str, where: list[str]) -> None:
    np.save(tmp_path / "secret.npy", np.ones((16, 24), np.float32))
    (tmp_path / "secret.png").write_bytes(b"")
    end = {"image": "*.png", "files": "secret.npy", "lists": "{split}.txt"}[where[-1]]
    tree = changed((["options", "split"], {"lists": "{split}.txt"}), (where, pattern.format(end)))
    refused(written(tmp_path, tree))


def test_a_stem_of_a_dot_does_not_lead_up(tmp_path: Path) -> None:
    source = write_source(tmp_path / "src")
    os.rename(source / "images" / "p0.png", source / "images" / "..png")  # its stem is a dot, to Python before 3.14
    np.save(tmp_path / "secret.npy", np.ones((16, 24), np.float32))
    tree = changed((["options", "image"], "images/.*.png"), (["splits"], ["train"]))
    tree["options"]["split"] = {"fractions": {"train": 1.0}}
    tree["options"]["labels"]["depth"]["files"] = ".{stem}/secret.npy"
    assert "secret.npy" in refused(written(tmp_path, tree), source) or not hasattr(Path("..png"), "stem")


@pytest.mark.parametrize(
    "line", ["../secret", "/etc/passwd", "images/../../secret.png", "..", "\x1b[31mp0", "x" * 10**5]
)
def test_lists_do_not_leave_the_source(tmp_path: Path, line: str) -> None:
    source = write_source(tmp_path / "src")
    (source / "train.txt").write_text(f"{line}\n")
    refused(written(tmp_path, changed((["options", "split"], {"lists": "{split}.txt"}))), source)


def test_published_lists_do_not_leave_the_source(tmp_path: Path) -> None:
    write_nyud_mt(tmp_path / "src", "mtinet", {"train": 2, "val": 1})
    listed = tmp_path / "src" / "gt_sets" / "train.txt"
    name = listed.read_text().split()[0]
    for line in (f"../images/{name}", f"../../src/images/{name}", f"{tmp_path}/src/images/{name}"):
        listed.write_text(f"{line}\n")
        with pytest.raises(DataError) as caught:
            prepare(load_recipe("nyud_mt"), tmp_path / "src", tmp_path / "data", PrepareOptions(splits=["train"]))
        assert name in str(caught.value)


def test_links_that_lead_outside_are_refused_or_followed_and_named(tmp_path: Path) -> None:
    source = write_source(tmp_path / "src")
    (source / "images" / "p0.png").rename(tmp_path / "elsewhere.png")
    (source / "images" / "p0.png").symlink_to(tmp_path / "elsewhere.png")
    recipe, follow = load_recipe(written(tmp_path, RECIPE)), PrepareOptions(follow_links=True)
    with pytest.raises(DataError, match=r"p0\.png -> .*elsewhere\.png: a link that leads out .* --follow-links"):
        prepare(recipe, source, tmp_path / "data", PrepareOptions())
    problems = survey(resolve(recipe, PrepareOptions()), source)["problems"]
    assert [line for line in problems if "elsewhere.png" in line and "--follow-links" in line]
    assert not survey(resolve(recipe, follow), source)["problems"]
    manifest = prepare(recipe, source, tmp_path / "data", follow)
    [line] = manifest["outside"]
    assert line.startswith("1 files outside the source")
    assert str(tmp_path / "elsewhere.png") in line
    assert len(open_pack(tmp_path / "data", "mine", "train")) == 2
    (source / "images" / "p0.png").unlink()
    (tmp_path / "elsewhere.png").rename(source / "images" / "p0.png")
    manifest = prepare(load_recipe(tmp_path / "mine.yaml"), source, tmp_path / "data", PrepareOptions(force=True))
    assert "outside" not in manifest


LARGE = {
    "list": lambda: changed((["splits"], list(range(60_000)))),
    "names": lambda: changed((["tasks"], {f"t{i}": {"kind": "boundary"} for i in range(10_000)})),
    "twice": lambda: changed((["tasks", "semseg", "classes"], [f"c{i}" for i in range(40_000)] + ["c1", "c2"])),
    "key": lambda: changed((["x" * 10_000], 1)),
    "text": lambda: changed((["reader"], "x" * 10**6)),
    "unknown class": lambda: changed((["class_maps"], {"xy": {f"c{i}": "x" for i in range(30_000)}})),
    "nested": lambda: changed((["title"], [[[[[["x" * 1000] * 1000]]]]])),
    "error": lambda: changed((["tasks", "semseg", "colours"], [["x"] * 10] * 4000)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_what_is_large_is_one_short_line(tmp_path: Path, kind: str) -> None:
    refused(written(tmp_path, LARGE[kind]()))


@pytest.mark.parametrize("key", ["title", "licence", "citation", "reader", "name", "fit"])
def test_any_text_anywhere_ends_in_a_recipe_or_a_line(tmp_path: Path, key: str) -> None:
    for text in TEXTS:
        try:
            assert load_recipe(written(tmp_path, changed(([key], text)))).hash
        except VtadaptError as error:
            assert "\n" not in str(error)
            assert len(str(error)) <= LONGEST
