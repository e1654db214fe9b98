"""YAML from people: what safe_load gives, keys given twice, other encodings, and inputs made to take long."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vtadapt.data.recipe.recipe import list_recipes, recipe_folders
from vtadapt.strict_yaml import StrictYamlError, parse_yaml, read_yaml

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.integers(), inner, max_size=4).filter(
            lambda given: len({str(key) for key in given}) == len(given)
        )
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_yaml_writes_comes_back(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_read_as_before(name: str) -> None:
    path = next(f / f"{name}.yaml" for f in recipe_folders() if (f / f"{name}.yaml").is_file())
    assert read_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a'", "1 and 3"),
        ("ids: {0: x, 1: y,\n 1: z}\n", "1", "1 and 2"),
        ("a:\n  b:\n  - {c: 1}\n  - {c: 1, d: 2,\n     c: 3}\n", "'c'", "4 and 5"),
        ("ids: {0: a, 1: b,\n '1': c}\n", "1 and '1'", "1 and 2"),
        ("'yes': a\nyes: b\n", "'yes' and True", "1 and 2"),
        ("1: a\ntrue: b\n", "True", "1 and 2"),  # equal in Python, so that one of them would go
        ("? [x]\n: 1\nb: 1\nb: 1", "", ""),
    ],
)
def test_a_key_given_twice_is_named_with_both_lines(text: str, key: str, lines: str) -> None:
    with pytest.raises(StrictYamlError) as caught:
        parse_yaml(text)
    assert key in str(caught.value)
    assert lines in str(caught.value)


def test_merge_keys_give_way_to_own_keys() -> None:
    assert parse_yaml("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\n") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1000,
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 20_000,
        bomb(9, 9),
        bomb(24, 2),
        "a: &a [*a]",
        "x" * (5 * 2**20),
    ],
    ids=["brackets", "many brackets", "braces", "dashes", "bomb", "binary bomb", "in itself", "long"],
)
def test_what_would_take_long_is_refused(text: str) -> None:
    with pytest.raises(StrictYamlError):
        parse_yaml(text)


def test_aliases_that_stand_for_little_are_fine() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: *a\n") == {"a": [1, 2], "b": [1, 2], "c": [1, 2]}


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("ä: 1\n".encode("utf-8-sig"))
    assert read_yaml(path) == {"ä": 1}
    path.write_bytes("ä: 1\n".encode("utf-16"))
    with pytest.raises(StrictYamlError, match="UTF-16"):
        read_yaml(path)
    path.write_bytes("x: 1\nä: 1\n".encode("latin-1"))
    with pytest.raises(StrictYamlError, match="line 2.*UTF-8"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: 2024-13-45",
        "a: [",
        "a: b: c",
        "--- 1\n--- 2\n",
        "a: \x01",
        "{.nan: 1, .nan: 2}",
        ".nan: 1",
        "!!python/object:os.system {}",
    ],
)
def test_what_is_no_yaml_is_one_line(text: str) -> None:
    with pytest.raises(StrictYamlError) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
