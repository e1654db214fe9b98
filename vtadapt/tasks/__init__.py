"""Tasks: what a network predicts per pixel, how that is trained, measured and drawn.

``TASKS`` is the one list of built-in tasks; ``make_task`` builds others of any kind from what a recipe declares.
"""

from __future__ import annotations

from vtadapt.tasks.delta_m import delta_m
from vtadapt.tasks.kinds import KINDS
from vtadapt.tasks.losses import Loss
from vtadapt.tasks.metrics.meter import Meter
from vtadapt.tasks.task import NYU13, TASKS, Task, make_task

__all__ = [
    "KINDS",
    "NYU13",
    "TASKS",
    "Loss",
    "Meter",
    "Task",
    "delta_m",
    "make_task",
]
