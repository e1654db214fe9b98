"""The kinds of tasks, one file each, found by their names: ``KIND`` in ``NAME.py`` here is the kind ``NAME``.

``base.py`` says what a kind may say; nothing outside of this folder lists or compares kinds.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from vtadapt.errors import ConfigError, near_matches
from vtadapt.tasks.kinds.base import Kind

SHARED = ("base",)  # files here that are no kind


def find_kinds() -> dict[str, Kind]:
    """Name -> kind."""
    found: dict[str, Kind] = {}
    for module in iter_modules(__path__):
        if module.name not in SHARED:
            found[module.name] = import_module(f"{__name__}.{module.name}").KIND
            found[module.name].name = module.name
    return found


KINDS = find_kinds()


def find_kind(name: str) -> Kind:
    """Return the kind of that name; ConfigError, with near matches, where there is none."""
    if name not in KINDS:
        raise ConfigError(f"unknown kind {name!r}; one of {', '.join(KINDS)}.{near_matches(name, KINDS)}")
    return KINDS[name]
