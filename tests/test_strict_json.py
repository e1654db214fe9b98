"""JSON from files: what json.loads gives, and one kind of error for all that would fail far away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtadapt.strict_json import MAX_DEPTH, StrictJsonError, parse_json, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_writes_comes_back(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    ["[" * 1000, "[" * 100_000, '{"a":' * 100_000, "[" * 50 + "]" * 50, "9" * 1000, "-" + "9" * 5000, "", "{", "\x00"],
    ids=["brackets", "many", "braces", "closed", "digits", "negative", "empty", "open", "nul"],
)
def test_what_is_no_decent_json_is_one_short_line(text: str) -> None:
    with pytest.raises(StrictJsonError) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_as_deep_as_it_may_be() -> None:
    deep = parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        [deep] = deep
    assert deep == []
    with pytest.raises(StrictJsonError, match="deeper"):
        parse_json('{"a": ' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1))


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"ä": 1}'.encode("utf-8-sig"))
    assert read_json(path) == {"ä": 1}
    path.write_bytes('{"ä": 1}'.encode("latin-1"))
    with pytest.raises(StrictJsonError, match="UTF-8"):
        read_json(path)
