"""The page of ``vtadapt explore``: what it is made of, by the path that a browser asks for.

It looks like a report and shares its parts. What is dropped on it goes to the server that it came from and nowhere
else: ``POLICY`` forbids it to ask anybody else for anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from vtadapt.viz.attention import DIVERGING, HEAT
from vtadapt.viz.report.charts import Matrix
from vtadapt.viz.report.page import fill

HERE = "vtadapt.viz.explore"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src data:",  # pictures come inside of answers
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",  # colours of cells and chips
        "script-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
STOPS = 17  # colours that a bar is drawn with


class File(NamedTuple):
    """What is sent for a path, and of which type it is."""

    content: str
    kind: str


@dataclass(frozen=True)
class Affinity:
    """A matrix, and what it advises, one sentence each."""

    matrix: Matrix
    advice: Sequence[str]


@dataclass(frozen=True)
class About:
    """What the page says before there is a picture.

    Attributes:
        name: of the run.
        words: on it, one line.
        tasks: names.
        no_attention: why it cannot be shown where tasks look; "" where it can.
        affinities: matrices.
        no_affinity: what is missing of them.
        most: bytes of a picture, at most.
        version: of vtadapt.
    """

    name: str
    words: str
    tasks: Sequence[str]
    no_attention: str
    affinities: Sequence[Affinity]
    no_affinity: Sequence[str]
    most: int
    version: str


def page_files(about: About) -> Mapping[str, File]:
    """Path -> what is sent for it; all of it is in memory, and nothing else is there to be asked for."""
    values = {"about": about, "heat": _gradient(HEAT), "diverging": _gradient(DIVERGING)}
    return {
        "/": File(fill("explore.html", values, HERE), "text/html; charset=utf-8"),
        "/style.css": File(fill("style.css", {}) + fill("explore.css", {}, HERE), "text/css; charset=utf-8"),
        "/theme.js": File(fill("theme.js", {}), "text/javascript; charset=utf-8"),
        "/explore.js": File(fill("explore.js", {}, HERE), "text/javascript; charset=utf-8"),
    }


def _gradient(colours: NDArray[Any]) -> str:
    """A table of colours (N, 3) as a bar of CSS, the lowest at the left."""
    chosen = (colours[round(i * (len(colours) - 1) / (STOPS - 1))] for i in range(STOPS))
    return f"linear-gradient(to right, {', '.join('rgb({} {} {})'.format(*map(int, colour)) for colour in chosen)})"
