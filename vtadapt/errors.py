"""Errors that a user can act on: one line each, with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VtadaptError(Exception):
    """An expected error while running; the message is one line: what was found, what was wanted, what to do."""

    exit_code = 5


class UsageError(VtadaptError):
    """The command was typed in a way that cannot work."""

    exit_code = 2


class DataError(VtadaptError):
    """A file, a label or a pack is missing, broken or of the wrong kind."""

    exit_code = 3


class ConfigError(VtadaptError):
    """A setting or a checkpoint does not fit."""

    exit_code = 4


def printable(text: str) -> str:
    """``text`` with control characters as escapes: names in files from elsewhere may hold what a terminal obeys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def near_matches(name: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the choices closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name, list(choices), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
