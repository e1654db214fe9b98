"""The page of a report from its templates: plain data and pictures in, text out.

``templates/page.html`` includes one template per section, its stylesheet and its script. Everything that is filled in
is escaped, so that no name can break a page.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vtadapt.errors import printable_lines
from vtadapt.viz.report.pictures import embedded


@functools.cache
def environment(*packages: str) -> Environment:
    """Return the templates of packages, then our own.

    A name that was given no value is an error, never an empty place.
    """
    found = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "vtadapt.viz.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    found.filters |= {"number": number, "embedded": embedded}
    return found


def _visible(value: Any) -> Any:
    """Text without what a browser or an editor would obey, such as signs that turn the direction of writing."""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def fill(template: str, values: Mapping[str, Any], *packages: str) -> str:
    """Return a template, by the name of its file, with these values in their places; see :func:`environment`."""
    return environment(*packages).get_template(template).render(values)


def number(value: float | None) -> str:
    """Return a number with four digits that count, or a dash."""
    if value is None or not np.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 3 - int(np.floor(np.log10(abs(value)))))
        return f"{value:.{digits}f}"
    return f"{value:.2e}"
