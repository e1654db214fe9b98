"""Tasks: what a network predicts per pixel, how that is trained, measured and drawn.

``TASKS`` is the one list of built-in tasks; ``make_task`` builds others of any kind from what a recipe declares.
"""

from __future__ import annotations

from vtadapt.tasks.colour import default_palette
from vtadapt.tasks.losses import IGNORE, LOSSES, Loss
from vtadapt.tasks.metrics import METRICS, Meter, delta_m
from vtadapt.tasks.task import NYU13, TASKS, Task, make_task

__all__ = [
    "IGNORE",
    "LOSSES",
    "METRICS",
    "NYU13",
    "TASKS",
    "Loss",
    "Meter",
    "Task",
    "default_palette",
    "delta_m",
    "make_task",
]
