"""Lines and JSON documents, written so that no print loses finished work and no name is taken for markup.

Results go to stdout (:func:`show`), all else to stderr (:func:`say`). Names of files, tasks and classes come from
elsewhere: control characters in them are shown as escapes, and what the terminal's encoding lacks as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from vtadapt.errors import UsageError, VtadaptError, printable, printable_json


def show(*lines: str) -> None:
    """Print results on stdout, one a line.

    Raises:
        VtadaptError: stdout takes nothing more, as on a full disk; what was made stays.
    """
    _write(sys.stdout, "".join(f"{printable(line)}\n" for line in lines))


def show_json(content: Any) -> None:
    """Print one JSON document on stdout, and nothing else goes there.

    Raises:
        VtadaptError: as :func:`show`.
    """
    # Where the encoding lacks a character, JSON's own escape stands for it: backslashreplace's \\xe9 is none of them.
    ascii_only = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    _write(sys.stdout, printable_json(json.dumps(content, indent=1, ensure_ascii=ascii_only, allow_nan=False)) + "\n")


def show_drawn(drawn: str) -> None:
    """Print on stdout what is laid out already, such as a table whose cells hold no control characters.

    Raises:
        VtadaptError: as :func:`show`.
    """
    _write(sys.stdout, drawn)


def say(*lines: str) -> None:
    """Print what goes on on stderr, one a line; a stderr that takes nothing more ends no training."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # ValueError: it is closed; else there is none
        _put(sys.stderr, "".join(f"{printable(line)}\n" for line in lines))


def warn(line: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {line}")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        raise VtadaptError("could not print to stdout: it is closed; all files were written")
    try:
        _put(stream, text)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _close(stream)
    except OSError as error:
        _close(stream)
        raise VtadaptError(f"could not print to stdout: {error.strerror}; all files were written") from error


def _put(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _close(stream: TextIO) -> None:
    """Send the rest, also what waits in the buffer, to nowhere: Python would fail on it once more when it ends."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Let stdout and stderr escape what their encoding lacks, whoever writes to them: warnings, bars, libraries."""
    before = []
    _fill()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            before.append((stream, stream.errors))
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in before:
            try:
                stream.flush()
            except (OSError, ValueError):
                _close(stream)  # what libraries wrote and a full disk did not take
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


def asked(question: str, otherwise: str) -> bool:
    """Whether a person at the terminal says yes; anything but "y" or "yes" is no.

    Args:
        question: ends in a question mark.
        otherwise: what to do where there is nobody to ask, for the message.

    Raises:
        UsageError: the input is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{question.rstrip('?')}: nobody can be asked here, the input is no terminal; {otherwise}")
    _put(sys.stderr, f"{printable(question)} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _fill() -> None:
    """Open the standard streams that were closed, to nowhere: else the next file that is opened would take their place.

    What libraries print would land in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
