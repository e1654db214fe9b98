"""The commands, one file each: a thin function that imports its workflow when it is called.

A file ``NAME.py`` here is the command ``NAME`` with dashes for underscores; its function is called ``NAME``,
or ``NAME_`` where that is a word of Python's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

ORDER = (
    *("demo", "recipe", "prepare-data", "train", "eval", "predict", "export", "affinity", "visualize-attention"),
    *("explore", "report", "compare", "zero-shot", "adapt", "push", "pull", "info", "runs", "settings"),
    *("data-sets", "backbones"),
)
"""As ``vtadapt --help`` lists them; a command that is not named here comes after them."""

SHARED = ("groups", "options")  # files here that are no command


def find_commands() -> dict[str, Callable[..., Any]]:
    """Name as typed -> function, in the order of ``--help``."""
    found: dict[str, Callable[..., Any]] = {}
    for module in iter_modules(__path__):
        if module.name not in SHARED:
            file = import_module(f"{__name__}.{module.name}")
            found[module.name.replace("_", "-")] = getattr(file, module.name, None) or getattr(file, f"{module.name}_")
    order = {name: place for place, name in enumerate(ORDER)}
    return {name: found[name] for name in sorted(found, key=lambda name: (order.get(name, len(order)), name))}
