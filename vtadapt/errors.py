"""Errors that a user can act on: one line each, with the exit code of the command line."""

from __future__ import annotations

import difflib
import errno
import itertools
import re
from collections.abc import Iterable

LONGEST = 1600  # characters of a message: what it quotes may come from a file of any size
_QUOTED = 200  # of a value
# Controls but for line ends and tabs, signs that turn the direction of writing, and those that are no character alone.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_ALIKE = 5000  # names that one is compared with at most


class VtadaptError(Exception):
    """An expected error while running; the message is one line: what was found, what was wanted, what to do."""

    exit_code = 5

    def __str__(self) -> str:
        """The message, its middle left out where it is very long."""
        return clipped(super().__str__(), LONGEST)


class UsageError(VtadaptError):
    """The command was typed in a way that cannot work."""

    exit_code = 2


class DataError(VtadaptError):
    """A file, a label or a pack is missing, broken or of the wrong kind."""

    exit_code = 3


class DiskFullError(DataError):
    """The disk, a quota or a limit leaves no room for what is written: nothing is wrong with the data."""

    exit_code = 5


class ConfigError(VtadaptError):
    """A setting or a checkpoint does not fit."""

    exit_code = 4


# What torch says where it has no memory, on the CPU of Unix and of Windows and on devices; OpenCV; C++; the system.
_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "insufficient memory",
    "bad_alloc",
    "alloc_failed",
    "cannot allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of any library says that there is no memory left, of the machine or of a device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # Others have types of their own, which would have to be imported to be known.
    ours = isinstance(error, (VtadaptError, OSError)) or not isinstance(error, Exception)
    return not ours and any(words in str(error).lower() for words in _NO_MEMORY)


def printable(text: str) -> str:
    """``text`` with control characters as escapes: names in files from elsewhere may hold what a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_json(text: str) -> str:
    """A JSON document with JSON's own escapes for characters that a terminal or an editor obeys, as in names."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable_lines(text: str) -> str:
    """``text`` as :func:`printable`, but for its line ends and tabs."""
    return _OBEYED.sub(lambda found: printable(found[0]), text)


def clipped(text: str, longest: int) -> str:
    """``text``, of which the middle is left out where it has more than ``longest`` characters."""
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end - 5]} ... {text[-end:]}"


def quoted(value: object) -> str:
    """A value from a file as a message shows it: ``repr``, in at most 200 characters."""
    if isinstance(value, str):
        return clipped(repr(value[: 2 * _QUOTED]), _QUOTED)
    if isinstance(value, int) and value.bit_length() > 1000:  # Python refuses to write out the longest
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, list | tuple | dict | set) and len(value) > 20:
        return f"a {type(value).__name__} of {len(value)} entries"
    try:
        return clipped(repr(value), _QUOTED)
    except (ValueError, RecursionError):  # a number inside that is too long, or nothing but brackets
        return f"a {type(value).__name__}"


def near_matches(name: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the choices closest to ``name``, or an empty string."""
    if len(name) > _QUOTED:
        return ""
    known = [choice for choice in itertools.islice(choices, _ALIKE) if len(choice) <= _QUOTED]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
