"""Inputs that somebody could hand us: bytes with damage, and trees of YAML or JSON with hostile values in them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

EDGES = (0, 1, 2, 7, 8, 15, 16, 127, 128, 254, 255)
WORDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x80", b"\xff\xff\xff\x7f")
TEXTS = (
    "", " ", ".", "..", "/", "a.b", "a/b", "../../x", "/etc/passwd", "~", "C:\\x", "forward", "training", "image",
    "state_dict", "__class__", "\x1b[31mred", "a\nb", "a\rb", "‮txt", "{split}", "{path}", "{stem}", "{", "{0.x}",
    "{path!r:>99999999}", "*", "**", "**/**/**/*", "[", "[!", "[]-a]", "?" * 40, "(a+)+$", "x" * 70, "é" * 300,
    "y" * 100_000, "%s%n", "null", "1e3", "-1", "nan", "1" * 5000, "0x" + "f" * 400, "<script>", "|a|b|",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 255, 256, 65535, 65536, -(2**31), 2**31, 2**32, 2**53 + 1, -(2**63), 2**63, 2**64, 10**12,
    10**30, 10**400, 0.0, -0.0, 0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip


def damaged(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """``data`` after one to a few changes such as those of a bad disk, a cut transfer or somebody with a hex editor."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _HOW[random.randrange(len(_HOW))](random, content)
    if others and random.random() < 0.1:
        other = random.choice(others)
        place = random.randrange(len(content) + 1)
        start = random.randrange(len(other) + 1)
        content[place : place + random.choice((4, 64, len(other)))] = other[start:]
    return bytes(content)


def _flip(random: Random, content: bytearray) -> None:
    if content:
        content[_place(random, content)] ^= 1 << random.randrange(8)


def _set(random: Random, content: bytearray) -> None:
    if content:
        content[_place(random, content)] = random.choice((*EDGES, random.randrange(256)))


def _word(random: Random, content: bytearray) -> None:
    place = _place(random, content) if content else 0
    word = random.choice(WORDS)[: random.choice((2, 4))]
    content[place : place + len(word)] = word


def _cut(random: Random, content: bytearray) -> None:
    del content[random.randrange(len(content) + 1) :]


def _remove(random: Random, content: bytearray) -> None:
    place = random.randrange(len(content) + 1)
    del content[place : place + random.choice((1, 2, 4, 16, 100))]


def _insert(random: Random, content: bytearray) -> None:
    place = random.randrange(len(content) + 1)
    content[place:place] = random.randbytes(random.choice((1, 2, 4, 16)))


def _repeat(random: Random, content: bytearray) -> None:
    place = random.randrange(len(content) + 1)
    length = random.choice((1, 4, 16, 64))
    content[place:place] = content[place : place + length] * random.choice((1, 3, 50))


def _zero(random: Random, content: bytearray) -> None:
    place, length = random.randrange(len(content) + 1), random.choice((1, 4, 16, 64, 512))
    content[place : place + length] = bytes(min(length, len(content) - place))


def _digits(random: Random, content: bytearray) -> None:
    """Numbers that are written as text become others."""
    places = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
    if places:
        place = random.choice(places)
        content[place : place + 1] = str(random.choice((-1, 0, 9, 99, 10**6, 2**31, 10**12, 10**20))).encode()


_HOW: tuple[Callable[[Random, bytearray], None], ...] = (
    *(_flip, _flip, _set, _set, _word, _word, _cut, _remove, _insert, _repeat, _zero, _digits),
)


def _place(random: Random, content: bytearray) -> int:
    """Anywhere; half of the time near the start, where headers are."""
    return random.randrange(min(len(content), 200) if random.random() < 0.5 else len(content))


def changed(random: Random, tree: Any) -> Any:
    """A copy of a tree of dicts and lists with one to a few values, keys or branches replaced."""
    result = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        result = _change_one(random, result)
    return result


def hostile(random: Random, depth: int = 2) -> Any:
    """A value that nobody expects."""
    kind = random.randrange(8 if depth else 6)
    if kind < 2:
        return random.choice(TEXTS)
    if kind < 4:
        return random.choice(NUMBERS)
    if kind == 4:
        return random.choice((None, True, False))
    if kind == 5:
        return random.choice(([], {}, [[]], [{}], {"": ""}, list(range(300)), ["a"] * 300))
    if kind == 6:
        return [hostile(random, depth - 1) for _ in range(random.randrange(4))]
    return {str(hostile(random, 0)): hostile(random, depth - 1) for _ in range(random.randrange(4))}


def _change_one(random: Random, tree: Any) -> Any:
    places = list(_places(tree))
    if not places:
        return hostile(random)
    parent, key = random.choice(places)
    how = random.random()
    if how < 0.55:
        parent[key] = hostile(random)
    elif how < 0.7:
        del parent[key]
    elif how < 0.8:  # what stands elsewhere
        other, place = random.choice(places)
        parent[key] = copy.deepcopy(other[place])
    elif isinstance(parent, dict) and how < 0.9:
        parent[random.choice((random.choice(TEXTS), random.choice(NUMBERS)))] = parent.pop(key)
    elif isinstance(parent, dict):
        parent[random.choice(TEXTS)] = hostile(random)
    else:
        parent.insert(key, hostile(random))
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    left = [tree]
    while left:
        node = left.pop()
        inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in inner:
            found.append((node, key))
            left.append(value)
    return found
