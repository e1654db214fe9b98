"""Files with checksums: what was written comes back, and no changed byte is read for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from vtadapt.checked import DamagedError, check_yaml, json_text, line_of, parse_json, parse_line, yaml_text

CONTENT: dict[str, Any] = {"format": 1, "ü": ["\udcff", '"crc32": "00000000"}'], "tasks": {"a": 0.5, "b": None}}


def read_yaml(data: bytes) -> Any:
    check_yaml(data)
    return yaml.safe_load(data)


FORMS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "json": (json_text(CONTENT).encode(), parse_json),
    "line": (line_of(CONTENT).encode("utf-8", "backslashreplace"), parse_line),
    "yaml": (yaml_text(yaml.safe_dump({"data": "rooms", "lr": 0.5, "tasks": ["a", "b"]})).encode(), read_yaml),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_was_written_comes_back(form: str) -> None:
    data, read = FORMS[form]
    wanted = {"data": "rooms", "lr": 0.5, "tasks": ["a", "b"]} if form == "yaml" else CONTENT
    found = read(data)
    assert json.dumps(found).encode() == json.dumps(wanted).encode()
    assert b"crc32" in data or b"checksum" in data


@pytest.mark.parametrize("form", FORMS)
def test_no_changed_byte_goes_unnoticed(form: str) -> None:
    """Each byte by each bit, by another printable character, and left out."""
    data, read = FORMS[form]
    random.seed(0)
    for place in range(len(data)):
        others = [data[place] ^ 1 << bit for bit in range(8)] + [ord(random.choice('"{}:, #aZ09\n'))]
        changed = [data[:place] + bytes([other]) + data[place + 1 :] for other in others if other != data[place]]
        for one in [*changed, data[:place] + data[place + 1 :]]:
            with pytest.raises((ValueError, yaml.YAMLError)):
                read(one)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_nothing_cut_off_goes_unnoticed(form: str) -> None:
    data, read = FORMS[form]
    first = 1 if form == "json" else data.index(b"\n")  # less than its first line is no setting at all
    for length in range(first, len(data) - 1 if form == "json" else len(data)):
        with pytest.raises((ValueError, yaml.YAMLError)):
            read(data[:length])


def test_files_without_a_checksum_are_taken_as_they_are() -> None:
    assert parse_json(json.dumps({"a": 1}).encode()) == {"a": 1}
    assert parse_json(b"[1]") == [1]
    assert parse_line(b'{"step": 1}') == {"step": 1}
    assert parse_line(b"3") == 3
    check_yaml(b"data: rooms\n")
    check_yaml(b"# my settings\ndata: rooms\n")
    assert parse_json(json_text({}).encode()) == {} == parse_line(line_of({}).encode())


def test_a_file_that_is_edited_says_what_to_remove() -> None:
    with pytest.raises(DamagedError, match="checksum"):
        parse_json(json_text({"a": 1}).replace("1\n", "2\n").encode())
    with pytest.raises(DamagedError, match="first and last line"):
        check_yaml(yaml_text("a: 1\n").replace("a: 1", "a: 2").encode())


def test_a_checksum_of_more_than_the_line() -> None:
    line = line_of({"a": 1}, 17).encode()
    assert parse_line(line, 17) == {"a": 1}
    with pytest.raises(DamagedError):
        parse_line(line, 18)


def test_json_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(ValueError, match="deep"):
        parse_json(b"[" * 100_000)
