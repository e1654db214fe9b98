"""vtadapt: multitask dense vision from one frozen vision transformer with small trained adapters.

:func:`load` a run and predict with it, :func:`train` one; docs/python.md shows how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtadapt.version import __version__

if TYPE_CHECKING:
    from vtadapt.api import Model, load, train
    from vtadapt.errors import VtadaptError
    from vtadapt.tasks import Task, make_task

__all__ = ["Model", "Task", "VtadaptError", "__version__", "load", "make_task", "train"]

_HOMES = {
    "Model": "vtadapt.api",
    "load": "vtadapt.api",
    "train": "vtadapt.api",
    "Task": "vtadapt.tasks",
    "make_task": "vtadapt.tasks",
    "VtadaptError": "vtadapt.errors",
}


def __getattr__(name: str) -> Any:
    # On first use: torch takes seconds to import, which `vtadapt --help` need not wait for.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
