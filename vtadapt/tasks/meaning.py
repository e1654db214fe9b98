"""Whether two tasks are the same task: one rule for sets trained on together, for a run on other data, for heads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from vtadapt.tasks.task import Task


class Difference(NamedTuple):
    """In what two tasks differ, and what the first and the second are in it."""

    what: str
    first: Any
    second: Any


def difference(first: Task, second: Task, may_differ: Collection[str] = ()) -> Difference | None:
    """Return the first thing in which two tasks do not mean the same; None where they do.

    That is whatever their kind names (``Labels.meaning``): kind, units, whether it is a distance, channels or classes,
    the largest value that counts. How they are trained (loss, weight, what fresh heads say) and drawn is no part of it.

    Args:
        first: a task.
        second: another.
        may_differ: names of what is not compared, such as "classes" where there is a map between them.
    """
    one, two = (task.behaviour.meaning(task) for task in (first, second))
    for what, value in one.items():
        if what not in may_differ and two.get(what) != value:
            return Difference(what, value, two.get(what))
    return None
