"""vtadapt: multitask dense vision from one frozen vision transformer with small trained adapters.

:func:`load` a run and predict with it, :func:`train` one, or :func:`create` a network for a loop of your own;
docs/python.md shows how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtadapt.version import __version__

if TYPE_CHECKING:
    from vtadapt.api import Model, Prediction, add_task, create, load, prepare_data, train
    from vtadapt.errors import ConfigError, DataError, UsageError, VtadaptError
    from vtadapt.tasks import TASKS, Task, make_task

__all__ = [
    "TASKS",
    "ConfigError",
    "DataError",
    "Model",
    "Prediction",
    "Task",
    "UsageError",
    "VtadaptError",
    "__version__",
    "add_task",
    "create",
    "load",
    "make_task",
    "prepare_data",
    "train",
]

_HOMES = {
    **dict.fromkeys(("Model", "Prediction", "add_task", "create", "load", "prepare_data", "train"), "vtadapt.api"),
    **dict.fromkeys(("TASKS", "Task", "make_task"), "vtadapt.tasks"),
    **dict.fromkeys(("ConfigError", "DataError", "UsageError", "VtadaptError"), "vtadapt.errors"),
}


def __getattr__(name: str) -> Any:
    # On first use: torch takes seconds to import, which `vtadapt --help` need not wait for.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
